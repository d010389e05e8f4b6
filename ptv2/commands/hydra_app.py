"""`ptv2 train` as a Hydra application: one job, or a sweep in which a failing job does not stop the others."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from ptv2.config import paths
from ptv2.config.compose import COMPOSITION_ERRORS, explain, implied, to_run_config
from ptv2.config.recipes import said
from ptv2.errors import Interrupted, Ptv2Error
from ptv2.runs.record import Result

# Where the jobs of a sweep note how they ended, whatever process or machine runs them.
OUTCOMES = "PTV2_SWEEP_OUTCOMES"


def main(arguments: list[str]) -> int:
    """Run Hydra on the arguments; returns 1 if any job of a sweep failed."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing, and `ptv2.cli` says it in one line
    # Hydra takes settings in one stretch only: `a=1 -m b=2` would be refused.
    if {("--cfg", "job"), ("-c", "job")} & set(pairwise(arguments)) and "--resolve" not in arguments:
        arguments = [*arguments, "--resolve"]  # values in the place of the rules that the method has for them
    arguments = sorted(implied(arguments), key=lambda word: word not in ("-m", "--multirun"))
    sys.argv = ["ptv2 train", *arguments]
    ended: list[BaseException] = []

    def job(config: DictConfig) -> None:
        if ended:  # a signal stopped the job before; the rest of the sweep is not begun
            return
        try:
            _job(config)
        except Exception as error:
            ended.append(error)  # raised below: Hydra would print a line of its own

    app = hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name="config")(job)
    with tempfile.TemporaryDirectory(prefix="ptv2-") as folder:
        os.environ[OUTCOMES] = str(Path(folder) / "outcomes.jsonl")
        try:
            app()
        except COMPOSITION_ERRORS as error:
            raise explain(error, _config_dir(arguments)) from error
        finally:
            outcomes = _read_outcomes()
            if outcomes:
                _show(outcomes)
    if ended:
        raise ended[0]
    return 1 if any(outcome["state"] == "failed" for outcome in outcomes) else 0


def _job(config: DictConfig) -> None:
    """One job. A sweep's failure is noted and swallowed, so that the other jobs go on; an interruption is not."""
    overrides = list(HydraConfig.get().overrides.task)
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        _run(config, overrides)
        return
    from rich.text import Text

    from ptv2.commands.console import err

    number = int(HydraConfig.get().job.num)
    job = {"job": number, "overrides": overrides}
    if _is_main_process():
        err.print(Text.assemble((f"job {number}", "bold"), f"  {' '.join(overrides)}"), soft_wrap=True)
    try:
        result, again = _run(config, overrides)
    except Interrupted as error:
        _note({**job, "state": "interrupted", "message": str(error)})
        raise
    except Exception as error:
        text = str(error) if isinstance(error, Ptv2Error) else f"{type(error).__name__}: {error}"
        if not isinstance(error, (Ptv2Error, OSError)):
            traceback.print_exc()
        err.print(Text.assemble(("failed", "red"), f"  {text}"), soft_wrap=True)
        _note({**job, "state": "failed", "message": text})
    else:
        state = "finished before" if again else "finished"
        _note({**job, "state": state, "message": f"dev {result.headline} {result.dev[result.headline]:.2f}"})


def _run(config: DictConfig, overrides: list[str]) -> tuple[Result, bool]:
    run_config = to_run_config(config, overrides, HydraConfig.get().runtime)
    from ptv2.commands.console import err, summary
    from ptv2.commands.train import train  # imports torch, which a wrong configuration need not wait for

    if _is_main_process():
        err.print(said(run_config, HydraConfig.get().runtime), soft_wrap=True)
    result, folder, again = train(run_config)
    if _is_main_process():
        summary(result, folder, again=again)
    return result, again


def _is_main_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _note(outcome: dict[str, Any]) -> None:
    if _is_main_process():
        with open(os.environ[OUTCOMES], "a", encoding="utf-8") as stream:  # one short write: jobs may run side by side
            stream.write(json.dumps(outcome) + "\n")


def _read_outcomes() -> list[dict[str, Any]]:
    path = Path(os.environ[OUTCOMES])
    if not path.is_file():
        return []
    outcomes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(outcomes, key=lambda outcome: outcome["job"])


def _show(outcomes: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from ptv2.commands.console import out

    table = Table(box=None, pad_edge=False, title=f"{len(outcomes)} jobs", title_justify="left")
    for name in ("job", "settings", "state", ""):
        table.add_column(name, overflow="fold")
    for outcome in outcomes:
        colour = {"failed": "red", "interrupted": "yellow"}.get(outcome["state"], "green")
        state = Text(outcome["state"], style=colour)
        table.add_row(str(outcome["job"]), " ".join(outcome["overrides"]), state, outcome["message"])
    out.print(table)


def _config_dir(arguments: list[str]) -> str | None:
    for i, word in enumerate(arguments):
        if word in ("--config-dir", "-cd") and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith("--config-dir="):
            return word.partition("=")[2]
    return None
