"""The closing lines of a study: what they say to type next can be typed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from records import result

from ptv2.console import output
from ptv2.run_folders.record import write_result

optuna = pytest.importorskip("optuna", reason="the extra ptv2[optuna] is not installed")


@pytest.mark.parametrize(
    ("task", "said"),
    [("rte", ["as a recipe:", "--write DIR"]), ("mine", ["all settings, ranked:", ""])],
    ids=["of a file", "named on the command line"],
)
def test_a_recipe_is_offered_where_there_is_a_place_for_it(
    task: str, said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptv2.sweeps.study import OVERRIDES, RUN, Search
    from ptv2.sweeps.summary import show_study

    monkeypatch.setattr(output, "width_of", lambda _: 60)
    run = tmp_path / "my runs" / "run"
    run.mkdir(parents=True)
    write_result(run, replace(result("p-tuning-v2", 1, 70.0), task=task, model="tiny"))
    trial = optuna.trial.create_trial(value=70.0, user_attrs={RUN: str(run), OVERRIDES: ["optim.lr=0.1"]})
    study: Any = SimpleNamespace(name="study", trials=[trial], best=trial)
    show_study(cast(Search, study), [])
    before, lead, command = capsys.readouterr().out.partition(said[0])
    assert (before[-1:], lead) == ("\n", said[0])
    asked = f"ptv2 best task={task} model=tiny method=p-tuning-v2".split()
    read = subprocess.run(["sh", "-c", f"printf '%s\\n' {command.strip()}"], capture_output=True, text=True, check=True)
    assert read.stdout.splitlines() == [*asked, f"out={tmp_path / 'my runs'}", *said[1].split()]
