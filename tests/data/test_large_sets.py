"""Training sets of more than a few examples: none stays in memory, and what was found out of them is kept."""

from __future__ import annotations

import errno
import gc
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sequences import write_entities

from ptv2.config.compose import compose
from ptv2.config.schema import RunConfig
from ptv2.data import array_files, joining
from ptv2.data.arrays import flatten
from ptv2.data.mapped import region_of
from ptv2.data.shards import SplitFiles
from ptv2.errors import DataError
from ptv2.experiment import read
from ptv2.experiment.data import EncodedData, encode_data
from ptv2.experiment.open import open_run
from ptv2.experiment.overview import describe_data
from ptv2.experiment.read import read_examples
from ptv2.tasks.text import Example

ROWS = 2100  # two whole parts, and a part of a third


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for split, count in (("train", ROWS), ("dev", 30)):
        rows = [{"sentence": f"w{n} or w{n % 7}", "label": ("good", "bad")[n % 3 == 0]} for n in range(count)]
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def words(folder: Path, *more: str) -> RunConfig:
    return compose(["task=classification", f"data.dir={folder}", "model=tiny", f"out={folder.parent / 'out'}", *more])


def encode(config: RunConfig) -> tuple[EncodedData, dict[str, Any]]:
    data = encode_data(read_examples(config, open_run(config).source), shown=False)
    return data, describe_data(data)


def same(one: EncodedData, other: EncodedData) -> bool:
    for split, rows in one.encoded.items():
        (arrays, values), (others, more) = flatten(rows), flatten(other.encoded[split])
        if values != more or not all(np.array_equal(array, others[name]) for name, array in arrays.items()):
            return False
    return one.encoded.keys() == other.encoded.keys()


