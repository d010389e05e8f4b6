"""From a finished run to the three files of an adapter of PEFT: configuration, weights and card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptv2.collector import collector_paused
from ptv2.config.schema import ModelConfig, RunConfig
from ptv2.errors import ConfigError, enumerate_some
from ptv2.files import write_text_whole

if TYPE_CHECKING:
    from ptv2.models.build import PromptedModel


def export_adapter(
    folder: Path,
    config: RunConfig,
    output: Path,
    *,
    positions_at_call: bool,
    licence: str | None,
    repository: str | None,
) -> str:
    """Write the adapter of the run in `folder` into `output`.

    Args:
        positions_at_call: see `to_peft`.
        licence: of the adapter, for its card.
        repository: where the adapter is going to be on the hub, for the code on its card; None: it stays in a folder.

    Returns:
        Its types, such as "PREFIX_TUNING, SEQ_CLS".

    Raises:
        ModelError: PEFT cannot compute what the run's model computes.
    """
    with collector_paused():
        from ptv2.experiment.load import load_trained
        from ptv2.interchange.about import about
        from ptv2.interchange.card import card
        from ptv2.interchange.peft_adapter import write_adapter
        from ptv2.interchange.peft_format import to_peft

        trained = load_trained(folder, config)
    base, revision = _base(config.model, trained.model)
    extra = {**trained.task.state(), "task": config.task.name}
    if not _is_folder(config.model):
        extra["path"] = config.model.path
    adapter = to_peft(trained.model, base, revision, extra, positions_at_call=positions_at_call)
    write_adapter(adapter, output)
    record = about(folder, config, trained.model.spec.kind, licence)
    text = card(trained.model, adapter, folder.name, trained.task.labels, record, repository or ".")
    write_text_whole(output / "README.md", text)
    return f"{adapter.config['peft_type']}, {adapter.task_type}"


def _base(config: ModelConfig, model: PromptedModel) -> tuple[str, str | None]:
    """The backbone's name and revision for an adapter: a hub id with its commit, an embedded one, or a folder's name.

    The folder's path is left out; the hash of its weights is in the adapter and on its card.
    """
    identity = model.identity
    return (identity.name, identity.revision) if _is_folder(config) else (config.path, identity.revision)


def _is_folder(config: ModelConfig) -> bool:
    return Path(config.path).is_dir()


def check_folder(folder: Path, *, is_pushed: bool) -> None:
    """Refuse a folder of something else: its README.md would be replaced, and all of it would be pushed.

    Raises:
        ConfigError: names what it holds.
    """
    from ptv2.interchange.peft_adapter import CONFIG, WEIGHTS

    names = {path.name for path in folder.glob("*")}
    if "README.md" in names and CONFIG not in names:
        raise ConfigError(f"--output: {folder} holds a README.md, which would be replaced; expected another folder")
    others = sorted(name for name in names - {"README.md", CONFIG, WEIGHTS} if not name.startswith("."))
    if is_pushed and others:
        raise ConfigError(
            f"--output: {folder} holds {enumerate_some(others, 4)}, which would be pushed too; expected another folder"
        )
