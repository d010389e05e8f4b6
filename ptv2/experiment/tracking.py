"""Show a run's metrics in the programs of `track`, while it is trained.

They follow `metrics.jsonl`. How far each has come is kept in the run's folder, so that a continued run goes on in the
same place without doubles. A program that fails costs a line on the screen, and nothing of the run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptv2.config.keys import flat
from ptv2.console.output import log, tell
from ptv2.errors import Interrupted, Pruned, first_line
from ptv2.experiment.trackers import FAILED, INTERRUPTED, TRACKERS, Known, Subject, Tracker, fit_for_all
from ptv2.files import scratch_folder, write_json_whole
from ptv2.run_folders.record import Result
from ptv2.run_folders.sharing import shareable_config
from ptv2.variables import TRACK_GROUP

FILE = "tracking.json"  # in the run's folder: what the run is known by, and the last steps, by tracker
POINTS = 200  # of each learning curve on the page


class Tracking:
    """All trackers of one run; without any it does nothing."""

    def __init__(self, folder: Path) -> None:
        """Read how far earlier trainings in the run's folder were tracked."""
        self._folder = folder
        self._trackers: dict[str, Tracker] = {}
        self._known = _read(folder / FILE)
        self._lines = 0

    def start(self, names: list[str], subject: Subject) -> None:
        """Begin with these trackers, or go on."""
        for name in names:
            tracker, known = TRACKERS[name](), self._known.get(name, {})
            self._trackers[name] = tracker

            def begin(name: str = name, tracker: Tracker = tracker, known: Known = known) -> None:
                self._known[name] = tracker.start(subject, known)
                write_json_whole(self._folder / FILE, self._known)
                if where := tracker.where():
                    tell(f"tracked: {where}")

            self._try(name, begin)

    def follow(self, line: Mapping[str, Any]) -> None:
        """Log a line of `metrics.jsonl` that was not logged before."""
        kind, step = ("dev" if "dev" in line else "loss"), line["step"]
        values = _numbers(line)
        self._lines += 1
        for name, tracker in list(self._trackers.items()):
            known = self._known[name]
            if step > known.get(kind, 0) if tracker.logged is None else self._lines > tracker.logged:

                def add(tracker: Tracker = tracker, known: Known = known) -> None:
                    tracker.log(values, step)
                    known[kind] = step
                    self._write()

                self._try(name, add)

    def finish(self, result: Result) -> None:
        """Log the result, and attach the run's page of `ptv2 report`."""
        if not self._trackers:
            return
        values = _numbers_of(result)
        with scratch_folder() as folder:
            page = folder / "report.html"
            self._render(page)
            for name, tracker in list(self._trackers.items()):

                def add(tracker: Tracker = tracker) -> None:
                    tracker.log(values, result.steps)
                    tracker.attach(page)

                self._try(name, add)

    def end(self, error: BaseException | None = None) -> None:
        """Close all trackers, with what ended the training unless it finished."""
        stopped = isinstance(error, Interrupted | KeyboardInterrupt | Pruned)
        code = 0 if error is None else INTERRUPTED if stopped else FAILED
        for name, tracker in list(self._trackers.items()):

            def close(name: str = name, tracker: Tracker = tracker) -> None:
                tracker.end(code)
                if self._known[name].pop("open", None):
                    self._write()

            self._try(name, close)
        self._trackers.clear()

    def _render(self, page: Path) -> None:
        from ptv2.report.html.page import render
        from ptv2.report.html.shown import read_shown

        page.write_text(render([read_shown(self._folder, POINTS)], title=self._folder.name), encoding="utf-8")

    def _try(self, name: str, action: Callable[[], None]) -> None:
        """Act on a tracker; one that fails is left out from there on."""
        try:
            action()
        except Exception as error:  # whatever its library, its server or the disk raises
            del self._trackers[name]
            log.warning("warning: track=%s: %s; the run goes on without it", name, first_line(error).rstrip("."))

    def _write(self) -> None:
        """Write how far the trackers are: so fast that a kill hardly comes between, which a power cut may undo."""
        beside = self._folder / f".{FILE}.tmp"
        beside.write_text(json.dumps(self._known), encoding="utf-8")
        os.replace(beside, self._folder / FILE)


@contextmanager
def tracking(
    names: list[str], folder: Path, config: Mapping[str, Any], headline: str, group: str | None
) -> Iterator[Tracking]:
    """Track a run while the context is open.

    Args:
        names: of the trackers; none in processes other than the main one.
        folder: of the run, which is locked.
        config: the run's whole configuration.
        headline: the score that runs are compared by.
        group: the sweep that the run belongs to; the variable `PTV2_TRACK_GROUP` goes before.
    """
    tracked = Tracking(folder)
    if names:
        settings = {fit_for_all(key): value for key, value in flat(shareable_config(config)).items()}
        results = tuple(f"result/{split}/{fit_for_all(headline)}" for split in ("dev", "test"))
        tracked.start(names, Subject(folder.name, folder, os.environ.get(TRACK_GROUP) or group, settings, results))
    try:
        yield tracked
    except BaseException as error:
        tracked.end(error)
        raise
    tracked.end()


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """What is logged of a line: scores on dev by epoch, or loss, rate and time of the steps before."""
    if "dev" not in line:
        names = {"train_seconds": "seconds"}
        return {f"train/{names.get(key, key)}": value for key, value in line.items() if key != "step"}
    return {"epoch": line["epoch"], **{f"dev/{fit_for_all(key)}": value for key, value in line["dev"].items()}}


def _numbers_of(result: Result) -> dict[str, float]:
    """What is logged of a result: all scores of the weights that dev chose, and what they cost."""
    scores = {
        f"result/{split}/{fit_for_all(name)}": value
        for split in result.splits
        for name, value in (result.scores(split) or {}).items()
    }
    trained = {"trained": result.parameters["trained"], "trained_percent": result.parameters["percent"]}
    more = {"best_step": result.best_step, "seconds": result.time["total"], **trained}
    return {**scores, **{f"result/{name}": value for name, value in more.items()}}


def _read(path: Path) -> dict[str, Known]:
    """What is known of the trackers; nothing where the file is missing or damaged."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    whole = isinstance(known, dict) and all(isinstance(entry, dict) and _is_whole(entry) for entry in known.values())
    return known if whole else {}


def _is_whole(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("id"), str) and all(isinstance(entry.get(kind, 0), int) for kind in ("loss", "dev"))
