"""Write files that appear whole or not at all: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from ptv2 import file_locks
from ptv2.errors import ConfigError
from ptv2.interruption import before_end

NAME = 255  # bytes that a name may have


def write_bytes_whole(path: str | Path, *data: bytes | memoryview) -> None:
    """Write the pieces of `data` as the whole file `path`; see `write_whole`."""
    write_whole(path, lambda file: file.writelines(data))


def write_whole(path: str | Path, write: Callable[[IO[bytes]], None]) -> None:
    """Let `write` fill a file so that `path` has either its old content or all of the new, also after a power cut.

    The folder is created. Devices and pipes are written to directly. `OSError` (disk full, read-only) leaves no
    temporary file behind.
    """
    path = Path(path)
    if _is_stream(path):
        with naming(path), path.open("wb") as file:
            write(file)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    handle, temporary = _temporary(path)
    try:
        with naming(path), os.fdopen(handle, "wb") as file:  # closing it may fail too
            _fill(file, write)
            if file_locks.AVAILABLE:
                os.replace(temporary, path)
        if not file_locks.AVAILABLE:  # Windows renames no open file
            os.replace(temporary, path)
    except IsADirectoryError as error:
        Path(temporary).unlink(missing_ok=True)
        raise IsADirectoryError(error.errno, "a folder, expected a file", str(path)) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def _fill(file: IO[bytes], write: Callable[[IO[bytes]], None]) -> None:
    """Let `write` fill a temporary file, to the disk."""
    write(file)
    file.flush()
    with suppress(OSError):  # a file system without modes
        if hasattr(os, "fchmod"):  # not on Windows
            os.fchmod(file.fileno(), 0o666 & ~_umask())  # mkstemp makes files private; results are not
    os.fsync(file.fileno())


def _is_stream(path: Path) -> bool:
    """Whether `path` is a device, a pipe or a stream such as /dev/stdout, which a renamed file would replace."""
    if path.parent in (Path("/dev"), Path("/dev/fd")) or path.parts[:2] == ("/", "proc"):
        return True
    return path.exists() and not (path.is_file() or path.is_dir())


def _temporary(path: Path) -> tuple[int, str]:
    """A new file beside `path`, locked as long as it is open, so that nobody takes it for a leftover."""
    while True:
        try:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{_begin(path)}.", suffix=".tmp")
        except OSError as error:
            error.filename = str(path)  # the name that the user knows
            raise
        with suppress(OSError):  # a file system without locks
            file_locks.lock(handle)
        if os.fstat(handle).st_nlink:
            return handle, temporary
        os.close(handle)  # removed by another process before it was locked


@contextmanager
def _beside(path: Path) -> Iterator[tuple[IO[bytes], str]]:
    """A temporary file beside `path` and its name, under which it is removed at the end if it is there still."""
    remove_leftovers(path)
    handle, temporary = _temporary(path)
    try:
        with naming(path), os.fdopen(handle, "wb") as file:  # closing it may fail too
            yield file, temporary
    finally:
        Path(temporary).unlink(missing_ok=True)


def _begin(path: Path) -> str:
    """The name, or as much of it as leaves room for the rest of a temporary file's name."""
    return os.fsdecode(os.fsencode(path.name)[: NAME - len("..12345678.tmp")])


def remove_leftovers(path: str | Path) -> None:
    """Remove the temporary files of `path` whose writers were killed."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(_begin(path))}.*.tmp"):
        with suppress(OSError):  # refused while its writer lives
            if not file_locks.AVAILABLE:
                leftover.unlink()
                continue
            with leftover.open("rb") as file:
                file_locks.lock(file.fileno(), wait=False)
                leftover.unlink()


def set_aside(path: str | Path) -> bool:
    """Rename a folder that has the name of a file to write; its content is kept. Returns whether there was one."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        number = 1
        while (other := path.with_name(f".{path.name}.folder{number}")).exists():
            number += 1
        path.rename(other)
        return True
    return False


def check_writable(path: str | Path, source: str | Path) -> None:
    """See that a file can be written, before there is anything to write.

    Args:
        source: what is read to make it.

    Raises:
        OSError: it cannot be written.
        ConfigError: it is what is read.
    """
    if _is_stream(Path(path)):
        return
    if os.path.realpath(path) == os.path.realpath(source):
        raise ConfigError(f"--output: {path} is the input too; expected another file")
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)  # raises for a name that is too long
    _check_place(Path(path).parent, str(path))


def check_folder(folder: str | Path) -> None:
    """See that files can be written into a folder, which need not be there yet, before there is anything to write.

    Raises:
        OSError: they cannot.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(folder)  # raises for a name that is too long
    _check_place(Path(folder), str(folder))


def _check_place(folder: Path, name: str) -> None:
    """Raise `OSError` where a folder can be neither written into nor made; `name` is what the user calls it."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not there.is_dir():  # a file, or a link to a place that is not there
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(there))
    if not os.access(there, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied", name)


def write_text_whole(path: str | Path, text: str) -> None:
    """`write_bytes_whole` for UTF-8 text."""
    write_bytes_whole(path, text.encode("utf-8"))


def write_together(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files of UTF-8 text by name: all, or none of them and no new folder."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            written: dict[Path, tuple[IO[bytes], str]] = {}
            for path, text in ((folder / name, text) for name, text in texts.items()):
                written[path] = file, _ = stack.enter_context(_beside(path))
                _fill(file, lambda file, text=text: file.write(text.encode("utf-8")))  # type: ignore[misc]
            for path, (file, temporary) in written.items():
                if not file_locks.AVAILABLE:  # Windows renames no open file
                    file.close()
                with naming(path):
                    os.replace(temporary, path)
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise
    fsync_folder(folder)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, which is removed also where a signal ends the process meanwhile."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ptv2-"))
        stack.enter_context(before_end(partial(shutil.rmtree, folder, ignore_errors=True)))
        yield Path(folder)


def write_json_whole(path: str | Path, value: Any) -> None:
    """`write_bytes_whole` for readable JSON; NaN and infinity are a `ValueError`."""
    write_text_whole(path, readable_json(value))


def readable_json(value: Any) -> str:
    """One value as readable JSON; NaN and infinity are a `ValueError`."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write one JSON object per line; NaN and infinity are a `ValueError`."""
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add the file's name to an `OSError` without one, as writing to an open file raises."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


# How file systems refuse what they cannot do for a folder, as some network drives do.
CANNOT_FSYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP})


def fsync_folder(folder: str | Path) -> None:
    """Make the names in `folder` (a rename, a new file) survive a power cut, where its file system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in CANNOT_FSYNC:
            raise
    finally:
        os.close(handle)


LFS_POINTER = "a pointer of Git LFS, not the file itself; `git lfs pull` fetches it"


def is_lfs_pointer(start: bytes) -> bool:
    """Whether a file that begins like this is not there itself, but a text in its place that Git LFS left."""
    return start.startswith(b"version https://git-lfs.github.com/spec/")


def cache_folder() -> Path | None:
    """Return the folder for files that only save time; None if the user has no home."""
    if folder := os.environ.get("PTV2_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the standard says to ignore relative ones
        return Path(base) / "ptv2"
    home = home_folder()
    return home and home / ".cache" / "ptv2"


def home_folder() -> Path | None:
    """Return the user's home; None without one, as for a number of a user that the system does not know."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def from_home(path: str | Path) -> Path:
    """Put the user's home for a `~` that begins a path; `~name` of nobody stays, where pathlib would fail."""
    return Path(os.path.expanduser(path))


def _umask() -> int:
    """Read the process's umask, which is possible only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
