"""Clozes: templates and words of the shipped tasks, and their tokens by each way of reading."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import gpt2_like, roberta_like
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase

from ptv2.config.compose import compose
from ptv2.config.paths import conf_dir
from ptv2.config.schema import ModelConfig
from ptv2.config.task_schema import TaskConfig
from ptv2.data.cloze import Reading
from ptv2.data.encode import TextSet
from ptv2.data.records import Record
from ptv2.data.sources import Source
from ptv2.errors import ConfigError, DataError
from ptv2.models.tokenizers import load_tokenizer
from ptv2.tasks.classify import Classify
from ptv2.tasks.load import load_task

QUESTION = "is the owl awake by day"
OWL = "The owl sleeps by day. At night it hunts mice, and in the morning it flies home."
SHIPPED = ("boolq", "cb", "mini-inference", "multirc", "rte", "sst2", "wic")


@pytest.fixture(scope="module")
def bert() -> PreTrainedTokenizerBase:
    return load_tokenizer(ModelConfig(name="minilm", path="embedded:minilm"))


@pytest.fixture(scope="module")
def roberta() -> PreTrainedTokenizerBase:
    tokenizer = roberta_like()
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)})
    return tokenizer


@cache
def shipped(name: str) -> TaskConfig:
    return compose([f"task={name}"]).task


def task_of(reading: Reading, name: str = "boolq", **changes: Any) -> Classify:
    config = shipped(name)
    verbalizer = {**config.verbalizer.model_dump(), **changes.pop("verbalizer", {})} if config.verbalizer else None
    tree = {**config.model_dump(), "verbalizer": verbalizer, **changes}
    task = load_task(TaskConfig.model_validate(tree), Source("", (), lambda split: []), reading=reading)
    assert isinstance(task, Classify)
    assert task.head == "verbalizer"
    return task


def encoded(task: Classify, tokenizer: PreTrainedTokenizerBase, **fields: str) -> TextSet:
    given = {"question": QUESTION, "passage": OWL, "label": True, **fields}
    return task.encode(task.read([Record(given, "dev.jsonl:1")]), tokenizer)


def texts(found: TextSet, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    batch = found.batch([0])
    rows = zip(batch["input_ids"].flatten(0, -2), batch["attention_mask"].flatten(0, -2), strict=True)
    return [tokenizer.decode(row[real == 1]) for row, real in rows]


def test_shipped_verbalizers(bert: PreTrainedTokenizerBase) -> None:
    """Each reads its task's own fields, ends so that decoders can be asked too, and has words of one token."""
    having = {path.stem for path in (conf_dir() / "task").glob("*.yaml") if "\nverbalizer:" in path.read_text()}
    assert having == set(SHIPPED)
    for name in SHIPPED:
        for reading in ("mask", "next"):
            words = task_of(reading, name).label_words(bert)
            assert words is not None
            assert words.longest == 1
            assert words.labels == tuple(range(len(words.tokens)))
        config = compose([f"task={name}", "head.kind=verbalizer"])
        assert config.task.verbalizer is not None
        hub = config.task.sources.hub
        if hub is not None and name != "multirc":  # its reader makes the fields
            fields = set(",".join(config.task.verbalizer.text).replace("}", "{").split("{")[1::2])
            assert fields - {"mask"} <= set(hub.columns)


def test_a_masked_model_sees_a_mask_for_each_token(bert: PreTrainedTokenizerBase) -> None:
    task = task_of("mask", verbalizer={"words": {"false": ["no"], "true": ["yes", "unbelievably so"]}})
    words = task.label_words(bert)
    assert words is not None
    pieces = bert("unbelievably so", add_special_tokens=False)["input_ids"]
    assert words.tokens == tuple(tuple(t) for t in ([bert.vocab["no"]], [bert.vocab["yes"]], pieces))
    assert (words.labels, words.longest, words.sequences) == ((0, 1, 1), len(pieces), 1)
    found = encoded(task, bert)
    (text,) = texts(found, bert)
    assert text.startswith("[CLS] the owl sleeps by day.")
    assert text.endswith(f"answer : {' '.join(['[MASK]'] * len(pieces))}. [SEP]")
    assert found.labels is not None
    assert (found.labels.tolist(), found.truncated, len(found)) == ([1], 0, 1)


def test_words_begin_with_the_blank_before_them(roberta: PreTrainedTokenizerBase) -> None:
    """In byte pairs it belongs to the word, so that none is left before the mask."""
    words = task_of("mask").label_words(roberta)
    assert words is not None
    said = ["".join(roberta.convert_ids_to_tokens(tokens)) for tokens in words.tokens]
    assert said == ["ĠNo", "ĠYes"]
    bracket = task_of("mask", verbalizer={"text": ["{passage} ({mask}) {question}"]}).label_words(roberta)
    assert bracket is not None
    assert ["".join(roberta.convert_ids_to_tokens(tokens)) for tokens in bracket.tokens] == ["No", "Yes"]
    (text,) = texts(encoded(task_of("mask"), roberta), roberta)
    assert text.endswith(f"Question: {QUESTION}? Answer:{'<mask>' * words.longest}.</s>")


def test_a_decoder_is_asked_at_the_end_of_the_text(bert: PreTrainedTokenizerBase) -> None:
    gpt2 = gpt2_like()
    gpt2.pad_token = gpt2.convert_ids_to_tokens([0])[0]
    task = task_of("next")
    words = task.label_words(gpt2)
    assert words is not None
    assert words.sequences == len(words.tokens) == 2
    found = encoded(task, gpt2)
    context = f"{OWL}. Question: {QUESTION}? Answer:"
    for text, tokens in zip(texts(found, gpt2), words.tokens, strict=True):
        assert text == context + gpt2.decode(tokens[:-1])
    assert found.batch([0])["input_ids"].shape[:2] == (1, 2)
    # With an end of the text behind every text, the word still follows the text itself.
    (text,) = texts(encoded(task, bert), bert)
    assert text.endswith("answer :")


