"""Fetch from the hub: show the progress, explain a failure in one line, and check the hub's checksums."""

from __future__ import annotations

import hashlib
import logging
import re
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ptv2.errors import NetworkError, Ptv2Error, shorten
from ptv2.variables import is_verbose

if TYPE_CHECKING:
    from huggingface_hub.utils import tqdm

log = logging.getLogger(__name__)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@contextmanager
def fetching(name: str, refusal: type[Ptv2Error], instead: str, *, push: bool = False) -> Iterator[type[tqdm]]:
    """Show a fetch, or a push, and put its failure into one line.

    Args:
        name: what is fetched, in the user's words: a repository, or `repository@revision`.
        refusal: the class of error for a name that is wrong or access that is not granted.
        instead: what the user can do without the hub, the end of the message.

    Yields:
        The class of progress bars to give to `huggingface_hub`.

    Raises:
        NetworkError: the hub or the way to it failed.
        DiskFullError: there is no space for the files.
    """
    from ptv2.hub.causes import failure
    from ptv2.hub.progress import Pulse, showing

    log.debug("fetching %s from the hub, or from its cache", name)
    pulse = Pulse()
    try:
        with _stopping_at_interrupt(pulse.stopped), showing(name, pulse) as bars, warnings.catch_warnings():
            if not is_verbose():
                warnings.simplefilter("ignore")  # of little space: the error that follows says it too
            yield bars
    except Ptv2Error:
        raise
    except Exception as error:  # libraries below raise classes of their own, also from Rust
        raise failure(error, name, refusal, instead, push=push) from error


@contextmanager
def _stopping_at_interrupt(stopped: threading.Event) -> Iterator[None]:
    """Let Ctrl-C end the threads that fetch too: else `huggingface_hub` waits until they have whole files."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        before(number, frame)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def expected_sha256(file: Path) -> str | None:
    """Return the SHA-256 that the hub gave for a large file in its cache; None for small files and other folders."""
    if not file.is_symlink():
        return None
    blob = file.resolve()
    return blob.name if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name) else None


def check_content(name: str, file: Path, sha256: str | None = None) -> None:
    """Compare a file of the hub's cache with the checksum that the hub gave for it; one that differs is removed.

    Args:
        name: the repository, for the message.
        sha256: of its content, where it is known.

    Raises:
        NetworkError: it differs.
    """
    expected = expected_sha256(file)
    if expected is None:
        return
    if sha256 is None:
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 == expected:
        return
    blob = file.resolve()
    try:
        file.unlink()
        blob.unlink()
    except OSError as error:
        remedy = f"delete {shorten(str(blob), 120)} ({error.strerror}), and the same command fetches it again"
    else:
        remedy = "it is removed from the cache, and the same command fetches it again"
    raise NetworkError(
        f"{shorten(name, 60)}: {shorten(file.name, 40)} is not what the hub has (wrong SHA-256); {remedy}"
    )
