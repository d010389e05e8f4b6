"""Tasks and their data as frozen, checked objects; the rest of a run's configuration is in `ptv2.config.schema`."""

from __future__ import annotations

import re
import string
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ptv2.config.rules import rule
from ptv2.errors import ConfigError, unknown
from ptv2.metrics import find_score, known_metrics


def _no_truth_value(value: Any) -> Any:
    """Refuse true and false, which Python counts as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("expected a whole number")
    return value


# train, dev, and the sets that are scored once: CoNLL-2005 has two of these.
Split = Literal["train", "dev", "test", "test-brown"]
Source = Literal["hub", "files", "mini"]
Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Positive = Annotated[Whole, Field(gt=0, le=10**9)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
Folder = Annotated[str, Field(min_length=1)]  # or an id of the hub
Rate = Annotated[float, Field(ge=0, lt=1)]
LONGEST_NAME = 100  # a file system takes 255 bytes for the names of task, model, method and a hash


def _fit_for_a_folder(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError("expected letters, digits, '.', '_' and '-' only, since it names the run's directory")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"expected at most {LONGEST_NAME} characters, since it names the run's directory")
    return name


def _only_fields(template: str) -> str:
    """Refuse a template that asks for more than fields: `str.format` also reads attributes, and can fill memory."""
    if "{" not in template:
        return template
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"no template: {error}") from error
    for _, name, spec, conversion in parts:
        if name is not None and (not name or spec or conversion or re.search(r"[.\[\]]", name)):
            raise ValueError("expected {FIELD} with the name of a field, and nothing else in the brackets")
    _has_fields(template)
    return template


def _no_double_brackets(template: str) -> None:
    if match := re.search(r"\{\{\s*([\w.-]+)\s*\}\}", template):  # other programs' notation; here it is plain text
        raise ValueError(f"expected one pair of brackets, {{{match[1]}}}, where a field is meant")


def _has_fields(template: str) -> None:
    """Refuse a template that is the same text in every example."""
    _no_double_brackets(template)
    if "{" in template and all(name is None for _, name, _, _ in string.Formatter().parse(template)):
        raise ValueError("expected {FIELD} with the name of a field, or the name alone")


def _fields_of(template: str) -> set[str]:
    """The fields of a template, which may be the name of one."""
    if "{" not in template:
        return {template}
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def one_of(kind: str, names: Collection[str]) -> AfterValidator:
    """Accept only one of `names`; else the message names the nearest."""

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(unknown(kind, name, names))
        return name

    return AfterValidator(check)


Name = Annotated[str, AfterValidator(_fit_for_a_folder)]
Template = Annotated[str, AfterValidator(_only_fields)]


class Frozen(BaseModel):
    """Base of all configuration objects: no unknown keys, no change after it is built."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HubSource(Frozen):
    """Parquet files of one dataset repository of the hub.

    `files` maps a split to a glob inside the repository; `columns` and `labels` are what the repository must hold
    (`scripts/check_hub.py` compares them).
    """

    repository: str  # id of the data set on the hub
    revision: str  # its commit, or another revision
    files: dict[Split, str]  # a glob inside the repository for each split
    examples: Positive | None = None  # training examples, for `plan`
    columns: list[str] = []  # columns that the files must have
    labels: list[str] | None = None  # names of the classes that the files must have


class FilesSource(Frozen):
    """Local files: `folder` below `data.dir`, and for each split the file names to try in that order.

    Formats: `auto` (by the file's name), `records` (.jsonl, .json, .parquet, .csv, .tsv), `columns` (CoNLL: one token
    per line), `props` (CoNLL-2005), `conll12` (CoNLL-2012, also folders of such files), `squad` (the official JSON).
    """

    format: Literal["auto", "records", "columns", "props", "conll12", "squad"] = "auto"  # auto: by the file's name
    folder: str = "."  # folder below data.dir
    columns: list[str] | None = None  # names of the columns of CSV and TSV files that have no header line
    files: dict[Split, list[str]] = {}  # names to look for, in this order, for each split

    @field_validator("columns")
    @classmethod
    def _columns_differ(cls, columns: list[str] | None) -> list[str] | None:
        if columns is not None and (not columns or not all(columns) or len(set(columns)) < len(columns)):
            raise ValueError("expected different names, one for each column")
        return columns


