"""From an adapter of PEFT to the folder of a run that evaluate, predict and export take."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ptv2.collector import collector_paused
from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.config.hub_names import split_revision
from ptv2.config.identity import deciding
from ptv2.config.multitask import in_override
from ptv2.config.schema import RunConfig
from ptv2.config.spelling import refuse_sweeps
from ptv2.errors import ConfigError, ModelError, quote
from ptv2.files import write_json_whole
from ptv2.hub.fetch import check_content, fetching
from ptv2.run_folders.directory import write_config
from ptv2.variables import quieten_transformers

if TYPE_CHECKING:
    from ptv2.interchange.peft_adapter import Adapter
    from ptv2.tasks.load import AnyTask


def import_adapter(source: str, settings: list[str], config_dir: str | None) -> Path:
    """Write a run with what an adapter has trained; the same import writes the same folder.

    Args:
        source: the adapter's folder, or OWNER/NAME or OWNER/NAME@REVISION on the hub.
        settings: as `ptv2 train` takes them, but for those that the adapter decides.

    Raises:
        ConfigError: settings that the adapter decides, or that it leaves open and nobody gives.
        ModelError: no adapter of PEFT, or one of another kind or of another backbone, or the hub does not give it.
        NetworkError: the hub or the way to it failed.
    """
    from ptv2.interchange.peft_adapter import read_adapter, settings_of

    refuse_sweeps(settings, "an adapter is one run; expected settings of that")
    place, origin = _locate(source)
    adapter = read_adapter(place)
    decided = settings_of(adapter)
    config = compose(
        [
            *_named(adapter, settings, config_dir),
            *_free(settings, decided),
            *(f"{key}={value}" for key, value in decided.items()),
        ],
        config_dir,
    )
    return _write(adapter, config, place, origin)


def _locate(source: str) -> tuple[Path, str | None]:
    """The adapter's folder, fetched from the hub if need be; and its name there, with the commit."""
    from ptv2.interchange.peft_adapter import CONFIG, WEIGHTS

    repository, revision = split_revision(source)
    if Path(source).is_dir() or not re.fullmatch(r"\w[\w.-]*/[\w.-]+", repository):
        return Path(source), None
    from huggingface_hub import snapshot_download

    with fetching(source, ModelError, f"or give a folder with {CONFIG}") as bars:
        files = [CONFIG, WEIGHTS]
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=files, tqdm_class=bars))
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{source}: no adapter of PEFT (the repository has no {CONFIG})")
    for file in folder.iterdir():
        check_content(source, file)
    return folder, f"{repository}@{folder.name}"


def _named(adapter: Adapter, settings: list[str], config_dir: str | None) -> list[str]:
    """Task and backbone as the adapter names them, where the settings do not."""
    given = {setting.partition("=")[0] for setting in settings}
    named = []
    if "task" not in given:
        task = adapter.header.get("task")
        if task not in paths.choices("task", config_dir):
            raise ConfigError("the adapter names no task of ptv2; expected task=NAME (see ptv2 list tasks)")
        named.append(f"task={task}")
    if not given & {"model", "model.path"}:
        base = adapter.header.get("path") or adapter.config.get("base_model_name_or_path")
        if not base:
            raise ConfigError("the adapter names no backbone; expected model=NAME or model.path=FOLDER or hub id")
        known = adapter.header.get("backbone") or {}
        if known and not adapter.header.get("path") and not Path(base).is_dir():  # exported from a folder's backbone
            raise ConfigError(
                f"the adapter's backbone is a folder named {quote(base)} (SHA-256 of its weights: "
                f"{known.get('sha256')}); expected model.path=FOLDER"
            )
        files = paths.choices("model", config_dir)
        shipped = [name for name, file in files.items() if _yaml(file).get("path") == base]
        revision = adapter.config.get("revision")
        elsewhere = [
            f"model.path={in_override(str(base))}",
            *([f"model.revision={in_override(str(revision))}"] if revision else []),
        ]
        named += [f"model={shipped[0]}"] if shipped else elsewhere
    return named


def _free(settings: Iterable[str], fixed: dict[str, str]) -> list[str]:
    """The settings, none of which may be one that the adapter decides."""
    settings = list(settings)
    for setting in settings:
        key, equals, _ = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting}: expected key=value")
        if key.lstrip("+") in fixed:
            raise ConfigError(f"{setting}: the adapter decides it ({key}={fixed[key.lstrip('+')]}); leave it out")
    return settings


def _write(adapter: Adapter, config: RunConfig, source: Path, origin: str | None) -> Path:
    """Build the model, put the adapter on it, and write the run's folder.

    The same import gives the same name, wherever its files are.
    """
    with collector_paused():
        from ptv2.interchange.peft_adapter import WEIGHTS, check_kind
        from ptv2.interchange.peft_format import load_adapter
        from ptv2.models.artifact import check_config, save_artifact
        from ptv2.models.build import HeadSpec, build_model
        from ptv2.models.fingerprint import join_hashes

    quieten_transformers()
    task = _task(adapter, config)
    check_kind(adapter, task.head)
    model = build_model(config, HeadSpec(task.head, len(task.labels)))
    if trained_on := (adapter.header.get("backbone") or {}).get("sha256"):
        if trained_on != model.identity.sha256:
            raise ModelError(
                f"{config.model.path}: not the weights that the adapter was trained on (SHA-256 {trained_on})"
            )
        check_config(adapter.header, model.identity_record(), source)
    load_adapter(model, adapter)

    sha256 = hashlib.sha256((source / WEIGHTS).read_bytes()).hexdigest()
    backbone = join_hashes(model.identity.sha256, model.identity.config_sha256)
    same = {"config": deciding(config, sha256, backbone), "task": task.state()}
    digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:10]
    folder = Path(config.out) / f"{config.task.name}-{config.model.name}-{config.method}-peft-{digest}"
    save_artifact(model, folder / "artifact", {**task.state(), "task": config.task.name})
    message = f"an adapter of PEFT{f' ({origin})' if origin else ''}; not trained here"
    write_json_whole(folder / "status.json", {"state": "imported", "message": message})
    write_config(folder, config.model_dump(mode="json"), {"adapter": sha256})
    return folder


def _task(adapter: Adapter, config: RunConfig) -> AnyTask:
    """The task, with the labels that the adapter was exported with, or else those of the task or its data.

    An adapter's scores stand for its labels in their order, also where the task has another name here.
    """
    from ptv2.data.sources import open_source
    from ptv2.tasks.load import load_task

    labels = adapter.header.get("labels")
    if labels and adapter.header.get("task") == config.task.name:
        return load_task(config.task, state=adapter.header)
    task = load_task(config.task, open_source(config))
    own = task.state().get("labels")
    if labels and own and own != labels and sorted(map(str, own)) == sorted(map(str, labels)):
        return load_task(config.task, state=adapter.header)
    return task


def _yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
