"""TensorBoard, W&B, Trackio and MLflow behind one interface: Accelerate's trackers, and what these leave open.

Each is imported only when it is started. Projects, accounts, folders and modes are their own variables of the
environment.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from accelerate import tracking

PROJECT = "ptv2"  # where neither the user nor a sweep names another
# Else a lost network would stop a training for long, and a new store would fill the screen.
MLFLOW_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
FAILED, INTERRUPTED = 1, 130  # how a training ended, as an exit code; 0: it finished


# What a run's folder keeps of one tracker: `id`, what the run is known by there; the last steps of `loss` and of `dev`
# that were logged; `open`, what must be undone if the tracker is not closed. Empty where a run was not tracked before.
Known = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """The run that is tracked."""

    name: str
    folder: Path
    group: str | None  # the sweep that it belongs to
    settings: Mapping[str, Any]  # by full key
    results: tuple[str, ...]  # names of the numbers to compare runs by


class Tracker(ABC):
    """One tracked run. Any method may raise whatever the program behind it does."""

    inner: Any  # Accelerate's tracker
    logged: int | None = None  # lines that a server has, where it says so; else the steps in `Known` tell

    @abstractmethod
    def start(self, subject: Subject, known: Known) -> Known:
        """Begin a tracked run, or go on with the one that is known; returns what is known of it then."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add numbers at an optimizer step."""
        self.inner.log(dict(values), step=step)

    def attach(self, page: Path) -> None:  # noqa: B027 - not every program takes files
        """Add a file, where the program takes files."""

    def end(self, code: int) -> None:
        """Close it; `code` is 0, `FAILED` or `INTERRUPTED`."""
        self.inner.finish()

    @abstractmethod
    def where(self) -> str:
        """Where to look at it: an address or a command; empty if nothing is kept."""


class TensorBoard(Tracker):
    """Event files in the run's folder."""

    def start(self, subject: Subject, known: Known) -> Known:
        from torch.utils.tensorboard.summary import hparams

        self._folder = subject.folder.parent
        step = min(known.get("loss", 0), known.get("dev", 0))  # what came after it is dropped, and logged again
        self.inner = tracking.TensorBoardTracker("tensorboard", subject.folder, purge_step=step + 1)
        self.inner.start()
        if not known:
            writer, settings = self.inner.tracker, _as_text(subject.settings)
            rows = "".join(f"| {key} | {str(value).replace('|', '&#124;')} |\n" for key, value in settings.items())
            writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{rows}")
            # Accelerate would put them into a run beside this one, without its results.
            for summary in hparams(settings, dict.fromkeys(subject.results)):
                writer.file_writer.add_summary(summary)
            writer.flush()
        return {"id": "tensorboard", "loss": step, "dev": step}

    def where(self) -> str:
        return f"tensorboard --logdir {self._folder}"


class WandB(Tracker):
    """A run of Weights & Biases, whose `step` is ours: a continued run may log a step again that others do not take."""

    def start(self, subject: Subject, known: Known) -> Known:
        import wandb

        known = _undo_open(known)
        identity = known.get("id", uuid4().hex[:8])
        chosen: dict[str, dict[str, str | None]] = {
            "WANDB_NAME": {"name": subject.name},
            "WANDB_RUN_GROUP": {"group": subject.group},
            "WANDB_DIR": {"dir": str(subject.folder)},
        }
        options = {k: v for name, option in chosen.items() if name not in os.environ for k, v in option.items()}
        quiet: dict[str, Any] = {"silent": True}
        if "finish_timeout" in wandb.Settings.model_fields:
            quiet["finish_timeout"] = 120  # else it would wait for a lost network for ever
        if "WANDB_CONSOLE" not in os.environ:
            quiet["console"] = "off"  # else it would record progress bars
        self.inner = tracking.WandBTracker(
            os.environ.get("WANDB_PROJECT", PROJECT),
            id=identity,
            resume="allow",
            config=None if known else dict(subject.settings),
            settings=wandb.Settings(**quiet),
            **options,
        )
        self.inner.start()
        run = self.inner.tracker
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")
        if run.offline:
            before = {kind: known.get(kind, 0) for kind in ("loss", "dev")}
            return {**known, "id": identity, "open": {"folder": str(Path(run.dir).parent), **before}}
        self.logged = run.starting_step  # a row for each line
        return {**known, "id": identity}

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.inner.log({**values, "step": step})

    def attach(self, page: Path) -> None:
        run = self.inner.tracker
        run.log_artifact(str(page), name=f"report-{run.id}", type="report")

    def end(self, code: int) -> None:
        self.inner.tracker.finish(exit_code=code)

    def where(self) -> str:
        run = self.inner.tracker
        if run.disabled:
            return ""
        return f"wandb sync {_near(Path(run.dir).parent)}" if run.offline else str(run.url)