class Sources(Frozen):
    """Where a task's data may come from; `data.source` chooses one."""

    hub: HubSource | None = None
    files: FilesSource | None = None
    mini: str | None = None  # which of the made-up data sets


class TaggingConfig(Frozen):
    """The settings that only tasks of shape `tag` have."""

    columns: list[str] | None = None  # names of a column file's columns; None: its own `# global.columns`, if any
    tokens: str | int = 0  # column of the words, by name or number
    tags: str | int = -1  # column of the tags; -1 is the last
    scheme: Literal["auto", "bio", "iob1", "bioes", "io"] = "auto"  # auto: as the training tags show; io: no prefixes
    predicate: Literal["none", "published", "separator"] = "none"  # how a predicate is marked behind its sentence
    stride: Annotated[int, Field(ge=0)] = 64  # tokens that two windows of a long sentence share


class ExtractionConfig(Frozen):
    """The settings that only tasks of shape `extract` have. The defaults are those of the published code."""

    stride: Annotated[int, Field(ge=0)] = 128  # tokens that two windows of a context share
    n_best: Positive = 20  # starts and ends that are tried with each other in a window
    max_answer_length: Positive = 30  # longest answer, in tokens
    unanswerable: bool = False  # whether some questions have no answer (SQuAD 2.0)
    null_threshold: float = 0.0  # nothing is answered where "no answer" scores higher than the best answer by more
    tune_null_threshold: bool = False  # choose the threshold on dev instead

    @rule
    def _nothing_to_tune(self) -> None:
        if self.tune_null_threshold and not self.unanswerable:
            raise ValueError("tune_null_threshold needs unanswerable=true: other tasks have no threshold")


class VerbalizerConfig(Frozen):
    """A cloze in place of `text`, and the words that stand for the labels (`head.kind=verbalizer`).

    `text` holds one or two templates with one `{mask}`, the blank; `{field:bare}` is a field without punctuation at its
    end. `words` has one or more words for each label, each of one or more tokens.
    """

    text: list[str] = Field(min_length=1, max_length=2)
    words: dict[str, Annotated[list[str], Field(min_length=1)]]

    @field_validator("text")
    @classmethod
    def _has_one_blank(cls, text: list[str]) -> list[str]:
        for template in text:
            _no_double_brackets(template)
        if sum(template.count("{mask}") for template in text) != 1:
            raise ValueError("expected {mask} once")
        return text


READERS = ("plain", "wsc", "copa", "multirc", "record")  # functions of ptv2/data/superglue.py
Reader = Annotated[str, one_of("reader", READERS)]
Metric = Annotated[str, one_of("metric", known_metrics())]


# Metrics that score what a shape predicts; two more look at the groups that a reader of their name makes.
METRICS = {
    "classify": ("accuracy", "cb"),
    "choose": ("accuracy", "cb"),
    "tag": ("entities", "roles"),
    "extract": ("squad",),
}
GROUPED_METRICS = ("multirc", "record")


