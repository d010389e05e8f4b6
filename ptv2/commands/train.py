"""`ptv2 train` as a Hydra application: one job, or a sweep in which a failing job does not stop the others."""

from __future__ import annotations

import gc
import os
import re
import sys
from itertools import pairwise
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.ptv2.grid_sweeper import make_default
from ptv2.collector import collector_paused
from ptv2.config import paths
from ptv2.config.compose import COMPOSITION_ERRORS, explain, implied, to_run_config
from ptv2.config.plugins import broken_plugins, plugin_at_fault
from ptv2.config.spelling import options_first
from ptv2.console.fault_log import answer
from ptv2.errors import ConfigError, Interrupted, Pruned, first_line, in_one_line
from ptv2.runs.processes import is_main_process, is_started_by_user, note_start
from ptv2.runs.record import Result
from ptv2.streams import forgive_errors
from ptv2.sweeps import outcomes
from ptv2.sweeps.pruning import trial_of, watch_of
from ptv2.sweeps.requeue import requeue_if_preempted

LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}  # extras of ptv2


def main(arguments: list[str]) -> int:
    """Run Hydra on the arguments; returns 1 if any job of a sweep failed."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing, and `ptv2.cli` says it in one line
    note_start()
    arguments, config_dir = options_first(arguments)
    if {("--cfg", "job"), ("-c", "job")} & set(pairwise(arguments)) and "--resolve" not in arguments:
        arguments = [*arguments, "--resolve"]  # values in the place of the rules that the method has for them
    arguments, _ = options_first(implied(arguments))
    paths.folders(config_dir)  # refuses files that Hydra must not see
    sys.argv = ["ptv2 train", *arguments]
    raised: list[Exception] = []

    def job(config: DictConfig) -> outcomes.Outcome | None:
        try:
            return _job(config)
        except Exception as error:
            raised.append(error)  # raised below: Hydra would print a line of its own
            return None

    broken_plugins()
    outcomes.forget()
    make_default()
    app = hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name="config")(job)
    try:
        app()
    except COMPOSITION_ERRORS as error:
        raise _explain_launching(str(error)) or explain(error, config_dir) from error
    except (ImportError, AttributeError, TypeError) as error:
        if (plugin := plugin_at_fault(error)) is None:
            raise
        raise ConfigError(f"the plugin {plugin} of Hydra does not work here: {first_line(error)}") from error
    if raised:
        raise raised[0]
    ended = outcomes.ended()
    for outcome in ended:
        if outcome.signal is not None:
            raise Interrupted(outcome.message, outcome.signal)
    return 1 if any(outcome.state == "failed" for outcome in ended) else 0


def _job(config: DictConfig) -> outcomes.Outcome | None:
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


def _explain_launching(said: str) -> ConfigError | None:
    """Hydra's word on a launcher that is not installed, or on a setting that a sweeper or launcher does not have."""
    if found := re.search(r"Could not find 'hydra/(launcher|sweeper)/(\w+)'", said):
        for plugin, reason in broken_plugins().items():
            if plugin.startswith(f"hydra_{found[2].partition('_')[0]}"):
                return ConfigError(f"hydra/{found[1]}={found[2]}: its plugin {plugin} cannot be imported ({reason})")
    if (found := re.search(r"Could not find 'hydra/launcher/(\w+)'", said)) and found[1] in LAUNCHER_EXTRAS:
        return ConfigError(
            f"hydra/launcher={found[1]} is not installed: pip install 'ptv2[{LAUNCHER_EXTRAS[found[1]]}]'"
        )
    if found := re.search(r"Could not override '(hydra\.[\w.]+)'", said):
        return ConfigError(
            f"{found[1]}: no setting of what is chosen; the same command with --cfg hydra shows those there are"
        )
    if "INTERVAL_SWEEP" in said:
        return ConfigError("an interval has no end of values to combine; expected hydra/sweeper=optuna, or values")
    return None
