"""What an adapter's README.md says of the run: metadata that the hub reads, scores, data, settings, seeds, versions."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptv2.config.compose import compose
from ptv2.config.identity import without_bookkeeping
from ptv2.config.keys import flat, short_value
from ptv2.config.multitask import in_override
from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError
from ptv2.report.described import describe_settings
from ptv2.report.folds import pool_folds
from ptv2.report.formats import count_of, format_markdown, format_score
from ptv2.report.settings import beyond, decisive
from ptv2.report.statistics import spread_of
from ptv2.report.tables import same_settings
from ptv2.report.usable import distinct_results
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.environment import in_words
from ptv2.run_folders.record import Result, read_result

# Of a kind of head: the hub's name of the task.
PIPELINES = {
    "classification": "text-classification",
    "choice": "multiple-choice",
    "tagging": "token-classification",
    "span": "question-answering",
}
METRICS = {"macro_f1": "f1", "mcc": "matthews_correlation"}  # the hub's names of metrics with names of ours


@dataclass(frozen=True)
class About:
    """A run, for its card.

    `result` is None for an imported adapter; `equals` are runs that differ in the seed only; those of folds are one.
    """

    config: RunConfig
    kind: str  # of head
    result: Result | None
    equals: Sequence[Result]
    environment: Sequence[str]
    licence: str | None

    def metadata(self, base: str | None) -> str:
        """The YAML that the hub reads; `base`: the backbone's name there."""
        from huggingface_hub import EvalResult, ModelCardData

        config, result, pipeline = self.config, self.result, PIPELINES[self.kind]
        repository = _repository(result)
        scores: list[Any] = [
            EvalResult(
                task_type=pipeline,
                dataset_type=repository.get("repository", config.task.name),
                dataset_name=config.task.name,
                dataset_split=split,
                dataset_revision=repository.get("commit"),
                metric_type=METRICS.get(metric, metric),
                metric_name=f"{metric} (%)",
                metric_value=round(value, 2),
            )
            for split in (result.splits if result else ())
            for metric, value in (result.scores(split) or {}).items()  # type: ignore[union-attr]
        ]
        data = ModelCardData(
            base_model=base,
            library_name="peft",
            license=self.licence,
            pipeline_tag=pipeline,
            tags=["ptv2", config.method],
            datasets=[repository["repository"]] if repository else None,
            metrics=list(dict.fromkeys(score.metric_type for score in scores)) or None,
            model_name=result.name if result and scores else None,
            eval_results=scores or None,
        )
        return f"{data.to_yaml()}\n"

    def record(self) -> str:
        """The sections on scores and training; nothing for an adapter that was imported."""
        if (result := self.result) is None:
            return ""
        seeds = sorted({run.seed for run in self.equals})
        spread = f"seeds {', '.join(map(str, seeds))}"
        header = ("split", "metric", f"seed {result.seed}, this adapter", *([spread] if len(seeds) > 1 else []))
        command = _command(self.config)
        counts = ", ".join(f"{count:,} {split}" for split, count in result.data["examples"].items())
        lines = [
            "",
            "## Scores",
            "",
            *format_markdown(header, list(_rows(result, self.equals, len(seeds) > 1)), left=2),
            "",
            f"In percent, with the weights of the best of {count_of(result.evaluations, 'evaluation')} on dev, by "
            f"{result.headline}: scores on dev are optimistic. Other splits were scored once."
            + (" The last column has means and standard deviations." if len(seeds) > 1 else ""),
            *(f"\nNote: {note}." for note in result.notes),
            "",
            "## Training",
            "",
            f"- Data: {_data(result)}; examples: {counts}.",
            f"- Method: {result.method}, {result.parameters['trained']:,} of {result.parameters['total']:,} parameters "
            f"({result.parameters['percent']:.3g} %); seed {result.seed}.",
            f"- Settings: {describe_settings([result])}.",
            *(f"- Made with: {sentence}." for sentence in self.environment),
        ]
        if command:
            lines += ["", "```bash", command, "```"]
        return "\n".join(lines) + "\n"


def about(folder: Path, config: RunConfig, kind: str, licence: str | None) -> About:
    """Gather what is known of a run, and of the runs beside it that differ in the seed only."""
    result = read_result(folder)
    equals: list[Result] = []
    if result is not None:
        beside, _ = distinct_results(find_runs([str(folder.resolve().parent)]))
        groups = same_settings([result, *(run for run in beside.values() if run.name != result.name)])
        equals = pool_folds(groups[0])
    return About(config, kind, result, equals, in_words([folder]), licence)


def _rows(result: Result, equals: Sequence[Result], several: bool) -> list[list[str]]:
    rows = []
    for split in result.splits:
        for metric, value in (result.scores(split) or {}).items():
            values = [score for run in equals if (score := (run.scores(split) or {}).get(metric)) is not None]
            row = [split, metric, f"{value:.2f}"]
            rows.append([*row, format_score(statistics.fmean(values), spread_of(values), 2)] if several else row)
    return rows


def _repository(result: Result | None) -> dict[str, str]:
    """Repository and commit of data from the hub; empty for other data."""
    source = (result.data.get("source") if result else None) or {}
    return {key: str(value) for key, value in source.items()} if "repository" in source else {}


def _data(result: Result) -> str:
    """Where the examples come from, without names of files."""
    if repository := _repository(result):
        commit = repository.get("commit", repository.get("revision", ""))
        return f"{result.task} from {repository['repository']} at {commit}"
    if "mini" in (result.data.get("source") or {}):
        return f"{result.task}, made up by ptv2"
    return f"files for task {result.task} (fingerprint {result.data['fingerprint']})"


def _of_data(config: RunConfig) -> dict[str, Any]:
    """The settings that say which examples of the data are used, by key."""
    tree = without_bookkeeping({"data": config.data.model_dump(mode="json", exclude={"source"})})
    return flat(tree)


def _command(config: RunConfig) -> str:
    """The command that makes such a run, without folders; empty where the task is not one that ptv2 comes with."""
    start = [f"task={config.task.name}", f"method={config.method}", f"data.source={config.data.source}"]
    start += ["data.dir=DIR"] if config.data.source == "files" else []
    path = "FOLDER" if Path(config.model.path).is_dir() else config.model.path
    for model in (f"model={config.model.name}", f"model.path={path}"):
        try:
            usual = compose([*start, model])
        except ConfigError:
            continue
        parts = beyond(_of_data(config), _of_data(usual))  # a run on a part of the data is another run
        changed = [*parts.items(), *beyond(decisive(config), decisive(usual)).items()]
        settings = [
            f"{key}={in_override(value) if isinstance(value, list | dict) else short_value(value)}"
            for key, value in changed
            if key not in ("seed", "model.name")
        ]
        return "ptv2 train " + " ".join(map(shlex.quote, [*start, model, f"seed={config.seed}", *settings]))
    return ""
