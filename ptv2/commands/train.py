"""`ptv2 train` as a Hydra application: one job, or a sweep in which a failing job does not stop the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from itertools import pairwise

import hydra
from omegaconf import DictConfig

from hydra_plugins.ptv2.grid_sweeper import make_default
from ptv2.config import paths
from ptv2.config.compose import implied
from ptv2.config.explain import COMPOSITION_ERRORS, explain
from ptv2.config.plugins import broken_plugins, plugin_at_fault
from ptv2.config.schema import RunConfig
from ptv2.config.spelling import every_fold, options_first
from ptv2.console.arguments import in_one_grammar
from ptv2.errors import ConfigError, Interrupted, first_line
from ptv2.run_folders.processes import note_start
from ptv2.sweeps import outcomes
from ptv2.sweeps.job import TOGETHER, run_job, train_together
from ptv2.sweeps.launching import explain_launching


def main(arguments: list[str]) -> int:
    """Run Hydra on the arguments; returns 1 if any job of a sweep failed."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing, and `ptv2.cli` says it in one line
    if arguments[:1] == [TOGETHER]:
        return train_together(arguments[1:])
    note_start()
    arguments, config_dir = options_first(every_fold(in_one_grammar(arguments, keys=("out",))))
    if {("--cfg", "job"), ("-c", "job")} & set(pairwise(arguments)) and "--resolve" not in arguments:
        arguments = [*arguments, "--resolve"]  # show values, not the method's rules for them
    arguments, _ = options_first(implied(arguments))
    user_folders = paths.own_folders(config_dir)
    sys.argv = ["ptv2 train", *arguments]
    raised: list[Exception] = []

    def job(config: DictConfig) -> outcomes.Outcome | None:
        if any(isinstance(error, Interrupted) for error in raised):  # by a signal between two jobs
            return None
        try:
            return run_job(config)
        except Exception as error:
            raised.append(error)  # raised below: Hydra would print a line of its own
            return None

    broken_plugins()
    outcomes.forget()
    make_default()
    app = hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name="config")(job)
    try:
        with paths.searching(user_folders), _naming_package(arguments):
            app()
    except COMPOSITION_ERRORS as error:
        raise explain_launching(str(error)) or explain(error, config_dir) from error
    except (ImportError, AttributeError, TypeError) as error:
        if (plugin := plugin_at_fault(error)) is None:
            raise
        raise ConfigError(f"the plugin {plugin} of Hydra does not work here: {first_line(error)}") from error
    if raised:
        raise raised[0]
    ended = outcomes.list_known()
    for outcome in ended:
        if outcome.signal is not None:
            raise Interrupted(outcome.message, outcome.signal)
    return 1 if any(outcome.state == "failed" for outcome in ended) else 0


@contextmanager
def _naming_package(arguments: list[str]) -> Iterator[None]:
    """Refuse a `--package` that names no part of the settings, in our words."""
    asked = next((value for name, value in pairwise(arguments) if name in ("--package", "-p")), None)
    if asked is None:
        yield
        return
    with redirect_stderr(StringIO()):
        try:
            yield
        except SystemExit as error:
            names = ", ".join(RunConfig.model_fields)
            raise ConfigError(f"--package {asked}: no such part, or one without a value; known: {names}") from error
