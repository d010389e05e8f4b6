"""What tables say of commands and reasons: without paths of this machine, and otherwise as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptv2.reproduce.options import Options
from ptv2.reproduce.table.cells import LONGEST, shortened
from ptv2.reproduce.table.notes import clean


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        ("data", "data.limit.train=100 data.dir=data/rte", "data.limit.train=100 data.dir=DIR/rte"),
        ("data", "no data: aps/super_glue is not in the cache", "no data: aps/super_glue is not in the cache"),
        (
            "data",
            "expected train.jsonl in data/rte; my-data/x stays",
            "expected train.jsonl in DIR/rte; my-data/x stays",
        ),
        ("data", "data.dir=data", "data.dir=DIR"),
        (".", "data.limit.train=100 optim.lr=0.01", "data.limit.train=100 optim.lr=0.01"),
        ("/", "https://huggingface.co is not reachable", "https://huggingface.co is not reachable"),
        ("/big/data", "no folder /big/data: nothing in /big/data/rte", "no folder DIR: nothing in DIR/rte"),
        ("/big/data", "/very/big/data/x and /big/data2/x", "/very/big/data/x and /big/data2/x"),
        ("/big/my data", "data.dir='/big/my data/rte'", "data.dir='DIR/rte'"),
    ],
)
def test_only_the_folder_of_data_is_called_dir(folder: str, text: str, expected: str) -> None:
    assert clean(text, Options(data=Path(folder))) == expected


def test_in_the_root_folder_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/")
    assert clean("https://huggingface.co: see /x/y", Options()) == "https://huggingface.co: see /x/y"


def test_names_of_files_have_a_limit() -> None:
    assert shortened("figure-rte") == "figure-rte"
    for letter in "xé語":
        one, two = (shortened(letter * 300 + ending) for ending in "ab")
        assert one != two
        assert len(one.encode()) <= LONGEST