class TaskConfig(Frozen):
    """A task. `text` holds one or two templates (`{field}`; a bare word is a field's name)."""

    name: Name  # names the task in tables and runs
    shape: Literal["classify", "choose", "tag", "extract"]  # one text or pair; several choices; tags of words; a span
    source: Source = "files"  # where the data come from, unless data.source says otherwise
    sources: Sources
    text: list[Template] = Field(default=[], max_length=2)  # fields or templates of the text; two for a pair
    choices: list[Template] = []  # shape choose: one template per choice, its second segment
    template: int | None = None  # which of `templates` replaces `text`
    templates: dict[int, list[Template]] = {}  # the task's numbered templates
    reader: Reader = "plain"  # how one record of the source becomes examples (ptv2/data/superglue.py)
    label: str = "label"  # field of the label
    labels: list[str | bool | int] | None = None  # classes, or types of spans, in order; None: those in training data
    metric: Metric = "accuracy"  # what is scored: a module of ptv2.metrics
    headline: str = Field("accuracy", validate_default=True)  # the score of that metric that chooses the checkpoint
    max_length: Positive = 128  # longest text, in tokens with special ones; longer ones are cut, or read in windows
    truncation: Literal["longest_first", "only_first", "only_second"] = "longest_first"  # which segment is cut
    scale: Literal["small", "medium", "large"] = "medium"  # training examples; the methods' default of epochs asks it
    tagging: TaggingConfig | None = None
    extraction: ExtractionConfig | None = None
    verbalizer: VerbalizerConfig | None = None

    @field_validator("headline")
    @classmethod
    def _headline_is_of_the_metric(cls, name: str, info: ValidationInfo) -> str:
        if "metric" not in info.data:  # it was refused itself
            return name
        try:
            return find_score(info.data["metric"], name)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: list[str | bool | int] | None) -> list[str | bool | int] | None:
        if labels is not None and (len(labels) < 2 or len({str(label) for label in labels}) < len(labels)):
            raise ValueError("expected two or more different labels")
        return labels

    @model_validator(mode="after")
    def _text_is_there(self) -> TaskConfig:
        if self.template is not None and self.template not in self.templates:
            raise ValueError(f"template={self.template}: task {self.name} has {sorted(self.templates) or 'none'}")
        for shape, section in (("tag", "tagging"), ("extract", "extraction")):
            if (self.shape == shape) != (getattr(self, section) is not None):
                raise ValueError(f"shape {shape}, and no other, needs {section}")
        if self.verbalizer is not None and self.shape != "classify":
            raise ValueError("shape classify, and no other, may have a verbalizer")
        if self.shape in ("tag", "extract"):
            return self
        if not 1 <= len(self.segments) <= 2:
            raise ValueError("text needs one or two templates or field names")
        if self.truncation == "only_second" and len(self.segments) + bool(self.choices) < 2:
            raise ValueError("truncation=only_second needs two segments")
        if (self.shape == "choose") != (len(self.choices) >= 2):
            raise ValueError("shape choose, and no other, needs two or more templates in choices")
        if self.shape == "choose" and len(self.segments) != 1:
            raise ValueError("shape choose takes one template in text; the second segment is the choice")
        return self

    @rule
    def _metric_fits(self) -> None:
        """Refuse a metric of other predictions: it would fail after the first epoch."""
        fitting = METRICS[self.shape]
        if self.shape == "classify" and self.reader in GROUPED_METRICS:
            fitting = (*fitting, self.reader)
        if self.metric in fitting:
            return
        needs = f" with reader={self.metric}" if self.metric in GROUPED_METRICS else ""
        own = ", ".join(shape for shape, metrics in METRICS.items() if self.metric in metrics) or "classify"
        raise ValueError(
            f"metric={self.metric} is for shape {own}{needs}; expected one for shape {self.shape}: {', '.join(fitting)}"
        )

    @rule
    def _right_answer_is_no_text(self) -> None:
        """Refuse texts that hold the right answer: a model that reads it is always right."""
        for template in (*self.segments, *self.choices):
            if self.shape not in ("tag", "extract") and self.label in _fields_of(template):
                raise ValueError(f"text has the field {self.label}, which is the right answer (label); expected others")

    @rule
    def _fields_are_fixed(self) -> None:
        """Refuse settings that a task of shape tag or extract would not look at."""
        if self.shape not in ("tag", "extract"):
            return
        if self.text or self.choices:
            raise ValueError(f"shape {self.shape} has no text and no choices: its fields have fixed names")
        if self.shape == "extract" and (self.label != "label" or self.labels is not None):
            raise ValueError("shape extract has no label and no labels: its answers are parts of the text, in answers")
        if self.truncation != "longest_first":
            raise ValueError(f"truncation={self.truncation}: shape {self.shape} reads long texts in windows, uncut")

    @property
    def segments(self) -> list[str]:
        """The templates in force: those of the chosen `template`, else `text`."""
        return self.text if self.template is None else self.templates[self.template]