def test_a_mapped_set_trains_as_one_in_memory(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, overview = encode(words(folder))
    batch = first.encoded["train"].batch([5, 2000, 7])
    for room in (joining, array_files):
        monkeypatch.setattr(room, "MAPPED", 0)
    for path in cache.glob("*.npz"):
        path.unlink()
    for again in range(2):
        mapped, told = encode(words(folder))
        assert same(first, mapped), again
        assert told == overview
        assert region_of(mapped.encoded["train"].tokens.ids) is not None
        for name, values in mapped.encoded["train"].batch([5, 2000, 7]).items():
            assert torch.equal(values, batch[name])
            values += 1  # memory of its own


class NoRoom(io.BytesIO):
    """A file for which there is no room after its first bytes."""

    def __init__(self, *limit: int) -> None:
        super().__init__()

    def write(self, data: Any) -> int:
        if self.tell() > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


class NoRoomForTheLast(io.BytesIO):
    """A file whose last bytes are found to have no room when they leave the buffer."""

    def __init__(self, *limit: int) -> None:
        super().__init__()

    def flush(self) -> None:
        if self.tell() > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")

    def seek(self, place: int, whence: int = 0) -> int:
        self.flush()
        return super().seek(place, whence)

    def close(self) -> None:
        self.flush()


@pytest.mark.parametrize("file", [NoRoom, NoRoomForTheLast])
def test_without_room_for_temporary_files_it_takes_memory(
    file: type[io.BytesIO], folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, overview = encode(words(folder))
    for path in cache.glob("*.npz"):
        path.unlink()
    monkeypatch.setattr(read.tempfile, "SpooledTemporaryFile", file)
    again, told = encode(words(folder))
    assert same(first, again)
    assert told == overview


def test_the_temporary_file_is_gone_once_the_examples_are_encoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[io.BytesIO] = []

    def make(limit: int) -> io.BytesIO:
        made.append(io.BytesIO())
        return made[-1]

    monkeypatch.setattr(read.tempfile, "SpooledTemporaryFile", make)
    before = read_examples(words(folder), open_run(words(folder)).source)
    assert [file.closed for file in made] == [False]
    data = encode_data(before, shown=False)
    assert [file.closed for file in made] == [True]
    assert [len(part) for part in before.parts()] == [1000, 1000, 100]
    assert len(data.encoded["train"]) == ROWS


def without_train(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Refuse to read the training file any more; call the result to allow it again."""
    from ptv2.data import sources

    read = sources.read_split

    def refuse(files: SplitFiles, *args: Any, **options: Any) -> Any:
        assert "train" not in files.place.name
        return read(files, *args, **options)

    monkeypatch.setattr(sources, "read_split", refuse)
    return lambda: monkeypatch.setattr(sources, "read_split", read)


def test_the_training_examples_are_not_kept_nor_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = words(folder)
    first, overview = encode(config)
    gc.collect()
    assert sum(type(thing) is Example for thing in gc.get_objects()) == 30
    assert overview["splits"]["train"]["labels"] == {"bad": 700, "good": 1400}
    without_train(monkeypatch)
    again, told = encode(config)
    assert same(first, again)
    assert told == overview
    assert [example.label for example in again.examples["dev"]] == [example.label for example in first.examples["dev"]]


@pytest.mark.parametrize("lost", ["what was found out", "the encoded set", "all"])
def test_what_the_cache_lost_is_made_again(lost: str, folder: Path, cache: Path) -> None:
    config = words(folder)
    first, overview = encode(config)
    smaller, larger = sorted(cache.glob("*.npz"), key=lambda path: path.stat().st_size)
    for path in {"what was found out": [smaller], "the encoded set": [larger], "all": [smaller, larger]}[lost]:
        path.unlink()
    again, told = encode(config)
    assert same(first, again)
    assert told == overview
    assert len(list(cache.glob("*.npz"))) == 2


CHANGES: dict[str, Sequence[str]] = {
    "fewer": ["data.limit.train=1500"],
    "shots": ["data.shots=600"],
    "other fields": ["task.text=label", "task.label=sentence", "data.limit.train=900"],
    "other labels": ["task.labels=[good,bad]"],
    "shorter": ["task.max_length=5"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_settings_find_nothing_wrong_in_the_cache(change: str, folder: Path, cache: Path) -> None:
    config = words(folder, *CHANGES[change])
    fresh, overview = encode(config)
    for path in cache.glob("*.npz"):
        path.unlink()
    encode(words(folder))
    again, told = encode(config)
    assert same(fresh, again)
    assert told == overview


def test_changed_data_are_read_again(folder: Path) -> None:
    config = words(folder)
    encode(config)
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"sentence": "one more", "label": "ugly"}\n')
    data, overview = encode(config)
    assert data.task.labels == ["bad", "good", "ugly"]
    assert len(data.encoded["train"]) == overview["splits"]["train"]["examples"] == ROWS + 1


def test_a_file_that_changes_meanwhile_is_refused(folder: Path, cache: Path) -> None:
    config = words(folder)
    source = open_run(config).source
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"sentence": "one more", "label": "good"}\n')
    with pytest.raises(DataError, match=r"train\.jsonl: the file changed while it was read"):
        read_examples(config, source)
    assert not cache.exists()


def test_a_file_that_is_gone_meanwhile_is_refused(folder: Path) -> None:
    source = open_run(words(folder)).source
    (folder / "dev.jsonl").unlink()
    with pytest.raises(DataError, match=r"dev\.jsonl: the file changed while it was read"):
        source.check()


def test_sentences_of_words_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_entities(tmp_path / "data")
    train = data / "train.txt"
    train.write_text(train.read_text() * (1 + 1100 // train.read_text().count("\n\n")))
    config = compose(["task=ner", f"data.dir={data}", "model=tiny", f"out={tmp_path / 'out'}"])
    first, overview = encode(config)
    assert overview["splits"]["train"]["examples"] > 1000
    without_train(monkeypatch)
    again, told = encode(config)
    assert same(first, again)
    assert told == overview
    assert again.task.state() == first.task.state()
