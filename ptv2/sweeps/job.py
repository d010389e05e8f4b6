"""One job of `ptv2 train`, alone or in a sweep: from Hydra's configuration to its outcome."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ptv2.collector import collector_paused
from ptv2.config.compose import compose, to_run_config
from ptv2.config.identity import warn_of_unread
from ptv2.config.spelling import options_first
from ptv2.console.fault_log import answer
from ptv2.console.listening import listen
from ptv2.errors import Interrupted, Pruned, first_line, in_one_line
from ptv2.experiment.run import make_run
from ptv2.gpus import take_by_worker
from ptv2.interruption import was_raised
from ptv2.run_folders.processes import is_main_process, is_started_by_user
from ptv2.run_folders.record import Result
from ptv2.streams import forgive_errors
from ptv2.sweeps import outcomes
from ptv2.sweeps.pruning import trial_of, watch_of
from ptv2.sweeps.requeue import requeue_if_preempted
from ptv2.sweeps.workers import end_with_parent

TOGETHER, SEPARATOR = "--together", "--"  # for `ptv2 train` in a process that `ptv2 reproduce` starts


def run_job(config: DictConfig) -> outcomes.Outcome | None:
    """Run one job: a single run, whose errors are raised, or one of a sweep, whose outcome is returned, errors too.

    Returns:
        None for a single run, and for a job that is not begun since a signal stopped one before it in this process.
    """
    forgive_errors()  # a worker has streams of its own
    listen()
    take_by_worker()
    end_with_parent()
    overrides = [str(word) for word in OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False) or []]
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        _run(config, overrides)
        return None
    if any(outcome.signal is not None for outcome in outcomes.list_known()):
        return None
    from rich.text import Text

    from ptv2.console.output import err, tell

    if not is_started_by_user():
        err.is_interactive = False
    number = int(HydraConfig.get().job.num)
    trial = trial_of(HydraConfig.get())
    if is_main_process():
        name = f"job {number}" if trial is None else f"trial {trial}"
        changed = [word for word in overrides if word not in sys.argv]  # the user knows the others
        tell(Text.assemble((name, "bold"), f"  {' '.join(changed or overrides)}"))
    outcome = _outcome(lambda: _run(config, overrides), number, overrides)
    outcomes.remember([outcome])
    gc.collect()  # a failed run's traceback may refer to itself, and thereby to the backbone
    if outcome.state in ("failed", "pruned"):
        again = outcomes.repeats(outcomes.faults(outcomes.list_known()))
        same = again.get(number) if trial is None else None  # the other may be a trial of another number
        why = outcome.message if same is None else f"as job {same}"
        tell(Text.assemble(outcomes.coloured(outcome.state), f"  {why}"))
    return outcome


def train_together(words: Sequence[str]) -> int:
    """Train jobs over one frozen backbone, in this process, and print a line for each that failed.

    Args:
        words: the settings of the jobs, as `ptv2 train` takes them, with `--` between them.

    Returns:
        0, or 1 if one failed.

    Raises:
        Interrupted: stopped by a signal.
    """
    from ptv2.console.output import tell

    jobs = [[word for word in job if word != SEPARATOR] for _, job in groupby(words, SEPARATOR.__ne__)][::2]
    configs = [compose(*options_first(job)) for job in jobs]
    ended: list[outcomes.Outcome] = []

    def work(number: int) -> None:
        if any(outcome.signal is not None for outcome in ended):
            return
        outcome = _outcome(lambda: make_run(configs[number]), number, jobs[number])
        if outcome.state == "failed":
            tell(f"{error_start(number)}{outcome.message}")
        ended.append(outcome)

    with collector_paused():
        from ptv2.training.together import Group

    Group(tell).run([partial(work, number) for number in range(len(jobs))])
    for outcome in ended:
        if outcome.signal is not None:
            raise Interrupted(outcome.message, outcome.signal)
    return 1 if any(outcome.state == "failed" for outcome in ended) else 0


def error_start(number: int) -> str:
    """How the line begins that says why a job of `train_together` failed."""
    return f"ptv2: job {number}: error: "


def _outcome(make: Callable[[], tuple[Result, Path, bool]], number: int, overrides: list[str]) -> outcomes.Outcome:
    """Make the run of one of several jobs; an error ends it, not the others."""
    try:
        result, folder, again = make()
    except Interrupted as error:
        message, received = str(error), error.exit_code - 128
        try:
            requeue_if_preempted(received)
        except Exception as refused:
            message = f"{message}; {first_line(refused)}"
        return outcomes.Outcome(number, overrides, "interrupted", message, signal=received)
    except Pruned as error:
        return outcomes.Outcome(number, overrides, "pruned", str(error))
    except BrokenPipeError:
        raise  # nobody reads what the other jobs print either
    except Exception as error:
        if was_raised():
            raise KeyboardInterrupt from error
        return outcomes.Outcome(number, overrides, "failed", in_one_line(answer(error)[0]))
    score = result.dev[result.headline]
    state = "finished before" if again else "finished"
    message = f"dev {result.headline} {score:.2f}"
    return outcomes.Outcome(number, overrides, state, message, score, str(folder))


def _run(config: DictConfig, overrides: list[str]) -> tuple[Result, Path, bool]:
    run_config = to_run_config(config, overrides, HydraConfig.get().runtime)
    if HydraConfig.get().mode != RunMode.MULTIRUN:  # a sweep may try what one of its methods reads
        warn_of_unread(run_config, overrides)
    sweeper = HydraConfig.get().sweeper
    group = sweeper.get("study") or sweeper.get(outcomes.GROUP)
    return make_run(run_config, lambda: watch_of(HydraConfig.get(), run_config), group)
