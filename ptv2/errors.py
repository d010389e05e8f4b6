"""Errors for users: one line and an exit code, no traceback."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # Ray colours its errors
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_DISK_WORDS = ("No space left on device", "database or disk is full", "Disk quota exceeded", "File too large (os")

NO_MEMORY_WORDS = (
    "can't allocate memory",
    "Cannot allocate memory",
    "failed to map segment",
    "std::bad_alloc",
    "PyObject pointer is null",
    "can't start new thread",
    "ThreadPoolBuildError",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "MPS backend out of memory",
)
ONEDNN_WORDS = ("could not create a primitive", "could not create a memory", "could not execute a primitive")
SHORT = 2**30  # bytes


class Ptv2Error(Exception):
    """Base of the errors that `ptv2` reports in one line instead of a traceback."""

    exit_code = 2


class ConfigError(Ptv2Error):
    """A name, key or value in the configuration is not valid."""


class DataError(Ptv2Error):
    """A data file, record or label is missing or malformed."""


class ModelError(Ptv2Error):
    """A backbone cannot be loaded, or cannot be used with the method asked for."""


class NonFiniteError(ModelError):
    """A model's weights or scores are NaN or infinite: nothing can be predicted with it."""


class RunError(Ptv2Error):
    """A run directory cannot be used: locked, incomplete, or belonging to something else."""


class UnreadableError(RunError):
    """A file of a run cannot be read now, as by this user: that says nothing about its content."""


class NetworkError(Ptv2Error):
    """The hub, or the way to it, failed: the same command may succeed later."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h


class DiskFullError(Ptv2Error):
    """There is no space for a file, or a quota or limit is reached."""

    exit_code = 74  # EX_IOERR of sysexits.h


class TrainingError(Ptv2Error):
    """Training could not go on: a non-finite loss, or memory that ran out."""

    exit_code = 1


class Interrupted(Ptv2Error):  # noqa: N818 - not a fault, but it ends the command
    """Training was stopped by a signal after its state was written."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Pruned(Ptv2Error):  # noqa: N818 - not a fault, but it ends the run
    """A sweep ended a run early, since others were better; it has no result."""


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it, the last first."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        yield link
        seen.append(link)
        link = link.__cause__ or link.__context__


def has_full_disk(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is a full disk, a quota that is used up or a limit on files' sizes.

    Libraries in Rust and databases have other errors for it, which are recognized by their words.
    """
    return any(
        (isinstance(link, OSError) and link.errno in FULL_DISK)
        or (not isinstance(link, Ptv2Error) and any(words in str(link) for words in FULL_DISK_WORDS))
        for link in causes_of(error)
    )


def has_no_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is a lack of memory.

    Python, the system's loader, torch, C++ and Rust each have an error for it; oneDNN's says nothing of memory.
    """
    return any(
        isinstance(link, MemoryError)
        or (isinstance(link, OSError) and link.errno == errno.ENOMEM)
        or (not isinstance(link, Ptv2Error) and any(words in str(link) for words in NO_MEMORY_WORDS))
        or (isinstance(link, RuntimeError) and str(link).startswith(ONEDNN_WORDS) and is_memory_short())
        for link in causes_of(error)
    )


def is_memory_short() -> bool:
    """Whether the system, or a limit of this process, leaves less than `SHORT` bytes."""
    import psutil

    return _is_limit_near() or bool(psutil.virtual_memory().available < SHORT)


def _is_limit_near() -> bool:
    import psutil

    try:
        import resource
    except ImportError:  # Windows
        return False
    if sys.platform != "win32":
        process = psutil.Process().memory_info()
        for kind, used in ((resource.RLIMIT_AS, process.vms), (resource.RLIMIT_DATA, process.rss)):
            limit, _ = resource.getrlimit(kind)
            if limit != resource.RLIM_INFINITY and limit - used < SHORT:
                return True
    return False


LINE = 300  # characters of an error's line
PATH = 180  # characters of a path in one that would be longer
_LONG_PATH = re.compile(rf"\S{{{PATH + 10},}}")


def unknown(kind: str, name: str, known: Iterable[str], below: str = "", near: str | None = None) -> str:
    """Say that `name` is no known `kind`, with the nearest and the valid choices, as many as fit into a line.

    Args:
        below: a prefix of all names, which the list has once.
        near: what is probably meant, where that is known better than by its letters.

    Returns a sentence such as ``unknown task 'rt'; did you mean rte? known: boolq, cb, rte``.
    """
    choices = sorted(set(known))
    near = near or next(iter(get_close_matches(name[:80], choices, n=1, cutoff=0.6)), None)
    hint = f"; did you mean {near}?" if near else ";"
    scope = f" below {below.rstrip('.')}" if below else ""
    start = f"unknown {kind} '{shorten(name)}'{hint} known{scope}: "
    return start + _list([choice.removeprefix(below) for choice in choices], LINE - len(start))


def _list(names: list[str], most: int) -> str:
    """List the names, or as many of them as `most` characters hold and how many more there are."""
    names = [shorten(name, 40) for name in names]
    text = ", ".join(names) or "none"
    if len(text) <= most:
        return text
    shown = text[: most - 20].count(",")
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"


def in_one_line(message: str) -> str:
    """Remove line ends from a message and cut it to `LINE` characters; a long path loses its middle first."""
    line = " ".join(message.splitlines())
    if len(line) > LINE:
        line = _LONG_PATH.sub(lambda path: f"{path[0][: PATH // 2]}...{path[0][-PATH // 2 :]}", line)
    return shorten(line, LINE)


def first_line(error: BaseException, most: int = 160) -> str:
    """Return the first line of a library's error, cut to `most` characters."""
    return shorten((_COLOUR.sub("", str(error)).strip() or type(error).__name__).splitlines()[0], most)


def shorten(text: str, most: int = 80) -> str:
    """Cut a text that is longer than `most` characters, with an ellipsis at its end."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def quote(value: object, most: int = 60) -> str:
    """Quote a value from a file in a message: as Python writes it, cut to `most` characters."""
    return shorten(repr(value[: most + 1] if isinstance(value, str) else value), most)


def is_text(value: str) -> bool:
    """Whether a text has bytes in UTF-8: a name of a file that is not UTF-8 has half characters in Python."""
    return value.isprintable() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def kind_of(value: object) -> str:
    """Say what kind of value a file of JSON or YAML holds, in a user's words: `a list`, `a number`."""
    kinds = {
        bool: "true or false",
        str: "a text",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else kinds.get(type(value), "another kind of value")


def enumerate_some(names: Iterable[object], most: int = 8) -> str:
    """List names from a file in a message: the first few, each cut, and how many more there are."""
    listed = [str(name) for name in names]
    shown = ", ".join(shorten(name, 24) for name in listed[:most])
    return f"{shown} and {len(listed) - most} more" if len(listed) > most else shown


def unknown_in_data(kind: str, name: str, known: Iterable[str]) -> str:
    """`unknown` for names from files: any number, of any length."""
    choices = sorted(set(known))
    near = get_close_matches(name[:60], choices, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near and len(near[0]) <= 60 else ";"
    return f"unknown {kind} {quote(name)}{hint} known: {enumerate_some(choices)}"
