"""One job of `ptv2 train`, alone or in a sweep: from Hydra's configuration to how it ended."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ptv2.collector import collector_paused
from ptv2.config.compose import to_run_config
from ptv2.console.fault_log import answer
from ptv2.errors import Interrupted, Pruned, first_line, in_one_line
from ptv2.runs.processes import is_main_process, is_started_by_user
from ptv2.runs.record import Result
from ptv2.streams import forgive_errors
from ptv2.sweeps import outcomes
from ptv2.sweeps.pruning import trial_of, watch_of
from ptv2.sweeps.requeue import requeue_if_preempted


def run_job(config: DictConfig) -> outcomes.Outcome | None:
    """One job: a single run, whose errors are raised, or one of a sweep, whose end is returned whatever it is.

    None is a job that was not begun, because a signal stopped one before it in this process.
    """
    forgive_errors()  # a worker's are its own
    overrides = [str(word) for word in OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False) or []]
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        _run(config, overrides)
        return None
    if any(outcome.signal is not None for outcome in outcomes.ended()):
        return None
    from rich.text import Text

    from ptv2.console.output import err, tell

    if not is_started_by_user():
        err.is_interactive = False
    number = int(HydraConfig.get().job.num)
    if is_main_process():
        trial = trial_of(HydraConfig.get())
        named = f"job {number}" if trial is None else f"trial {trial}"
        changed = [word for word in overrides if word not in sys.argv]  # the others stand in the command
        tell(Text.assemble((named, "bold"), f"  {' '.join(changed or overrides)}"))
    outcome = _outcome(config, number, overrides)
    gc.collect()  # a traceback may refer to itself, and so keep the backbone of a run that failed
    if outcome.state in ("failed", "pruned"):
        tell(Text.assemble(outcomes.coloured(outcome.state), f"  {outcome.message}"))
    outcomes.note([outcome])
    return outcome


def _outcome(config: DictConfig, number: int, overrides: list[str]) -> outcomes.Outcome:
    """Run one job of a sweep; an error is its end, not that of the others."""
    try:
        result, folder, again = _run(config, overrides)
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
        raise  # nobody listens any more, to the other jobs either
    except Exception as error:
        return outcomes.Outcome(number, overrides, "failed", in_one_line(answer(error)[0]))
    score = result.dev[result.headline]
    state = "finished before" if again else "finished"
    message = f"dev {result.headline} {score:.2f}"
    return outcomes.Outcome(number, overrides, state, message, score, str(folder))


def _run(config: DictConfig, overrides: list[str]) -> tuple[Result, Path, bool]:
    run_config = to_run_config(config, overrides, HydraConfig.get().runtime)
    from ptv2.console.output import summary
    from ptv2.experiment.open import finished_result, open_run, read_examples
    from ptv2.experiment.overview import begin_job, show_read

    begin_job()
    opened = open_run(run_config)
    result = finished_result(opened)
    again = result is not None
    if result is None:
        read = None if opened.only_shared else read_examples(run_config, opened.source)
        if read is not None and is_main_process():
            show_read(read)
        with collector_paused():
            from ptv2.experiment.train import train  # imports torch, which wrong settings and data need not wait for

        result = train(opened, read, watch=watch_of(HydraConfig.get(), run_config))
    if is_main_process():
        summary(result, opened.run.path, again=again)
    return result, opened.run.path, again
