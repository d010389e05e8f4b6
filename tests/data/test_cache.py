"""The cache of encoded sets: found by content, never wrong, never in the way."""

from __future__ import annotations

import errno
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from ptv2.data import array_files
from ptv2.data import cache as module
from ptv2.data.arrays import flatten
from ptv2.data.cache import cache_folder, cached, key_of, tokenizer_key
from ptv2.data.mapped import region_of
from ptv2.data.tokens import Tokens
from ptv2.data.words import TaggedSet


@dataclass(frozen=True)
class Item:
    text: str
    record: dict[str, Any]


def tagged(seed: int = 0, size: int = 20) -> TaggedSet:
    ids = np.random.default_rng(seed).integers(0, 99, size, dtype=np.int32)
    tokens = Tokens(ids, None, np.array([0, size // 2, size]), 1)
    return TaggedSet(tokens, ids % 3, ids % 5, np.array([0, 2]), np.int64(3))


class Maker:
    """Gives a set and counts how often it was asked."""

    def __init__(self, seed: int = 0, size: int = 20) -> None:
        self.calls, self.seed, self.size = 0, seed, size

    def __call__(self) -> TaggedSet:
        self.calls += 1
        return tagged(self.seed, self.size)


def same(left: TaggedSet, right: TaggedSet) -> bool:
    (arrays, values), (others, more) = flatten(left), flatten(right)
    return values == more and arrays.keys() == others.keys() and all(
        array.dtype == others[name].dtype and np.array_equal(array, others[name]) for name, array in arrays.items()
    )  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def the_file(folder: Path) -> Path:
    [path] = folder.iterdir()
    assert path.suffix == ".npz"
    return path


def test_made_once_and_read_as_it_was(folder: Path) -> None:
    make = Maker()
    first = cached(TaggedSet, ["words", 3], make)
    second = cached(TaggedSet, ["words", 3], make)
    assert make.calls == 1
    assert same(first, tagged())
    assert same(second, first)
    assert second.tokens.types is None
    assert type(second.truncated) is int
    other = Maker(seed=1)
    assert same(cached(TaggedSet, ["words", 4], other), tagged(1))
    assert other.calls == 1
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("before", [None, b"torn"])
def test_what_another_process_made_meanwhile_is_not_replaced(folder: Path, before: bytes | None) -> None:
    """Who has it mapped would lose it on some network drives."""
    if before is not None:
        cached(TaggedSet, ["a"], Maker())
        the_file(folder).write_bytes(before)
    others: list[int] = []

    def make() -> TaggedSet:
        cached(TaggedSet, ["a"], Maker())
        others.append(the_file(folder).stat().st_ino)
        return tagged()

    assert same(cached(TaggedSet, ["a"], make), tagged())
    assert [the_file(folder).stat().st_ino] == others


def test_large_arrays_stay_in_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "MAPPED", 300)
    cached(TaggedSet, ["a"], Maker(size=200))
    read = cached(TaggedSet, ["a"], Maker(seed=1))
    assert same(read, tagged(size=200))
    assert read.tokens.highest == tagged(size=200).tokens.highest
    assert [region_of(array) is not None for array in (read.tokens.ids, read.tokens.starts)] == [True, False]
    with np.load(the_file(folder)) as file:  # a file as others write it too
        assert np.array_equal(file["tokens.ids"], read.tokens.ids)
    the_file(folder).unlink()
    assert same(read, tagged(size=200))


KEYS: list[Any] = [
    [], [""], ["a"], ["b"], ["a", "b"], ["ab"], [["a", "b"]], [["a"], ["b"]], [["ab"]], [None], [0], [False], [[]],
    [[], []], [{}], [{"a": 1}], [{"a": 2}], [{"b": 1}], [Item("a", {})], [[Item("a", {})]], [Item("a", {"id": 1})],
    [[Item("a", {}), Item("b", {})]], [[Item("b", {}), Item("a", {})]], ["\ud800"], [["a"] * 1000], [["a"] * 1001],
    [[*["a"] * 1000, "b"]],
]  # fmt: skip


def test_different_content_has_different_keys() -> None:
    assert len({key_of(parts) for parts in KEYS}) == len(KEYS)
    assert [key_of(parts) for parts in KEYS] == [key_of(parts) for parts in KEYS]
    assert key_of([{"a": 1, "b": 2}, (1, 2)]) == key_of([{"b": 2, "a": 1}, [1, 2]])
    with pytest.raises(TypeError, match=r"^object: not a value"):
        key_of([object()])


def test_the_code_is_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(["a"])
    monkeypatch.setattr(module, "__file__", str(tmp_path / "data" / "cache.py"))
    keys = [before, key_of(["a"])]
    for room, name in (("data", "words.py"), ("tasks", "tag.py"), ("experiment", "read.py")):
        (tmp_path / room).mkdir()
        for code in "12":
            (tmp_path / room / name).write_text(code)
            keys.append(key_of(["a"]))
    assert len(set(keys)) == 8


def test_a_tokenizer_is_known_by_what_it_does() -> None:
    def make(words: str = "abc", **settings: Any) -> PreTrainedTokenizerFast:
        backend = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="a"))
        return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="a", **settings)

    tokenizer = make()
    before = tokenizer_key(tokenizer)
    tokenizer("a b c", truncation=True, max_length=2)
    assert tokenizer.backend_tokenizer.truncation is not None
    assert tokenizer_key(tokenizer) == before == tokenizer_key(make())
    assert len({before, tokenizer_key(make("acb")), tokenizer_key(make(pad_token="b"))}) == 3
    assert tokenizer_key(make(model_input_names=["input_ids"])) != before
    assert tokenizer_key(make(truncation_side="left")) != before
    assert tokenizer_key(make(split_special_tokens=True)) != before
    assert tokenizer_key(make(mask_token="b")) != tokenizer_key(make(cls_token="b"))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_recognised_and_made_again(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTV2_CACHE", str(folder))
        patch.setattr(array_files, "MAPPED", data.draw(st.sampled_from([0, 2**20])))
        cached(TaggedSet, ["a"], Maker())
        whole = the_file(folder).read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        torn = data.draw(st.sampled_from([
            whole[:place],
            whole[:place] + bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[place + 1 :],
            whole[:place] + bytes(min(50, len(whole) - place)) + whole[place + 50 :],
        ]))  # fmt: skip
        the_file(folder).write_bytes(torn)
        make = Maker()
        assert same(cached(TaggedSet, ["a"], make), tagged())
        assert not make.calls or the_file(folder).read_bytes() == whole
        make = Maker(seed=1)
        assert same(cached(TaggedSet, ["a"], make), tagged())
        assert make.calls == 0


def test_a_file_of_another_key_or_kind_is_made_again(folder: Path) -> None:
    cached(TaggedSet, ["a"], Maker())
    path = the_file(folder)
    foreign = path.read_bytes()
    path.unlink()
    cached(TaggedSet, ["b"], Maker(seed=1))
    the_file(folder).write_bytes(foreign)
    assert same(cached(TaggedSet, ["b"], Maker(seed=1)), tagged(1))

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was run",))

    np.savez(the_file(folder), allow_pickle=True, about=np.array([Trap()], dtype=object))
    assert same(cached(TaggedSet, ["b"], Maker(seed=1)), tagged(1))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_no_cache(
    number: int, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    make = Maker()
    with caplog.at_level(logging.DEBUG, "ptv2"):
        for _ in range(2):
            assert same(cached(TaggedSet, ["a"], make), tagged())
    assert make.calls == 2
    assert list(folder.iterdir()) == []
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert os.strerror(number) in caplog.text


def test_a_file_in_the_place_of_the_folder_is_no_cache(folder: Path) -> None:
    folder.write_text("")
    assert same(cached(TaggedSet, ["a"], Maker()), tagged())
    assert folder.read_text() == ""


def test_the_files_not_used_for_longest_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(TaggedSet, [0], Maker())
    size = the_file(folder).stat().st_size
    monkeypatch.setattr(module, "LIMIT_BYTES", 3 * size + 50)
    now = time.time()
    for n in range(3):
        cached(TaggedSet, [n], Maker())
        path = max(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        os.utime(path, (now - 100 + n,) * 2)
    cached(TaggedSet, [0], Maker())  # used again
    (folder / "other.txt").write_text("not ours")
    cached(TaggedSet, [3], Maker())
    makers = [Maker() for _ in range(4)]
    for n in (0, 2, 3):
        cached(TaggedSet, [n], makers[n])
    assert len(list(folder.glob("*.npz"))) == 3
    assert (folder / "other.txt").exists()
    cached(TaggedSet, [1], makers[1])
    assert [maker.calls for maker in makers] == [0, 1, 0, 0]


def test_files_that_cannot_be_removed_do_not_keep_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another user, in a folder that is shared."""
    for n in range(4):
        cached(TaggedSet, [n], Maker())
    theirs = folder / f"{key_of(['TaggedSet', 0])}.npz"
    for n, path in enumerate(sorted(folder.iterdir(), key=lambda path: path == theirs)):
        os.utime(path, (time.time() - 100 + n,) * 2)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == theirs:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(module, "LIMIT_BYTES", theirs.stat().st_size + 50)
    cached(TaggedSet, [4], Maker())
    assert len(list(folder.iterdir())) == 2


def test_a_set_larger_than_the_limit_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(TaggedSet, ["small"], Maker())
    monkeypatch.setattr(module, "LIMIT_BYTES", 5000)
    cached(TaggedSet, ["large"], Maker(size=10_000))
    the_file(folder)


def test_what_a_killed_process_left_is_removed_after_a_day(folder: Path) -> None:
    folder.mkdir()
    old, new = folder / ".0.npz.x.tmp", folder / ".1.npz.x.tmp"
    for path, age in ((old, 2 * 24 * 3600), (new, 60)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    cached(TaggedSet, ["a"], Maker())
    assert not old.exists()
    assert new.exists()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("PTV2_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "ptv2"
    for other in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", other)
        assert cache_folder() == tmp_path / ".cache" / "ptv2"

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert cache_folder() is None
    assert same(cached(TaggedSet, ["a"], Maker()), tagged())
