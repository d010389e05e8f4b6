"""ptv2 in Python: train a run, load it, ask it for answers, and list runs. `import ptv2` hands these names on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ptv2.config.compose import compose
from ptv2.config.multitask import in_override
from ptv2.config.schema import RunConfig
from ptv2.config.spelling import refuse_sweeps
from ptv2.errors import ConfigError, DataError, RunError, first_line, kind_of, quote
from ptv2.experiment.open import open_trained, trained_task
from ptv2.files import scratch_folder
from ptv2.run_folders.directory import find_run, find_runs, read_config, state_of
from ptv2.run_folders.overview import COLUMNS, describe_run
from ptv2.run_folders.record import Result, read_result

if TYPE_CHECKING:
    import pandas

    from ptv2.experiment.load import Trained
    from ptv2.models.build import PromptedModel

GROUPS = ("task", "model", "method", "recipe")  # settings whose values are names of configuration files


class Predictions(NamedTuple):
    """Answers to new examples, in their order.

    `labels` holds a label for each text, the tags of each sentence's words, or the answer to each question.
    `probabilities` holds a probability for each label of each text; None for tasks that have none. `rows` are the
    rows that `ptv2 predict` writes.
    """

    labels: list[Any]
    probabilities: list[dict[str, float]] | None
    rows: list[dict[str, Any]]


class Run:
    """A run on disk. What it is asked for is read or loaded once, when it is asked."""

    def __init__(self, path: str | Path) -> None:
        """`path` is the run's folder."""
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    @property
    def name(self) -> str:
        """Task, model, method and the hash of what decides its numbers."""
        return self.path.name

    @property
    def state(self) -> str:
        """`finished`, `running`, `interrupted`, `failed`, ..., as `ptv2 list runs` says it."""
        return state_of(self.path)

    @cached_property
    def config(self) -> RunConfig:
        """The resolved configuration."""
        return read_config(self.path)

    @cached_property
    def result(self) -> Result:
        """Scores in percent, parameters, time, memory and notes.

        Raises:
            RunError: the run is not finished, or its record is damaged.
        """
        result = read_result(self.path)
        if result is None:
            raise RunError(f"{self.path}: the run is not finished; the same settings go on with it")
        return result

    @property
    def model(self) -> PromptedModel:
        """The backbone with what was trained, a torch module: a batch of tensors to a dictionary with `scores`.

        Raises:
            Ptv2Error: the run is not finished, or its backbone is not to be had.
        """
        return self._trained.model

    def predict(self, examples: Iterable[str | Mapping[str, Any] | Sequence[str]]) -> Predictions:
        """Answer new examples.

        Args:
            examples: records with the task's fields, as a list or a data frame of pandas. Tasks that read one or two
                texts also take a string, or a pair of strings, for each example; tasks that tag take lists of words.

        Raises:
            DataError: an example that the task cannot read; `example N` counts from 1. Or what is no list of examples.
        """
        from ptv2.experiment.load import predict_examples
        from ptv2.tasks.new import read_new

        records = [self._record(example, number) for number, example in enumerate(_listed(examples), 1)]
        if not records:
            return Predictions([], None, [])
        trained = self._trained
        with scratch_folder() as folder:
            file = folder / "example.jsonl"
            lines = [f"{_as_json(record, number)}\n" for number, record in enumerate(records, 1)]
            file.write_text("".join(lines), encoding="utf-8")
            try:
                read = read_new(file, trained.task)
            except DataError as error:
                message = re.sub(r"^(example \d+) \(example \d+\)", r"\1", str(error).replace(f"{file}:", "example "))
                raise DataError(message.replace(f"{folder}/", "")) from error
        predicted = predict_examples(trained, read, self.config)
        rows = trained.task.rows(predicted, read)
        shape = self.config.task.shape
        answer = {"tag": "tags", "extract": "prediction_text"}.get(shape, "label")
        named = all("probabilities" in row for row in rows)
        return Predictions(
            [row[answer] for row in rows],
            [row["probabilities"] for row in rows] if named else None,
            rows,
        )

    @cached_property
    def _trained(self) -> Trained:
        from ptv2.experiment.load import load_trained

        folder, config = open_trained(str(self.path), str(self.path.parent))
        return load_trained(folder, config, trained_task(folder, config))

    def _record(self, example: str | Mapping[str, Any] | Sequence[str], number: int) -> dict[str, Any]:
        """The fields of one example."""
        if isinstance(example, Mapping):
            return dict(example)
        task = self.config.task
        if task.shape == "tag" and isinstance(example, Sequence) and not isinstance(example, str):
            return {"tokens": list(example)}
        texts = [example] if isinstance(example, str) else list(example) if isinstance(example, Sequence) else []
        fields = task.text
        if task.shape == "classify" and len(texts) == len(fields) and all(field.isidentifier() for field in fields):
            return dict(zip(fields, texts, strict=True))
        texts_expected = f"{len(fields)} text{'' if len(fields) == 1 else 's'} of task {task.name}, or "
        expected = {"classify": texts_expected, "tag": "a list of words, or "}.get(task.shape, "")
        raise DataError(f"example {number}: expected {expected}a mapping with the fields of task {task.name}")


