"""The files of a split: one file, a folder of files, or numbered shards (`train-00000-of-00002.parquet`)."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ptv2.errors import DataError

# Stem, number, how many there are, perhaps the hash that the hub once put there, and ending.
SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(-[0-9a-f]{16})?(\.\w+)", re.ASCII)


@dataclass(frozen=True)
class SplitFiles:
    """What the examples of a split are read from, in this order."""

    place: Path  # a file or folder; of shards `DIR/train-*-of-00002.parquet`, which only names them
    paths: tuple[Path, ...]  # that file or folder, or the shards

    def files(self) -> Iterator[Path]:
        """Each file, also those of a folder."""
        for path in self.paths:
            yield from sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def set_name(name: str) -> str:
    """Name the set that a shard is of, `train.parquet`; any other file keeps its name."""
    match = SHARD.fullmatch(name)
    return f"{match[1]}{match[5]}" if match else name


class ShardFinder:
    """Finds files, and shards in their place; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[re.Match[str]]]] = {}

    def is_there(self, path: Path) -> bool:
        """Whether a file or folder is there, or shards of it; perhaps not all of them."""
        return path.exists() or self.has_shards(path)

    def has_shards(self, path: Path) -> bool:
        """Whether there are shards of a file."""
        return bool(self._shards(path))

    def find(self, path: Path) -> SplitFiles:
        """Find what `is_there`.

        Raises:
            DataError: shards are missing, or they are of several sets.
        """
        shards = self._shards(path)
        if path.exists() or not shards:
            return SplitFiles(path, (path,))
        numbers = {int(shard[2]): path.with_name(shard[0]) for shard in shards}
        total = max((shard[3] for shard in shards), key=int)
        if len({shard[3] for shard in shards}) > 1 or len(numbers) < len(shards) or max(numbers) >= int(total):
            names = ", ".join(sorted(shard[0] for shard in shards)[:3])
            raise DataError(f"{path.parent}: expected one set of shards of {path.name}, found {names}")
        if absent := int(total) - len(numbers):
            first = next(number for number in range(int(total)) if number not in numbers)
            example = _rename(shards[0], f"{first:0{len(total)}}")
            which = f"is missing: {example}" if absent == 1 else f"are missing, such as {example}"
            raise DataError(f"{path.parent}: {absent} of the {int(total)} shards of {path.name} {which}")
        return SplitFiles(path.with_name(_rename(shards[0], "*")), tuple(numbers[number] for number in sorted(numbers)))

    def _shards(self, path: Path) -> list[re.Match[str]]:
        """The shards of a file, with the parts of their names; none where the folder cannot be listed."""
        if path.parent not in self._folders:
            sets = self._folders[path.parent] = defaultdict(list)
            with suppress(OSError):
                for name in os.listdir(path.parent):
                    if match := SHARD.fullmatch(name):
                        sets[set_name(name)].append(match)
        return self._folders[path.parent].get(path.name, [])


def _rename(shard: re.Match[str], number: str) -> str:
    """Name a shard with another number; its hash is not known."""
    return f"{shard[1]}-{number}-of-{shard[3]}{'-*' if shard[4] else ''}{shard[5]}"
