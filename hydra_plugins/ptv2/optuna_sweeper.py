"""`hydra/sweeper=optuna`: settings searched by Optuna, on top of any launcher.

Optuna's own plugin for Hydra (1.3) needs Optuna 2, and neither prunes nor goes on with a study.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ptv2.errors import ConfigError
from ptv2.run_folders.processes import is_alone
from ptv2.sweeps import outcomes

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from ptv2.config.schema import RunConfig
    from ptv2.sweeps.space import Distribution
    from ptv2.sweeps.study import Search


class OptunaSweeper(Sweeper):
    """Trials until `hydra.sweeper.trials` have a dev score or are pruned; see conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, **settings: Any) -> None:
        """`settings` are those of `hydra.sweeper`, which `setup` reads in the whole configuration."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a sweep needs.

        Raises:
            ConfigError: Optuna is not installed, several processes of one training would each begin a study, or a
                number of trials is none.
        """
        if find_spec("optuna") is None:
            raise ConfigError("hydra/sweeper=optuna needs Optuna: pip install 'ptv2[optuna]'")
        if not is_alone():
            raise ConfigError("hydra/sweeper=optuna runs each trial in one process; expected no torchrun around it")
        for name in ("trials", "jobs"):
            number = config.hydra.sweeper[name]
            if not (type(number) is int and number > 0) and not (name == "jobs" and number is None):
                raise ConfigError(f"hydra.sweeper.{name}={number}: expected a whole number from 1")
        self._context, self._config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Search the settings among these overrides and `hydra.sweeper.params` that have more than one value."""
        from ptv2.data.sources import open_source
        from ptv2.experiment.open import check_trackers
        from ptv2.models.fingerprint import fingerprint
        from ptv2.sweeps import space as spaces
        from ptv2.sweeps import study as studies
        from ptv2.sweeps.summary import show_study

        sweeper = self._config.hydra.sweeper
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        given = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        space, fixed = spaces.split_space(parser.parse_overrides([*given, *arguments]))
        if not space:
            raise ConfigError(
                "hydra/sweeper=optuna: nothing to search; expected settings with several values, such as "
                "'optim.lr=tag(log,interval(1e-3,1e-1))' prompt.length=8,16,32"
            )
        point = self._compose([*fixed, *spaces.as_overrides(spaces.a_point(space))])
        check_trackers(point.track)
        settings = studies.settings_of(self._config, space)
        if sweeper.study is None:
            searched = {key.lstrip("+").partition(".")[0] for key in space}
            data = None if searched & {"task", "data"} else open_source(point).fingerprint
            weights = None if "model" in searched else fingerprint(point.model)
            sweeper.study = studies.default_name(settings, data, weights)
        with studies.opened(sweeper, Path(self._config.hydra.sweep.dir), settings) as search:
            try:
                with outcomes.launching():
                    self._search(search, space, fixed)
            finally:
                show_study(search, fixed)

    def _compose(self, overrides: list[str]) -> RunConfig:
        """Compose one point of the space, so that a wrong name or value is said before anything is begun."""
        from ptv2.config.compose import to_run_config

        config = self._context.config_loader.load_sweep_config(self._config, overrides)
        runtime = config.hydra.runtime
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        return to_run_config(config, overrides, runtime)

    def _search(self, search: Search, space: dict[str, Distribution], fixed: list[str]) -> None:
        """Run trials, as many at a time as the launcher runs side by side, interrupted ones first."""
        waiting, left, begun = search.interrupted, search.left, 0
        while left > 0:
            count = min(left, self._side_by_side())
            batch, waiting = waiting[:count], waiting[count:]
            while len(batch) < count:
                batch.append(search.ask(space, fixed))
            ended = self._launch(search, batch, begun)
            begun, left = begun + count, left - count
            if any(outcome is None or outcome.signal is not None for outcome in ended):
                return

    def _launch(self, search: Search, trials: list[FrozenTrial], first: int) -> list[outcomes.Outcome | None]:
        """Run trials side by side; those that ask for the same settings are one run."""
        from ptv2.sweeps.study import OVERRIDES

        runs: dict[tuple[str, ...], list[FrozenTrial]] = {}
        for trial in trials:
            runs.setdefault(tuple(trial.user_attrs[OVERRIDES]), []).append(trial)
        words = [
            [*settings, f"hydra.sweeper.study={search.name}", f"hydra.sweeper.trial={same[0].number}"]
            for settings, same in runs.items()
        ]
        try:
            ended = outcomes.read_returned(self._launcher.launch(words, initial_job_idx=first))
        except Exception as error:
            if outcomes.is_breakdown(error):  # whichever of them it was: the next command must not end the same way
                lost = outcomes.Outcome(first, [], "failed", f"lost its worker ({type(error).__name__})")
                for trial in trials:
                    search.tell(trial, lost)
            raise
        for same, outcome in zip(runs.values(), ended, strict=True):
            for trial in same:
                if outcome is not None:
                    search.tell(trial, outcome)
        return ended

    def _side_by_side(self) -> int:
        sweeper, launcher = self._config.hydra.sweeper, self._config.hydra.launcher
        if sweeper.jobs is not None:
            return int(sweeper.jobs)
        if launcher.get("n_jobs") is not None:  # joblib; -1 is all cores
            from joblib import effective_n_jobs

            return int(effective_n_jobs(launcher.n_jobs))
        return int(launcher.get("together") or 1)