def test_fields_are_cut_longest_first_and_the_blank_never(bert: PreTrainedTokenizerBase) -> None:
    whole = encoded(task_of("mask"), bert)
    for reading in ("mask", "next"):
        lengths = []
        for length in range(14, 40, 4):
            found = encoded(task_of(reading, max_length=length), bert)
            (text,) = texts(found, bert)
            assert found.tokens.longest <= length
            assert found.truncated == (len(whole.tokens.ids) - (0 if reading == "mask" else 3) > length)
            assert "question :" in text
            assert "answer :" in text
            assert text.count("[MASK]") == (reading == "mask")
            lengths.append(len(text))
        assert lengths == sorted(lengths)
    # The passage is the longer one: the question stays whole until both are of one length.
    (text,) = texts(encoded(task_of("mask", max_length=25), bert), bert)
    assert f"{QUESTION}?" in text.replace(" ?", "?")
    assert "hunts" not in text


def test_pairs_have_types(bert: PreTrainedTokenizerBase) -> None:
    pair = {"text": ["{question:bare}?", "{mask}, {passage}"]}
    task = task_of("mask", verbalizer=pair, max_length=20)
    found = encoded(task, bert, question=f"{QUESTION}?!")
    batch = found.batch([0])
    (text,) = texts(found, bert)
    assert text.startswith(f"[CLS] {QUESTION}? [SEP] [MASK], the owl")
    second = text.split("[SEP]")[1]
    assert batch["token_type_ids"].sum() == len(bert(second, add_special_tokens=False)["input_ids"]) + 1
    assert batch["input_ids"].shape == (1, 20)


def test_special_tokens_in_the_data_are_not_the_templates(bert: PreTrainedTokenizerBase) -> None:
    found = encoded(task_of("mask"), bert, passage="Write [MASK] and [SEP] here.")
    assert int((found.tokens.ids == bert.mask_token_id).sum()) == 1
    assert int((found.tokens.ids == bert.sep_token_id).sum()) == 1


def test_unlabelled_examples(bert: PreTrainedTokenizerBase) -> None:
    task = task_of("mask")
    (example,) = task.read([Record({"question": QUESTION, "passage": OWL}, "new.jsonl:1")], labelled=False)
    assert task.encode([example], bert).labels is None
    (said,) = task.decode(np.log(np.array([[0.25, 0.5]])), [example], task.encode([example], bert))
    assert (said["label"], said["probabilities"]) == ("True", {"False": 0.333333, "True": 0.666667})


@pytest.mark.parametrize(
    ("reading", "verbalizer", "said"),
    [
        ("mask", {"words": {"false": ["no"], "maybe": ["yes"]}}, "unknown label 'maybe'"),
        ("mask", {"words": {"true": ["yes"]}}, "expected a word for every label; none for False"),
        ("mask", {"words": {"false": ["no"], "true": ["No"]}}, "'No' has the same tokens as a word of another label"),
        ("mask", {"words": {"false": ["no"], "true": ["☃"]}}, "has no tokens for '☃' behind"),
        ("mask", {"text": ["{passage!r} {mask}"]}, "expected {field}, {field:bare} or {mask}"),
        ("mask", {"text": ["{passage} {mask} }"]}, "is no template"),
        ("next", {"text": ["{mask}? {passage}"]}, "which a decoder cannot see; expected {mask} at the end"),
        ("next", {"text": ["{mask}", "{passage}"]}, "which a decoder cannot see"),
    ],
)
def test_mistakes_are_named(
    reading: Reading, verbalizer: dict[str, Any], said: str, bert: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(ConfigError) as caught:
        task_of(reading, verbalizer=verbalizer).label_words(bert)
    assert said in str(caught.value)


def test_what_does_not_fit_is_named(bert: PreTrainedTokenizerBase) -> None:
    with pytest.raises(DataError, match=r"example 0: task\.verbalizer\.text takes 10 tokens .* leaves 9"):
        encoded(task_of("mask", max_length=9), bert)
    with pytest.raises(ConfigError, match="the tokenizer has no mask token"):
        task_of("mask").label_words(gpt2_like())
    with pytest.raises(DataError, match="field 'passage' is missing"):
        task_of("mask").read([Record({"question": QUESTION, "label": True}, "dev.jsonl:1")])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["task=copa"], "task copa has none; expected task.verbalizer.text and words"),
        (["task=boolq", "task.verbalizer.text=['{passage}']"], "expected {mask} once"),
        (["task=squad", "task.verbalizer={text: ['{mask}'], words: {a: [b]}}"], "shape classify, and no other"),
    ],
)
def test_configurations_are_checked(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([*overrides, "head.kind=verbalizer"])
    assert said in str(caught.value)


def test_own_words_from_the_command_line(tmp_path: Path) -> None:
    config = compose(
        [
            "task=classification",
            f"data.dir={tmp_path}",
            "head.kind=verbalizer",
            "task.verbalizer={text: ['{sentence} It was {mask}.'], words: {bad: [terrible, awful], good: [great]}}",
        ]
    )
    assert config.task.verbalizer is not None
    assert config.task.verbalizer.words == {"bad": ["terrible", "awful"], "good": ["great"]}
