"""`ptv2 export RUN --to peft --output DIR`: a finished run's prompts or LoRA, and head, as an adapter for PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptv2.collector import collector_paused
from ptv2.config.methods import METHODS
from ptv2.config.schema import ModelConfig
from ptv2.console.arguments import RUN_HELP, Parser, a_folder
from ptv2.console.output import tell
from ptv2.errors import ModelError
from ptv2.experiment.open import open_trained
from ptv2.files import write_text_whole

if TYPE_CHECKING:
    from ptv2.models.build import PromptedModel


def main(arguments: list[str]) -> int:
    """Write the adapter's two files, and a README.md with the code that gives the run's scores in PEFT."""
    parser = Parser(
        prog="ptv2 export", description="A finished run's prompts or LoRA, and its head, as an adapter for PEFT."
    )
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("--to", choices=["peft"], required=True, help="the format")
    parser.add_argument("--output", type=a_folder, required=True, metavar="DIR", help="folder for the adapter")
    parser.add_argument(
        "--position-ids-at-call",
        action="store_true",
        help="also with prompt.positions=unshifted: every call must then pass position_ids, as the README.md shows",
    )
    parser.add_out()
    options = parser.parse_args(arguments)
    folder, config = open_trained(options.run, options.out)
    if config.model.path == "config:":
        raise ModelError(f"{folder.name}: its backbone has random weights, and PEFT needs a checkpoint to load it on")
    if not METHODS[config.method].exported:
        raise ModelError(
            f"{folder.name}: method {config.method} has neither prompts nor LoRA; only these can be exported"
        )

    with collector_paused():
        from ptv2.experiment.load import load_trained
        from ptv2.interchange.card import card
        from ptv2.interchange.peft_adapter import write_adapter
        from ptv2.interchange.peft_format import to_peft

        trained = load_trained(folder, config)
    base, revision = _base(config.model, trained.model)
    extra = {**trained.task.state(), "task": config.task.name}
    if not _is_folder(config.model):
        extra["path"] = config.model.path
    adapter = to_peft(trained.model, base, revision, extra, positions_at_call=options.position_ids_at_call)
    write_adapter(adapter, options.output)
    text = card(trained.model, adapter, folder.name, trained.task.labels)
    write_text_whole(Path(options.output) / "README.md", text)
    tell(f"written: {options.output} ({adapter.config['peft_type']}, {adapter.task_type})")
    return 0


def _base(config: ModelConfig, model: PromptedModel) -> tuple[str, str | None]:
    """The backbone's name and revision for an adapter: a hub id with its commit, an embedded one, or a folder's name.

    The folder's path is left out; the hash of its weights is in the adapter and on its card.
    """
    identity = model.identity
    return (identity.name, identity.revision) if _is_folder(config) else (config.path, identity.revision)


def _is_folder(config: ModelConfig) -> bool:
    return Path(config.path).is_dir()
