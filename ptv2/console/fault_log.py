"""The line in which a command reports an error; the traceback of a fault of ptv2 itself goes into a file."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ptv2.errors import DiskFullError, Ptv2Error, TrainingError, first_line, has_full_disk, has_no_memory
from ptv2.files import cache_folder, write_text_whole

SOFTWARE = 70  # EX_SOFTWARE of sysexits.h
SHOW = "PTV2_TRACEBACK"  # set in the environment, and not to 0: tracebacks are also printed
KEPT = 20  # logs in the folder

_written: dict[str, Path] = {}  # this process's logs, by their text


def answer(error: BaseException) -> tuple[str, int]:
    """The line for the user, and the exit code."""
    if os.environ.get(SHOW, "0") not in ("", "0"):
        with suppress(OSError):
            traceback.print_exception(error)
    if isinstance(error, Ptv2Error):
        return str(error), error.exit_code
    if has_no_memory(error):
        return "out of memory; `ptv2 plan` with the same settings says what a run needs", TrainingError.exit_code
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        return "no folder for temporary files can be written to; TMPDIR=DIR in the environment names one", 2
    if isinstance(error, OSError) and (error.filename is not None or error.errno is not None):
        code = DiskFullError.exit_code if has_full_disk(error) else Ptv2Error.exit_code
        return f"{error.filename or 'writing'}: {_fault_of(error)}", code
    if has_full_disk(error):
        return first_line(error), DiskFullError.exit_code
    from ptv2.variables import fault_of_variable

    if (fault := fault_of_variable(error)) is not None:
        return fault, Ptv2Error.exit_code
    log = _write(error)
    where = f"the traceback is in {log}" if log else f"{SHOW}=1 shows the traceback"
    return f"a fault of ptv2, not of your input: {type(error).__name__}: {first_line(error, 80)}; {where}", SOFTWARE


def _fault_of(error: OSError) -> str | None:
    if not isinstance(error, FileExistsError | NotADirectoryError):
        return error.strerror
    if error.filename is not None and os.path.islink(error.filename) and not os.path.exists(error.filename):
        return f"a link to {os.readlink(error.filename)}, which is not there; expected a folder"
    return "a file is there; expected a folder"


def _write(error: BaseException) -> Path | None:
    """Write the traceback, with the command and versions, into the first folder that can be written.

    Jobs of a sweep that fail in the same way share one log.
    """
    text = _describe(error)
    if (log := _written.get(text)) is not None and log.exists():
        return log
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}-{len(_written)}.log"
    for folder in _folders():
        with suppress(OSError):
            write_text_whole(folder / name, text)
            _remove_old(folder, name)
            _written[text] = folder / name
            return folder / name
    return None


def _describe(error: BaseException) -> str:
    from ptv2.run_folders.environment import PACKAGES, version_of

    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := version_of(name)))
    trace = "".join(traceback.format_exception(error))
    text = f"{shlex.join(sys.argv)}\nPython {platform.python_version()}, {platform.platform()}, {versions}\n\n{trace}"
    return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be written


def _folders() -> Iterator[Path]:
    if (cache := cache_folder()) is not None:
        yield cache / "faults"
    yield Path(tempfile.gettempdir()) / "ptv2-faults"


def _remove_old(folder: Path, newest: str) -> None:
    """Leave `KEPT` logs; `newest` is one of them also where the clock was set back."""
    for path in sorted(path for path in folder.glob("*.log") if path.name != newest)[: 1 - KEPT]:
        path.unlink(missing_ok=True)