def _listed(examples: Any) -> Iterable[Any]:
    """The examples; of a data frame its rows.

    Raises:
        DataError: one example in the place of a list, whose letters or keys would be read as examples.
    """
    if hasattr(examples, "iterrows"):
        return examples.to_dict("records")
    if isinstance(examples, str | bytes | Mapping) or not isinstance(examples, Iterable):
        raise DataError(f"expected a list of examples, found {kind_of(examples)}: {quote(examples)}")
    return examples


def _as_json(record: Mapping[str, Any], number: int) -> str:
    try:
        return json.dumps({key: value.tolist() if hasattr(value, "tolist") else value for key, value in record.items()})
    except (TypeError, ValueError) as error:
        raise DataError(f"example {number}: expected texts, numbers and lists of them; {first_line(error)}") from error


def train(settings: Mapping[str, Any] | Sequence[str], *, config_dir: str | Path | None = None) -> Run:
    """Train a run, or on from where it was interrupted, or find it finished, as `ptv2 train` does.

    Args:
        settings: `{"task": "rte", "trainer.epochs": 3, "optim": {"lr": 0.01}}`, or words of the command line such as
            `["task=rte", "trainer.epochs=3"]`.
        config_dir: a folder with your own task/, model/, method/ and recipe/ files.

    Raises:
        ConfigError: settings that are not valid.
        Ptv2Error: data, backbone or training that went wrong, in one line that says what helps.
    """
    from ptv2.experiment.run import make_run

    words = list(_words(settings)) if isinstance(settings, Mapping) else settings
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise ConfigError("expected a mapping of settings, or a list of words such as 'task=rte'")
    words = list(words)
    refuse_sweeps(words, "ptv2.train makes one run; call it for each")
    return Run(make_run(compose(words, str(config_dir) if config_dir else None))[1])


def load_run(name: str | Path, *, out: str | Path = "runs") -> Run:
    """The run of this folder, name or hash, or of a beginning of these that no other run has.

    Args:
        out: the folder of the runs, where `name` is none itself.

    Raises:
        RunError: none or several fit.
    """
    return Run(find_run(str(name), str(out)))


def runs(out: str | Path = "runs", **chosen: Any) -> pandas.DataFrame:
    """The runs in a folder as a data frame, one row each: names, seed, state, dev and test scores, parameters, time.

    Args:
        out: the folder of the runs.
        chosen: values of columns, such as `task="rte"`: only these rows.

    Raises:
        ImportError: pandas is not installed.
        RunError: `out` is a file.
    """
    import pandas

    frame = pandas.DataFrame([describe_run(folder) for folder in find_runs([str(out)])], columns=COLUMNS)
    for column, value in chosen.items():
        if column not in COLUMNS:
            raise TypeError(f"runs() has no column {column}; there are {', '.join(COLUMNS)}")
        frame = frame[frame[column] == value]
    return frame.reset_index(drop=True)


def _words(settings: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Settings as words of the command line; names of files stay bare, so that Hydra chooses the files."""
    for key, value in settings.items():
        name = f"{above}{key}"
        if name in GROUPS and isinstance(value, str):
            yield f"{name}={value}"
        elif isinstance(value, Mapping) and value:
            yield from _words(value, f"{name}.")
        else:
            try:
                yield f"{name}={in_override(_plain(value))}"
            except TypeError as error:
                raise ConfigError(f"{name}: a value of type {type(value).__name__} is no setting") from error


def _plain(value: Any) -> Any:
    """A value as YAML has it: paths are strings, tuples are lists, and numpy's numbers are Python's."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value
