"""Show a fetch: one bar on a terminal, a line now and then elsewhere, and each retry."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

from huggingface_hub import constants
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, tqdm

from ptv2.errors import shorten
from ptv2.hub.causes import endpoint, hide_secrets
from ptv2.run_folders.processes import is_main_process, is_started_by_user
from ptv2.variables import is_quiet, is_verbose

PATIENCE = 1.0  # seconds before a bar is drawn, so that files of the cache draw none
PAUSE = 30.0  # seconds between lines where there is no terminal
LARGE = 10_000_000  # bytes from which a fetch is worth a line
CHUNK = 2**18  # bytes; with the library's 10 MiB a slow bar stands still, and Ctrl-C waits for a whole chunk
_RETRY = re.compile(r"\[Retry (\d+/\d+)\]")
_FILE = re.compile(r"/resolve/\S+/([^/\s:]+)")
_WAIT = re.compile(r"(\d[\d.]*)s\b")
_UNREACHED = re.compile(  # what systems say where no connection was made
    "name resolution|name or service not known|nodename nor servname|getaddrinfo|no address associated"
    "|connection refused|network is (down|unreachable)|no route to host",
    re.IGNORECASE,
)
_STATUS = re.compile(r"HTTP Error (\d+)")


class Shown(Enum):
    """How a process shows a fetch."""

    BAR = auto()
    LINES = auto()
    NOT = auto()  # another process shows it, or nobody wants to see it


def how_shown() -> Shown:
    """Decide how this process, of several that may fetch the same files, shows a fetch."""
    if not is_main_process() or constants.HF_HUB_DISABLE_PROGRESS_BARS or is_quiet():
        return Shown.NOT
    return Shown.BAR if sys.stderr.isatty() and is_started_by_user() else Shown.LINES


class Pulse:
    """Whether data arrive from the hub; shared by the threads of a fetch.

    Attributes:
        last: when data last arrived, by `time.monotonic`.
        stopped: once it is set, the threads that fetch end at their next piece.
    """

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.stopped = threading.Event()
        self.ended = threading.Event()

    def beat(self) -> None:
        """Note that data arrived; raises as `check`."""
        self.last = time.monotonic()
        self.check()

    def check(self) -> None:
        """Raise `StoppedError` if the user has stopped the fetch."""
        if self.stopped.is_set():
            raise StoppedError

    def watch(self, name: str) -> None:
        """Say now and then that nothing arrives, until the fetch ends; `hf_xet` retries silently for minutes."""
        while not self.ended.wait(PAUSE / 2):
            waited = time.monotonic() - self.last
            if waited >= PAUSE:
                _say(f"{name}: nothing from {endpoint()} for {waited:.0f} s; waiting (Ctrl-C ends it)")


@contextmanager
def showing(name: str, pulse: Pulse) -> Iterator[type[tqdm]]:
    """Show a fetch of `name`; yields the class of bars for `huggingface_hub`."""
    shown = how_shown()
    disabled = are_progress_bars_disabled()  # transformers' `disable_progress_bar` turns these off, too
    if disabled and shown is not Shown.NOT:
        enable_progress_bars()
    logger = logging.getLogger("huggingface_hub")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers, logger.propagate = [_Retries(name, pulse, shown is not Shown.NOT)], False
    logger.setLevel(logging.WARNING)
    chunk, constants.DOWNLOAD_CHUNK_SIZE = constants.DOWNLOAD_CHUNK_SIZE, CHUNK
    watch = threading.Thread(target=pulse.watch, args=(name,), daemon=True)
    if shown is not Shown.NOT:
        watch.start()
    try:
        yield _bar_class(name, shown, pulse)
    finally:
        pulse.ended.set()
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
        constants.DOWNLOAD_CHUNK_SIZE = chunk
        if disabled and shown is not Shown.NOT:
            disable_progress_bars()


class StoppedError(Exception):
    """Ends a thread that fetches, after Ctrl-C."""


def _bar_class(name: str, shown: Shown, pulse: Pulse) -> type[tqdm]:
    """Make a class of bars of which only one is visible: the bytes of all files together."""

    class Bar(tqdm):
        def __init__(self, *details: Any, **options: Any) -> None:
            counts_bytes = options.get("unit") == "B" and not str(options.get("name")).endswith(".transfer")
            options["disable"] = shown is Shown.NOT or not counts_bytes
            options.pop("bar_format", None)
            if shown is Shown.LINES:
                options["file"] = io.StringIO()  # what tqdm itself writes between our lines
            self._told = 0.0
            super().__init__(*details, **{**options, "desc": shorten(name, 40), "leave": False, "delay": PATIENCE})

        def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
            """Keep the name, which the library would replace."""

        set_description_str = set_description

        def update(self, n: float | None = 1) -> bool | None:
            pulse.beat()
            return super().update(n)

        def display(self, msg: str | None = None, pos: int | None = None) -> Any:
            if shown is Shown.BAR:
                return super().display(msg, pos)
            now = time.monotonic()
            if (self.total or 0) >= LARGE and self.n < self.total and now - self._told >= PAUSE:
                first, self._told = self._told == 0, now
                total = f"{tqdm.format_sizeof(self.total)}B from {endpoint()}"
                _say(f"{name}: fetching {total}" if first else f"{name}: {tqdm.format_sizeof(self.n)}B of {total}")
            return True

    return Bar


class _Retries(logging.Handler):
    """Report each retry of `huggingface_hub` and its reason in one line; other warnings of the library only with -v.

    After Ctrl-C the thread that would try again ends.
    """

    def __init__(self, name: str, pulse: Pulse, shown: bool) -> None:
        super().__init__(logging.WARNING)
        self._name, self._pulse, self._shown = name, pulse, shown
        self._why: dict[int | None, str] = {}  # by thread: the file and what happened

    def emit(self, record: logging.LogRecord) -> None:
        self._pulse.check()
        if not self._shown:
            return
        text = " ".join(hide_secrets(record.getMessage()).split())
        if (retry := _RETRY.search(text)) is not None:
            wait = _WAIT.search(text)
            when = f" in {float(wait[1]):g} s" if wait else ""
            _say(f"{self._name}: {self._why.get(record.thread, 'no answer')}; trying again{when} ({retry[1]})")
            return
        self._why[record.thread] = why = _reason(text)
        if "Trying to resume" in text:
            _say(f"{self._name}: {why}; going on with it")
        elif is_verbose():
            _say(f"{self._name}: {text}")


def _reason(text: str) -> str:
    """Extract the file and what happened from a warning of the library."""
    file = _FILE.search(text)
    of = f"{shorten(file[1], 40)}: " if file else ""
    if (status := _STATUS.search(text)) is not None:
        return f"{of}{endpoint()} answered with status {status[1]}"
    if _UNREACHED.search(text):
        return f"{of}{endpoint()} is not reachable"
    return f"{of}{'no answer in time' if 'timed out' in text else 'the connection broke off'}"


def _say(line: str) -> None:
    """Print a line above any bar."""
    tqdm.write(shorten(line, 200), file=sys.stderr)
