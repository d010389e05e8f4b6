"""One run from its configuration to its result, found finished or trained now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ptv2.collector import collector_paused
from ptv2.config.schema import RunConfig
from ptv2.console.output import counting, summary
from ptv2.experiment.open import finished_result, open_run
from ptv2.experiment.overview import begin_job, show_read
from ptv2.experiment.read import read_examples
from ptv2.run_folders.processes import is_main_process
from ptv2.run_folders.record import Result

if TYPE_CHECKING:
    from ptv2.training.monitor import Monitor


def make_run(
    config: RunConfig, watch: Callable[[], Monitor | None] = lambda: None, group: str | None = None
) -> tuple[Result, Path, bool]:
    """Train a run, or on from where it was interrupted, or find it finished; with progress and a summary on the screen.

    Args:
        watch: makes another monitor of the training's progress; called only if the run is to be trained.
        group: the sweep that the run belongs to, for trackers.

    Returns:
        The result, the run's folder, and whether it was finished before.

    Raises:
        Pruned: that monitor ended the training.
        Ptv2Error: anything a user can mend, before torch is imported where that can be.
    """
    begin_job()
    opened = open_run(config)
    result = finished_result(opened)
    finished_before = result is not None
    if result is None:
        read = None
        if not opened.only_shared:
            bar = counting("reading training examples") if is_main_process() else nullcontext(lambda count: None)
            with bar as done:
                read = read_examples(config, opened.source, done=done)
        if read is not None and is_main_process():
            show_read(read)
        with collector_paused():
            from ptv2.experiment.train import train  # imports torch, which wrong settings and data need not wait for

        result = train(opened, read, watch=watch(), group=group)
    if is_main_process():
        summary(result, opened.run.path, again=finished_before)
    return result, opened.run.path, finished_before
