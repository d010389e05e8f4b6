"""Plugins of Hydra that others have installed beside ptv2, and that do not work."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
from commandline import run

TRAIN = ["train", "task=mini-inference", "model=tiny", "trainer.max_steps=1", "data.limit.train=8"]
CONFIG = """\
from dataclasses import dataclass
from hydra.core.config_store import ConfigStore

@dataclass
class Settings:
    _target_: str = "hydra_plugins.{plugin}.none.Plugin"
    n_trials: int = 20

ConfigStore.instance().store(group="hydra/{group}", name="{name}", node=Settings, provider="{plugin}")
"""


def write(folder: Path, plugin: str, **modules: str) -> None:
    path = folder / "hydra_plugins" / plugin
    path.mkdir(parents=True)
    for name, text in {"__init__": "", **modules}.items():
        (path / f"{name}.py").write_text(text)


@pytest.fixture
def beside(tmp_path: Path) -> partial[None]:
    write(tmp_path, "hydra_old_launcher", __init__="import hydra.a_module_that_went_away")
    write(tmp_path, "broken", one="raise RuntimeError('broken')")
    write(tmp_path, "leaving", one="raise SystemExit(3)")
    for plugin, group, name in (
        ("hydra_optuna_sweeper", "sweeper", "optuna"),
        ("hydra_ray_launcher", "launcher", "ray"),
    ):
        write(tmp_path, plugin, config=CONFIG.format(plugin=plugin, group=group, name=name))
    return partial(add_path, tmp_path)


def add_path(folder: Path) -> None:
    sys.path.append(str(folder))


def test_they_break_nothing_that_does_not_use_them(beside: partial[None], tmp_path: Path) -> None:
    done = run([*TRAIN, f"out={tmp_path / 'out'}"], tmp_path, before=beside)
    assert done.code == 0, done.err
    assert "hydra_plugins" not in done.err
    for group in ("sweeper=optuna", "launcher=ray"):
        done = run([*TRAIN, f"hydra/{group}", "--cfg", "hydra"], tmp_path, before=beside)
        assert done.code == 0, done.err
        assert "_target_: hydra_plugins.ptv2." in done.out, "ours"


def test_one_line_where_they_are_used(beside: partial[None], tmp_path: Path) -> None:
    done = run([*TRAIN, "hydra/launcher=old", "seed=1,2", "-m"], tmp_path, before=beside)
    assert done.code == 2
    expected = (
        "hydra/launcher=old: its plugin hydra_old_launcher cannot be imported (ModuleNotFoundError: No module named"
    )
    assert done.error.startswith(expected)


def test_a_plugin_that_fails_when_it_launches(tmp_path: Path) -> None:
    text = CONFIG.format(plugin="hydra_late_launcher", group="launcher", name="late").replace(".none.", ".core.")
    late = """\
from hydra.plugins.launcher import Launcher

class Plugin(Launcher):
    def __init__(self, n_trials: int) -> None: ...
    def setup(self, *, hydra_context, task_function, config) -> None: ...
    def launch(self, job_overrides, initial_job_idx):
        import a_library_that_is_not_there
"""
    write(tmp_path, "hydra_late_launcher", config=text, core=late)
    words = [*TRAIN, "hydra/launcher=late", "seed=1,2", "-m"]
    done = run(words, tmp_path, before=partial(add_path, tmp_path))
    assert done.code == 2
    assert done.error.startswith("the plugin hydra_late_launcher of Hydra does not work here: No module named")
