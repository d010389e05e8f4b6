"""Lines of files that are read in pieces: those of the whole text, with its faults."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptv2.data import lines as module
from ptv2.data.lines import read_lines, read_lines_with_ends, read_text
from ptv2.errors import DataError

QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.lists(st.sampled_from(["a", "é", "😀", "\n", "\r", "\u2028", "\ufeff", " "]), max_size=30).map("".join)

TABLE = st.lists(st.sampled_from(["a", "é", '"', ",", "\n", "\r", "\u2028"]), max_size=30).map("".join)


def split(text: str) -> list[str]:
    """The lines of a text, by the rule that the module states."""
    lines = re.split(r"\r*\n|\r", text)
    return lines if lines[-1] else lines[:-1]


def unmarked(text: str) -> str:
    """A text without the byte order marks that begin its lines."""
    return re.sub(r"(^|[\n\r])\ufeff+", r"\1", text)


@QUICK
@given(text=TEXT, size=st.integers(1, 9))
def test_pieces_of_any_size_make_the_same_lines(text: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", size)
        lines = list(read_lines(path))
        assert read_text(path) == unmarked(text)
    assert lines == list(enumerate(split(unmarked(text)), start=1))


@QUICK
@given(text=TABLE, size=st.integers(1, 9))
def test_pieces_of_any_size_make_the_same_table(text: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())

    def rows(lines: Iterable[str]) -> tuple[list[list[str]], int, str]:
        reader, found = csv.reader(lines, strict=True), []
        try:
            found.extend(reader)
        except csv.Error as error:
            return found, reader.line_num, str(error)
        return found, reader.line_num, ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", size)
        assert list(read_lines_with_ends(path)) == list(io.StringIO(text, newline=""))
        assert rows(read_lines_with_ends(path)) == rows(io.StringIO(text, newline=""))


@QUICK
@given(before=TEXT, fault=st.sampled_from([b"\x00", b"\xff", b"\xe2\x82"]), size=st.integers(1, 9))
def test_a_fault_is_placed_whatever_the_pieces(before: str, fault: bytes, size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"begin " + before.replace("\r", "").encode() + fault + b"\nmore\n")
    messages = []
    with pytest.MonkeyPatch.context() as patch:
        for read in (read_text, lambda path: list(read_lines(path))):
            for piece in (size, 1 << 20):
                patch.setattr(module, "PIECE", piece)
                with pytest.raises(DataError) as caught:
                    read(path)
                messages.append(str(caught.value))
    assert len(set(messages)) == 1
    number = before.count("\n") + 1
    assert messages[0].startswith(f"{path}:{number}: expected UTF-8 text")


def test_the_rest_of_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault behind what is asked for is not seen, as nothing of it is in memory."""
    path = tmp_path / "x.txt"
    path.write_bytes(b"one\ntwo\n" * 10 + b"\xff")
    monkeypatch.setattr(module, "PIECE", 16)
    assert list(islice(read_lines(path), 2)) == [(1, "one"), (2, "two")]
    with pytest.raises(DataError, match=r"x\.txt:21: expected UTF-8 text"):
        list(read_lines(path))