class Trackio(Tracker):
    """A run of Trackio, in its folder on this machine or in the Space that TRACKIO_SPACE_ID names."""

    def start(self, subject: Subject, known: Known) -> Known:
        # It goes by the name, and another folder may have this run too.
        name = known.get("id", f"{subject.name}-{uuid4().hex[:4]}")
        self._project = os.environ.get("TRACKIO_PROJECT", PROJECT)
        with _silent():
            self.inner = tracking.TrackioTracker(
                self._project, name=name, group=subject.group, resume="allow", config=dict(subject.settings)
            )
            self.inner.start()
        # A kill costs what waited to be written in the last half second.
        last = getattr(self.inner.tracker, "_next_step", sys.maxsize) - 1
        return {"id": name, **{kind: min(known.get(kind, 0), last) for kind in ("loss", "dev")}}

    def attach(self, page: Path) -> None:
        with _silent():
            self.inner.tracker.log_artifact(str(page), name=f"report-{self.inner.tracker.name}"[:120], type="report")

    def end(self, code: int) -> None:
        import trackio

        with _silent():
            trackio.finish()  # Accelerate's leaves a run that Trackio finishes again, with a message

    def where(self) -> str:
        return f"trackio show --project {self._project}"


class MLflow(Tracker):
    """A run of MLflow, on the server or in the store that MLFLOW_TRACKING_URI names."""

    def start(self, subject: Subject, known: Known) -> Known:
        for name, value in MLFLOW_DEFAULTS.items():
            os.environ.setdefault(name, value)
        with _silent():
            self.inner = tracking.MLflowTracker(subject.group or PROJECT, run_id=known.get("id"), run_name=subject.name)
            self.inner.start()
            if not known:
                self.inner.store_init_configuration(_as_text(subject.settings))
        return {**known, "id": str(self.inner.tracker.info.run_id)}

    def attach(self, page: Path) -> None:
        with _silent():
            self.inner.log_artifact(str(page))

    def end(self, code: int) -> None:
        import mlflow

        with _silent():
            mlflow.end_run({0: "FINISHED", INTERRUPTED: "KILLED"}.get(code, "FAILED"))

    def where(self) -> str:
        import mlflow

        uri = mlflow.get_tracking_uri()
        return uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"


TRACKERS: dict[str, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "trackio": Trackio,
    "mlflow": MLflow,
}


def _undo_open(known: Known) -> Known:
    """Take back what W&B wrote offline until the process was killed, which keeps little of it and cannot be read."""
    if "open" not in known:
        return known
    before = dict(known["open"])
    folder = Path(before.pop("folder"))
    if folder.name.startswith("offline-run-"):
        shutil.rmtree(folder, ignore_errors=True)
    return {"id": known["id"], **before}


def fit_for_all(name: str) -> str:
    """Replace the signs of a name that a tracker does not take."""
    return re.sub(r"[^\w./ -]", "_", name)


def _as_text(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose values are numbers, truth values or texts."""
    return {key: v if isinstance(v, bool | int | float) else str(v)[:500] for key, v in settings.items()}


def _near(folder: Path) -> str:
    """A folder as a user would type it from here."""
    return os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what a library prints from the standard output, which is for results."""
    with redirect_stdout(io.StringIO()):
        yield
