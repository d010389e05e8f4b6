"""Read a task's data before torch is imported: what is scored stays in memory, what is trained on is only counted."""

from __future__ import annotations

import logging
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from ptv2.config.schema import RunConfig
from ptv2.config.task_schema import Split
from ptv2.data.repeats import describe_repeats
from ptv2.data.sources import Source
from ptv2.errors import DataError

if TYPE_CHECKING:
    from ptv2.data.cloze import Reading
    from ptv2.tasks.load import AnyTask

TRAIN: Final = "train"
# Bytes of what is to be encoded that stay in memory; more of them go to a temporary file.
IN_MEMORY = 2**25
NEEDED: tuple[Split, ...] = (TRAIN, "dev")
log = logging.getLogger(__name__)
Parts = Callable[[], Iterator[Sequence[Any]]]


@dataclass(frozen=True)
class Facts:
    """What reading a task's data found out, as the cache keeps it: the next run need not look at each example again."""

    state: dict[str, Any]  # of the task: labels and scheme
    examples: dict[str, int]  # by split
    gold: dict[str, dict[str, int]]  # how often each answer is right, by split
    guesses: list[str]
    notes: list[str]


@dataclass(frozen=True)
class Read:
    """A task with what its data are."""

    config: RunConfig
    source: Source
    task: AnyTask
    facts: Facts
    examples: dict[str, list[Any]]  # of the splits that are scored: all but train
    parts: Parts  # what is encoded of the training examples, in parts
    content: tuple[Any, ...] | None  # what the training examples are known by in the cache; None: they are few


def read_examples(
    config: RunConfig,
    source: Source,
    splits: Sequence[str] | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> Read:
    """Read the task's data, or of the training set no more than its files' hashes where the cache knows the rest.

    Args:
        splits: those that are needed; None: all that there are.
        done: called after each whole part of the training examples with their number.

    Raises:
        ConfigError: labels, choices and words that do not go together.
        DataError: a split that is empty, or a record that is not right; or a file changed meanwhile.
    """
    from ptv2.data.cache import cached  # imports numpy
    from ptv2.tasks.load import load_task
    from ptv2.tasks.task import PART

    wanted = source.splits if splits is None else [split for split in source.splits if split in splits]
    content = None if source.moving else _content(config, source)
    first: _FirstReading | None = None

    def read_all() -> Facts:
        nonlocal first
        first = _FirstReading(load_task(config.task, source, reading=reading(config)), source, done)
        return first.read(wanted)

    if content is None:
        facts = read_all()
        content = _content(config, source)  # the branch's commit is known now
    else:
        facts = cached(Facts, [wanted, *content], read_all, worth=lambda made: made.examples[TRAIN] > PART)
    if first is not None:
        task, examples = first.task, first.scored
        parts: Parts = first.parts
    else:
        task = load_task(config.task, source, facts.state, reading(config))
        examples = {split: _read_split(task, source, split) for split in wanted if split != TRAIN}
        parts = _read_again(task, source)
    source.check()
    return Read(config, source, task, facts, examples, parts, content if facts.examples[TRAIN] > PART else None)


class _FirstReading:
    """A task's data as they are read where the cache does not know them."""

    def __init__(self, task: AnyTask, source: Source, done: Callable[[int], None]) -> None:
        self.task, self._source, self._done = task, source, done
        self.scored: dict[str, list[Any]] = {}
        self._items: IO[bytes] | None = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self._count = 0  # parts

    def read(self, wanted: Sequence[Split]) -> Facts:
        """Read, check and count all examples."""
        from ptv2.data.summary import Summary
        from ptv2.tasks.task import PART, in_parts

        task = self.task
        splits: dict[str, Summary] = {}
        for split in wanted:
            splits[split] = Summary()
            if split == TRAIN:
                for examples in in_parts(task.make_examples(self._source.read(split))):
                    task.count(examples, splits[split])
                    self._keep([task.item(example) for example in examples])
                    if len(examples) == PART:  # fewer are read before anybody looks
                        self._done(PART)
            else:
                self.scored[split] = _read_split(task, self._source, split)
                task.count(self.scored[split], splits[split])
        for name in dict.fromkeys((*NEEDED, *wanted)):
            if not splits.get(name):
                raise DataError(f"task {task.config.name}: the {name} split has no examples")
        self._source.check()
        return Facts(
            state=task.state(),
            examples={split: len(summary) for split, summary in splits.items()},
            gold={split: dict(summary.gold) for split, summary in splits.items()},
            guesses=list(dict.fromkeys([*self._source.notes, *task.guesses()])),
            notes=[*task.notes(splits), *describe_repeats({split: summary.seen for split, summary in splits.items()})],
        )

    def parts(self) -> Iterator[Sequence[Any]]:
        """The items of the training set; where they are asked for again, they are read again."""
        return _read_again(self.task, self._source)() if self._items is None else self._kept(self._items)

    def _kept(self, items: IO[bytes]) -> Iterator[Sequence[Any]]:
        items.seek(0)
        for _ in range(self._count):
            yield pickle.load(items)
        self._drop(items)  # their memory, or room on the disk, is not held during the training

    def _keep(self, items: list[Any]) -> None:
        if self._items is None:
            return
        try:
            pickle.dump(items, self._items, pickle.HIGHEST_PROTOCOL)
            self._items.flush()  # all of it is written, or the error comes here
            self._count += 1
        except OSError as error:  # no folder for temporary files, or no room in it
            log.debug("the training examples are read twice: %s", error)
            self._drop(self._items)

    def _drop(self, items: IO[bytes]) -> None:
        self._items = None
        with suppress(OSError):  # there was no room for the last of it
            items.close()


def _read_again(task: AnyTask, source: Source) -> Parts:
    """Items of the training set, read where they are asked for: the cache had no encoded set any more."""

    def parts() -> Iterator[list[Any]]:
        from ptv2.tasks.task import in_parts

        for examples in in_parts(task.make_examples(source.read("train"))):
            yield [task.item(example) for example in examples]
        source.check()

    return parts


def _content(config: RunConfig, source: Source) -> tuple[Any, ...]:
    """All that the examples depend on."""
    data = config.data.model_dump(mode="json", exclude={"dir", "workers"})
    commit = source.provenance.get("commit")
    return source.fingerprint, commit, source.files, config.task.model_dump(mode="json"), data, reading(config)


def _read_split(task: AnyTask, source: Source, split: Split) -> list[Any]:
    try:
        return task.read(source.read(split))
    except DataError as error:
        if split in NEEDED or any(task.has_gold(record) for record in source.read(split)):
            raise
        file = source.provenance.get(split, f"the {split} split")
        raise DataError(
            f"{file}: no example says what is right, so that it cannot be scored; take the file away or set "
            f"task.sources.files.files.{split}=[], and give it to `ptv2 predict` after the training"
        ) from error


def reading(config: RunConfig) -> Reading | None:
    """How a language model is asked, which its configuration says; None unless the head is a verbalizer."""
    if config.head.kind != "verbalizer":
        return None
    from ptv2.experiment import heads  # imports torch

    return heads.reading(config.model)
