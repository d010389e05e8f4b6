"""What a command works on, found and refused before torch is imported: data, run, backbone, finished runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.config.methods import METHODS
from ptv2.config.multitask import missing, shared_parts
from ptv2.config.schema import RunConfig
from ptv2.data.sources import Source, open_source
from ptv2.errors import ConfigError, DataError, NetworkError, RunError
from ptv2.experiment.read import reading
from ptv2.models.checkpoints import check_backbone
from ptv2.models.fingerprint import fingerprint
from ptv2.run_folders.directory import RunDirectory, SharedDirectory, find_run, read_config
from ptv2.run_folders.lock import check_free
from ptv2.run_folders.processes import is_main_process
from ptv2.run_folders.record import AGAIN, Result, cure
from ptv2.run_folders.weights import ARTIFACT, fault_of_weights, read_artifact

if TYPE_CHECKING:
    from ptv2.tasks.load import AnyTask


@dataclass(frozen=True)
class Shared:
    """What the part is that runs of several tasks begin with, known before anything of it is read."""

    config: RunConfig  # of one of the runs that begin with it
    parts: dict[str, RunConfig]  # by task
    sources: dict[str, Source]
    run: SharedDirectory


@dataclass(frozen=True)
class Opened:
    """A run that is not trained yet, or was finished before."""

    config: RunConfig
    source: Source
    run: RunDirectory
    shared: Shared | None

    @property
    def only_shared(self) -> bool:
        """Whether the run is the part that tasks share, and nothing after it."""
        return self.config.multitask is not None and self.config.multitask.only_shared


def open_run(config: RunConfig) -> Opened:
    """Find the run's data and directory, and whatever can be known to be wrong before a backbone is loaded.

    Raises:
        ConfigError: `out` is no folder, or the method or a tracker needs a package that is not installed.
        DataError: a folder or file is missing; of several tasks, all whose data are missing.
        ModelError: the backbone is not to be had.
        RunError: another process trains this run.
    """
    if Path(config.out).exists() and not Path(config.out).is_dir():
        raise ConfigError(f"out={config.out}: a file; expected a folder for the runs")
    shared = open_shared(config) if config.multitask else None
    source = open_source(config)
    run = RunDirectory(config, source.fingerprint, fingerprint(config.model), shared.run.hash if shared else None)
    opened = Opened(config, source, run, shared)
    if opened.only_shared and shared is not None:
        opened = Opened(config, source, shared.run, shared)
    if opened.run.result is None:
        if is_main_process() and not opened.only_shared:
            check_free(run.path)
        check_package(config)
        check_trackers(config.track)
        check_attention(config)
        check_backbone(config.model)
    return opened


def check_package(config: RunConfig) -> None:
    """Raise `ConfigError` unless what the method needs besides ptv2 is installed."""
    package = METHODS[config.method].package
    if package is not None and find_spec(package) is None:
        raise ConfigError(f"method={config.method} needs {package.upper()}; pip install 'ptv2[{package}]'")


def is_installed(package: str) -> bool:
    """Whether there is such a package; a folder of that name is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def check_trackers(names: list[str]) -> None:
    """Raise `ConfigError` unless the packages of all trackers are installed."""
    for name in names:
        if not is_installed(name):
            raise ConfigError(f"track={name} needs the package {name}; pip install 'ptv2[{name}]'")


def check_attention(config: RunConfig) -> None:
    """Raise `ConfigError` where it can be told without torch that `model.attention` cannot be trained."""
    kernel = config.model.attention
    if kernel == "flash_attention_2" and not any(map(is_installed, ("flash_attn", "kernels"))):
        raise ConfigError(
            f"model.attention={kernel} needs a GPU, and flash-attn or kernels; pip install 'transformers[kernels]'"
        )
    if kernel in ("flash_attention_2", "flex_attention") and config.trainer.device == "cpu":
        raise ConfigError(f"model.attention={kernel} trains on a GPU only; expected sdpa, or trainer.device=auto")


def open_shared(config: RunConfig) -> Shared:
    """Find out what the shared part of `config` is and where it is kept.

    Raises:
        DataError: names all tasks whose data are missing.
    """
    parts = shared_parts(config)
    sources = for_each_task(parts, lambda name: open_source(parts[name]), config)
    data = {name: source.fingerprint for name, source in sources.items()}
    directory = SharedDirectory(config, data, fingerprint(config.model))
    return Shared(config, parts, sources, directory)


def for_each_task(parts: dict[str, RunConfig], make: Callable[[str], Any], config: RunConfig) -> dict[str, Any]:
    """What `make` gives for each task, by name.

    Raises:
        DataError: all that it raised, in one.
        NetworkError: the first that it raised, with what helps one of several tasks.
    """
    results, faults = {}, {}
    for name in parts:
        try:
            results[name] = make(name)
        except DataError as error:
            faults[name] = error
        except NetworkError as error:
            text, _, _ = str(error).partition("; or use local files")  # `data.dir` is of one task
            raise NetworkError(f"multitask.tasks: {text}; or give multitask.dirs={{{name}: DIR}}") from error
    if faults:
        raise missing(faults, config) from next(iter(faults.values()))
    return results


def open_trained(name: str, out: str) -> tuple[Path, RunConfig]:
    """The finished run that a command's word means, and its configuration.

    Raises:
        RunError: there is no such run, it is not finished, or its weights are damaged.
        ConfigError: its method needs a package that is not installed.
        ModelError: its backbone is not to be had.
    """
    folder = find_run(name, out)
    config = read_config(folder)
    if fault := fault_of_weights(folder):
        if not any((folder / file).exists() for file in ("result.json", ARTIFACT)):
            raise RunError(f"{folder}: the run is not finished; the same `ptv2 train` command goes on with it")
        raise RunError(f"{folder}: {fault}; {cure(folder)}")
    check_package(config)
    check_backbone(config.model)
    return folder, config


def trained_task(folder: Path, config: RunConfig) -> AnyTask:
    """The task of a finished run, with the labels that it was trained on.

    Raises:
        ModelError: the run's artifact is damaged.
    """
    from ptv2.tasks.load import load_task  # imports numpy

    return load_task(config.task, state=read_artifact((folder / ARTIFACT).parent)["extra"], reading=reading(config))


def finished_result(opened: Opened) -> Result | None:
    """The result of a run that was finished before; its folder is tidied where a kill came at the very end of it.

    Where a finished run is damaged and therefore made again, the user is told.
    """
    result = opened.run.result
    if is_main_process():
        if result is not None:
            opened.run.tidy()
        elif fault := opened.run.fault:
            from ptv2.console.output import tell

            tell(f"{opened.run.path}: {fault.removesuffix(f'; {AGAIN}')}; it is made again")
    return result
