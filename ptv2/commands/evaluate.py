"""`ptv2 evaluate RUN`: score a finished run's weights again, on its own data or on other data of the same task."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ptv2.collector import collector_paused
from ptv2.config.schema import RunConfig
from ptv2.config.task_schema import DataConfig
from ptv2.console.arguments import RUN_HELP, Parser
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.json_document import show_json
from ptv2.console.output import out, tell
from ptv2.data.sources import open_source, open_split
from ptv2.errors import ConfigError, DataError, enumerate_some
from ptv2.experiment.open import open_trained, trained_task
from ptv2.files import from_home
from ptv2.report.classes import describe_classes
from ptv2.run_folders.record import Result, read_result


def main(arguments: list[str]) -> int:
    """Score and print, beside the run's recorded numbers if they are of the same examples."""
    parser = Parser(
        prog="ptv2 evaluate", description="Score a finished run's weights again, on its own data or on other data."
    )
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("--split", default="dev", help="train, dev (default), test or another of the task's")
    parser.add_data_dir()
    parser.add_out()
    parser.add_json()
    options = parser.parse_args(arguments)
    folder, config = open_trained(options.run, options.out)
    result = read_result(folder)

    if options.data_dir:
        config = on_files(config, options.data_dir, result)
    else:
        check_own_data(folder, config)
    source = open_split(config, options.split)
    task = trained_task(folder, config)
    examples = task.read(source.read(options.split))
    if options.data_dir:
        from ptv2.data.summary import Summary  # imports numpy

        for note in task.notes({options.split: task.count(examples, Summary())}):
            tell(f"note: {note}")

    with collector_paused():
        from ptv2.experiment.load import load_trained, predict_examples  # imports torch

        trained = load_trained(folder, config, task)
    predictions = predict_examples(trained, examples, config)
    metrics = task.score(predictions, examples)
    if not trained.accelerator.is_main_process:
        return 0
    recorded = _recorded(result, options.split, source.fingerprint, len(examples)) if result else None
    parts = task.parts(predictions, examples)
    if options.json:
        scores = {"headline": config.task.headline, "scores": metrics, "recorded": recorded, "parts": parts}
        show_json({"run": folder.name, "split": options.split, "examples": len(examples), **scores})
        return 0
    tell(f"{folder.name}, {options.split}, {len(examples)} examples", out)
    show_table(_table(metrics, recorded))
    if (classes := describe_classes(parts)) is not None:
        tell(f"classes: {classes}", out)
    return 0


def check_own_data(folder: Path, config: RunConfig) -> None:
    """Raise `DataError` where the folder of the run's data is not to be seen from here."""
    if config.data.dir is not None and not from_home(config.data.dir).exists():
        raise DataError(
            f"{folder.name}: no folder {config.data.dir}, where its data were; --data-dir DIR says where they are now"
        )


def on_files(config: RunConfig, folder: str, result: Result | None) -> RunConfig:
    """The configuration with the files in `folder` as its data.

    Which examples are dev, and how many are used, is as in the run if the files are the run's own. Others are read
    whole, and a note says so.
    """
    if config.task.sources.files is None:
        raise ConfigError(f"--data-dir: task {config.task.name} does not say how to read it from files")
    if not Path(folder).is_dir():
        raise DataError(f"--data-dir {folder}: no such folder")
    plain = DataConfig(source="files", dir=folder)
    moved = config.data.model_copy(update={"source": "files", "dir": folder})
    chosen = [name for name in ("split", "folds", "shots") if getattr(moved, name)]
    chosen += [f"limit.{name}" for name, most in moved.limit.items() if most]
    if chosen and _are_of(result, own := config.model_copy(update={"data": moved})):
        return own
    if chosen:
        settings = enumerate_some([f"data.{name}" for name in chosen])
        tell(f"note: {folder} holds other files than those of the run: they are read whole, without its {settings}")
    return config.model_copy(update={"data": plain})


def _are_of(result: Result | None, config: RunConfig) -> bool:
    """Whether the files that a configuration names have the content that a run was made of."""
    with suppress(DataError):
        return result is not None and open_source(config).fingerprint == result.data["fingerprint"]
    return False


def _recorded(result: Result, split: str, fingerprint: str, count: int) -> dict[str, float] | None:
    """The run's own scores, if it was scored on the same examples."""
    if result.data["fingerprint"] != fingerprint or result.data["examples"].get(split) != count:
        return None
    return result.scores(split)


def _table(metrics: dict[str, float], recorded: dict[str, float] | None) -> Table:
    scores = {"now": metrics} | ({"recorded": recorded} if recorded else {})  # runs of earlier versions lack some
    rows = [(n, *(f"{column[n]:.2f}" if n in column else "" for column in scores.values())) for n in metrics]
    return Table([Column("metric"), *(Column(name, right=True) for name in scores)], rows)
