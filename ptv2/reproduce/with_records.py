"""The options of a command with the kept records that it names: written from them alone, or beside new runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from ptv2.reproduce.jobs.recorded import RecordedRuns, open_records
from ptv2.reproduce.options import Options

Chosen = TypeVar("Chosen", bound=Options)


def use_records(options: Chosen, recorded: RecordedRuns) -> Chosen:
    """The options for writing from records that are laid out as runs; nothing is run."""
    return replace(options, recorded=recorded, out=str(recorded.out), collect=True)


@contextmanager
def with_records(options: Chosen) -> Iterator[Chosen]:
    """The options with the records that `records=` or `kept=` name, for as long as the context is open.

    Raises:
        RunError: there are none, or one is damaged.
    """
    if options.records is not None:
        with open_records(options.records) as recorded:
            yield use_records(options, recorded)
    elif options.kept is not None:
        with open_records(options.kept) as known:
            yield replace(options, known=known)
    else:
        yield options