class DataConfig(Frozen):
    """Which data are read, and how many of them."""

    source: Source
    dir: Folder | None = None
    split: Annotated[float, Field(gt=0, lt=1)] | None = None  # share of the training examples that become dev
    split_seed: Seed = 0  # which of them
    folds: Annotated[int, Field(ge=2)] | None = (
        None  # files: cross-validation; each part of the training examples is dev once
    )
    fold: Annotated[int, Field(ge=0)] | None = None  # the part that is dev in this run, from 0; `ptv2 train` tries all
    shots: Positive | None = None  # use only so many training examples of each class; without classes, so many in all
    seed: Seed = 0  # which of them, and which part an example is in
    limit: dict[Split, Positive | None] = {}  # use only the first n examples of a split
    workers: Positive = 1  # processes that encode

    @rule
    def _shots_or_limit(self) -> None:
        if self.shots is not None and self.limit.get("train") is not None:
            raise ValueError(f"data.shots={self.shots}: expected no data.limit.train beside it")

    @model_validator(mode="after")
    def _one_fold(self) -> DataConfig:
        if self.folds is None:
            if self.fold is not None:
                raise ValueError(f"data.fold={self.fold}: expected data.folds, their number, beside it")
            return self
        if self.split is not None:
            raise ValueError(f"data.folds={self.folds}: expected no data.split beside it")
        if self.fold is None or self.fold >= self.folds:
            raise ValueError(
                f"data.folds={self.folds}: expected data.fold=0 to {self.folds - 1} beside it; the command "
                f"`ptv2 train data.folds={self.folds}` makes a run for each"
            )
        return self

    def most(self, examples: int, classes: int) -> int:
        """How many of so many training examples of a task with so many classes are used, about."""
        return min(examples, self.limit.get("train") or examples, (self.shots or examples) * max(1, classes))


class SharedTask(Frozen):
    """One of the tasks that prompts are trained on together, and the source of its data."""

    task: TaskConfig
    data: DataConfig

    @model_validator(mode="after")
    def _source_is_there(self) -> SharedTask:
        check_source(self.task, self.data)
        return self

    @rule
    def _folder_is_read(self) -> None:
        check_folder(self.task, self.data)


def check_source(task: TaskConfig, data: DataConfig) -> None:
    """Raise `ValueError` unless the task has such a source, with a folder if it is files."""
    if getattr(task.sources, data.source) is None:
        have = [s for s in ("hub", "files", "mini") if getattr(task.sources, s) is not None]
        raise ValueError(f"data.source={data.source}: task {task.name} has no such source (it has: {', '.join(have)})")
    if data.source == "files" and data.dir is None:
        raise ValueError(
            f"task {task.name} reads files (data.source=files); expected data.dir=DIR, the folder that holds them"
        )


def check_folder(task: TaskConfig, data: DataConfig) -> None:
    """Raise `ValueError` for settings of files where the data are none."""
    if data.source != "files" and data.split is not None:
        raise ValueError(f"data.split={data.split} is for files; source {data.source} has a dev set")
    if data.source != "files" and data.folds is not None:
        raise ValueError(f"data.folds={data.folds} is for files; source {data.source} has a dev set")
    if data.source != "files" and data.dir is not None:
        if task.sources.files is None:
            others = "classification, ner, srl, squad or another that reads files"
            raise ValueError(f"data.dir is set, but task {task.name} reads no files; expected task={others}")
        raise ValueError(f"data.dir is set but data.source={data.source}; expected data.source=files with it")
