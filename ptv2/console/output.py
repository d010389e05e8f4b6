"""What a person sees: messages, progress bars and the closing summary of a run, all through one rich console."""

from __future__ import annotations

import logging
import math
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ptv2.config.methods import METHODS
from ptv2.errors import shorten
from ptv2.report.classes import describe_classes
from ptv2.report.formats import count_of
from ptv2.report.usable import Fault
from ptv2.run_folders.record import Result
from ptv2.run_folders.sharing import shareable_text
from ptv2.screen import elide, fold, visible, width_of


class _Console(Console):
    """A console that leaves it to the command line how a reader that went away ends the command."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that it is called for; Rich would exit with 1


LONGEST = 50  # letters of a name in a line about a run
# No markup: settings have brackets of their own.
out = _Console(highlight=False, markup=False, emoji=False)
err = _Console(stderr=True, highlight=False, markup=False, emoji=False)
log = logging.getLogger("ptv2")
FILE_ONLY = {"file_only": True}  # given to `log` as `extra`: for a run's log.txt, since the screen says it elsewhere


def tell(message: str | Text, console: Console = err, *, indent: int = 2, width: int | None = None) -> None:
    """Print a message, folded between words to the screen; a path that is longer than a line stays whole.

    Args:
        indent: columns before every line but the first.
        width: columns of a line (default: the screen's; a pipe gets one line).
    """
    width = width or width_of(console.file)
    text = Text(message) if isinstance(message, str) else message.copy()
    text.plain = visible(text.plain)
    for line in text.split("\n"):
        spans = [(0, len(line))] if width is None else fold(line.plain, width, indent, cell_len)
        for number, (start, end) in enumerate(spans):
            console.print(Text(" " * indent if number else "").append_text(line[start:end]), soft_wrap=True)


def tell_command(command: str, console: Console = err) -> None:
    """Print a command to copy, on lines that a shell reads as one; what is quoted is not parted."""
    width = width_of(console.file)
    whole = re.sub("'[^']*'", lambda quoted: quoted[0].replace(" ", "_"), command)
    spans = [(0, len(command))] if width is None else fold(whole, width - 4, 2, cell_len)
    lines = [command[start:end] for start, end in spans]
    console.print(Text("  " + " \\\n    ".join(lines)), soft_wrap=True)


def draws(console: Console) -> bool:
    """Whether bars can be drawn: on a terminal that moves its cursor, whatever FORCE_COLOR says of a pipe."""
    return console.is_interactive and console.file.isatty()


class RichMonitor:
    """Shows a training as one bar with loss, rate and time left, and a line for every evaluation."""

    def __init__(self, name: str, headline: str, others: Collection[str] | None = None) -> None:
        """`name` is the run's; its last part, the hash, marks the lines, since runs of a sweep may be made together.

        Args:
            others: metrics to show beside the headline; None: all.
        """
        self._name, self._label, self._headline = name, name.rpartition("-")[2], headline
        self._others = others
        columns = (
            TextColumn("[dim]{task.description}[/dim]"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  lr {task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=err, transient=True, disable=not draws(err))
        self._task: TaskID | None = None

    def __enter__(self) -> RichMonitor:
        self._bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.stop()

    def started(self, step: int, total: int) -> None:
        """Show the bar; a continued run begins at `step`."""
        self._task = self._bar.add_task(self._label, total=total, completed=step, loss="-", rate="-")
        name = elide(self._name.rpartition("-")[0], LONGEST) or self._name
        self.note(f"{name}, {count_of(total, 'step')}" + (f", going on after step {step}" if step else ""))

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """Move the bar."""
        assert self._task is not None
        self._bar.update(
            self._task, completed=step, loss="-" if math.isnan(loss) else f"{loss:.3f}", rate=f"{rate:.1e}"
        )

    def evaluated(self, step: int, epoch: float, metrics: dict[str, float], *, best: bool) -> None:
        """Print a line with the dev metrics, the headline first."""
        others = metrics if self._others is None else self._others
        names = [self._headline, *(name for name in others if name not in (self._headline, "loss"))]
        text = "  ".join(f"{name} {metrics[name]:.2f}" for name in names)
        self.note(f"epoch {round(epoch, 2):g}  step {step}  dev {text}{'  (best so far)' if best else ''}")

    def note(self, text: str) -> None:
        """Print a line above the bar, and write it into the run's log."""
        tell(Text.assemble((self._label, "dim"), " ", text), indent=len(self._label) + 1)
        log.info(text)


def summary(result: Result, folder: Path, *, again: bool = False) -> None:
    """Print the closing lines of a run; `again`: whether it was found finished, and nothing was computed."""
    parameters, time = result.parameters, result.time
    trained, total, rate = parameters["trained"], parameters["total"], time["examples_per_second"]
    peak, what = result.memory["peak"], result.memory["what"]
    evaluations = count_of(result.evaluations, "evaluation")
    split = "dev" if result.test is None else "test"
    classes = describe_classes(result.parts.get(split, {}))
    show_facts(
        [
            ("dev", f"{_listed(result.dev)}  (best of {evaluations}, epoch {result.best_epoch:g})"),
            *((name, _listed(result.scores(name) or {})) for name in result.splits if name != "dev"),
            *([("classes", f"{classes} ({split})")] if classes else []),
            ("trained", f"{trained:,} of {total:,} parameters ({parameters['percent']:.3g} %)"),
            ("memory", what if peak is None else f"peak {peak / 2**20:,.0f} MiB ({what})"),
            ("speed", f"{rate:.1f} examples/s; training {clock(time['train'])}, in all {clock(time['total'])}"),
            *(("note", note) for note in (*result.notes, *_hints(result))),
            ("run", f"{folder}{'  (finished before; nothing was repeated)' if again else ''}"),
        ]
    )


def _hints(result: Result) -> list[str]:
    """What may help a model that says the same to everything in dev, where several answers are right."""
    answer, right = result.only_answer("dev"), result.data.get("labels", {}).get("dev", {})
    if answer is None or sum(count > 0 for count in right.values()) < 2:
        return []
    name, rate = METHODS[result.method].rate_of(result.config["optim"])
    hint = f"another rate (optim.{name} is {rate:g}), more epochs or another seed may help"
    return [f"the model answers {shorten(answer, 30)} to everything in dev: {hint}"]


def show_facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and their values, one below the other."""
    rows = list(rows)
    margin = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        tell(Text.assemble((name.ljust(margin), "bold"), value), out, indent=margin)


def warn_of_faults(faults: Iterable[Fault]) -> None:
    """Print the runs that are left out, each with its reason and what mends it."""
    width = width_of(err.file)
    for fault in faults:
        folder = str(fault.folder) if width is None else elide(str(fault.folder), width - len("left out: :"), cell_len)
        tell(f"left out: {folder}: {fault.reason}")


def _listed(scores: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in scores.items())


def clock(seconds: float) -> str:
    """Format seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _LogFile(logging.FileHandler):
    """A log that says nothing of a full disk: what must be written reports that itself."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def working(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar over long work while it lasts; the function that it gives moves the bar on."""
    columns = (
        TextColumn("[dim]{task.description}[/dim]"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not draws(err)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show how much of long work is done whose end nobody knows; the function that it gives counts on, and shows it."""
    columns = (TextColumn("[dim]{task.description}[/dim]"), TextColumn("{task.completed:,}"))
    bar = Progress(*columns, console=err, transient=True, disable=not draws(err))
    task = bar.add_task(what, total=None)

    def count_on(count: int) -> None:
        bar.advance(task, count)
        bar.start()

    try:
        yield count_on
    finally:
        bar.stop()


class _Shareable(logging.Formatter):
    """Lines without folders of this machine, since logs are shown to others."""

    def format(self, record: logging.LogRecord) -> str:
        return shareable_text(super().format(record))


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Append to a run's log file what is logged while the context is open."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setLevel(logging.INFO)
    handler.setFormatter(_Shareable("%(asctime)s %(levelname)s %(message)s"))
    thread = threading.get_ident()
    if thread != threading.main_thread().ident:  # of runs that are trained together each has a thread
        handler.addFilter(lambda record: record.thread == thread)
    root = logging.getLogger()
    root.addHandler(handler)
    log.setLevel(min(log.level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
