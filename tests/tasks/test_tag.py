"""Tagging: any scheme becomes BIO, each word gets one tag however it is cut, and the metric sees all of them.

All sentences here are made up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import bert_like, roberta_like
from sequences import SIZES, bio, bioes, entities, iob1, props, roles
from tag_tasks import TRAIN, configured, records, tagged, task_of
from transformers import PreTrainedTokenizerFast

from ptv2.config.compose import compose
from ptv2.data.formats import read_file
from ptv2.data.props import read_props
from ptv2.data.sources import Source
from ptv2.data.summary import Summary
from ptv2.data.tags import to_bio
from ptv2.data.words import IGNORED, TaggedSet, mark_word_starts
from ptv2.errors import ConfigError, DataError
from ptv2.tasks.load import load_task
from ptv2.tasks.tag import Sentence, Tag

DATA = Path(__file__).parents[3] / "shared" / "data"
NOTHING = "\u200d"  # a word of which the tokenizer of bert leaves nothing


def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    roberta = roberta_like()
    mark_word_starts(roberta)
    return {"bert": bert_like(), "roberta": roberta}


TOKENIZERS = tokenizers()


# Reading


def test_labels_are_the_types_of_the_training_data() -> None:
    task = task_of("ner", TRAIN)
    assert task.types == ["LOC", "ORG", "PER"]
    assert task.labels == ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    fixed = task_of("conll04", TRAIN)
    assert fixed.labels[:5] == ["O", "B-Loc", "I-Loc", "B-Org", "I-Org"]


def test_schemes_give_the_same_examples() -> None:
    expected = task_of("ner", TRAIN).read(TRAIN)
    found = {}
    for scheme in (bio, iob1, bioes):
        rows = [(tokens, scheme(len(tokens), spans)) for tokens, spans in entities("train")]
        given = records(*({"tokens": tokens, "tags": tags} for tokens, tags in rows))
        task = task_of("ner", given)
        assert task.scheme == scheme.__name__
        found[scheme.__name__] = task.read(given)
        # A trained run reads other data in the scheme that it has seen.
        again = load_task(task.config, state=task.state())
        assert again.read(given) == found[scheme.__name__]
        assert again.labels == task.labels
    assert found["bio"] == found["iob1"] == found["bioes"]
    assert expected[0].tags == ("B-PER", "I-PER", "O", "B-LOC", "O")


def test_numbers_of_the_hub_are_named() -> None:
    config = configured("conll03")
    assert config.sources.hub is not None
    names = config.sources.hub.labels or []
    by_name = tagged("[Anna Berg PER] left [Oslo LOC] .")
    tags = by_name[0].fields["tags"]
    by_number = records({"tokens": by_name[0].fields["tokens"], "ner_tags": [names.index(tag) for tag in tags]})
    task = task_of("conll03", by_number)
    assert task.read(by_number) == task.read(by_name)


def test_a_span_may_begin_with_i_but_is_counted() -> None:
    odd = records({"tokens": ["Anna", "met", "Berg"], "tags": ["I-PER", "O", "B-PER"]})
    task = task_of("ner", odd)
    (example,) = task.read(odd)
    assert example.tags == ("B-PER", "O", "B-PER")
    notes = task.notes({"train": task.count([example], Summary()), "dev": task.count(task.read(TRAIN), Summary())})
    assert notes[0] == "spans that began with I- and now begin with B-: train 1"
    assert notes[1].endswith("which count as missed: LOC 1, ORG 1")


def test_sentences_without_words_are_left_out() -> None:
    """Sets on the hub end in such."""
    task = task_of("ner", TRAIN)
    assert task.read([*TRAIN, *records({"tokens": [], "tags": []})]) == task.read(TRAIN)


def test_labels_are_not_looked_at_for_prediction() -> None:
    task = task_of("ner", TRAIN)
    (example,) = task.read(records({"tokens": ["Anna"], "tags": ["nonsense"], "predicate": "x"}), labelled=False)
    assert (example.tags, example.predicate) == (None, None)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("ner", {"tags": ["O"]}, "expected 'tokens', a list of words"),
        ("ner", {"tokens": ["Anna", 3], "tags": ["O", "O"]}, "expected 'tokens', a list of words"),
        ("ner", {"tokens": ["Anna"]}, "expected 'tags', a list with a tag for each token"),
        ("ner", {"tokens": ["Anna"], "tags": "O"}, "expected 'tags', a list with a tag for each token"),
        ("ner", {"tokens": ["Anna"], "tags": [3]}, "expected tags to be text, found 3"),
        ("conll03", {"tokens": ["Anna"], "ner_tags": [9]}, "expected tags to be text, found 9"),
        ("conll03", {"tokens": ["Anna"], "ner_tags": [True]}, "expected tags to be text, found True"),
        ("ner", {"tokens": ["Anna"], "tags": ["O", "O"]}, "2 tags, expected one for each of its 1 tokens"),
        ("ner", {"tokens": ["Anna"], "tags": ["PER"]}, "tag 1 is 'PER': expected O, B-TYPE, I-TYPE (scheme bio)"),
        ("ner", {"tokens": ["Anna"], "tags": ["S-PER"]}, "tag 1 is 'S-PER': expected O, B-TYPE, I-TYPE (scheme bio)"),
        ("conll04", {"tokens": ["Anna"], "tags": ["B-Pepo"]}, "unknown type of span 'Pepo'; did you mean Peop? "),
        *(
            ("srl", {"tokens": ["It", "fell"], "tags": ["O", "B-V"], **more}, "expected 'predicate', the number of one")
            for more in ({}, {"predicate": 2}, {"predicate": -1}, {"predicate": "1"}, {"predicate": True})
        ),
    ],
)
def test_a_bad_record_is_named(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        task_of(name, TRAIN, *(["task.labels=[PER,LOC]"] if name == "ner" else [])).read(records(fields))
    assert str(caught.value).startswith(f"train.txt:1: {message}")


def test_nothing_to_learn_and_no_such_score() -> None:
    with pytest.raises(DataError, match=r"^train\.txt:1: expected tags such as B-PER, found only O$"):
        task_of("ner", tagged("Nobody came ."))
    with pytest.raises(ConfigError, match=r"^task\.headline='f1_with_v': unknown score of metric entities 'f1_with_v'"):
        task_of("ner", TRAIN, "task.headline=f1_with_v")


# Encoding and decoding


def perfect(task: Tag, examples: list[Sentence], data: TaggedSet, seed: int = 0) -> np.ndarray:
    """Scores that are highest for the right tag where a word is scored, and noise elsewhere."""
    scores = np.random.default_rng(seed).random((len(data.words), len(task.labels)), dtype=np.float32)
    owners = np.repeat(data.owners, data.tokens.lengths)
    for at in np.flatnonzero(data.words >= 0):
        tags = examples[owners[at]].tags
        assert tags is not None
        scores[at, task.numbers[tags[data.words[at]]]] = 2.0
    return scores


WORDS = st.sampled_from(["Anna", "sold", "nineteen", "loaves", "€", "the", "winter-café-naïve", NOTHING])
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG"])
SHORT = configured("ner", "task.tagging.stride=3")
SENTENCE = st.lists(st.tuples(WORDS, TAGS), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(st.lists(SENTENCE, min_size=1, max_size=4), st.sampled_from(sorted(TOKENIZERS)), st.integers(8, 40))
def test_every_word_gets_its_tag_however_it_is_cut(
    sentences: list[list[tuple[str, str]]], name: str, max_length: int
) -> None:
    given = records(*({"tokens": [w for w, _ in one], "tags": [t for _, t in one]} for one in sentences))
    task = Tag(SHORT.model_copy(update={"max_length": max_length}), ["LOC", "ORG", "PER"], "bio")
    examples = task.read(given)
    data = task.encode(examples, TOKENIZERS[name])
    predictions = task.decode(perfect(task, examples, data), examples, data)
    for example, prediction in zip(examples, predictions, strict=True):
        seen = [name == "roberta" or word != NOTHING for word in example.words]
        tags = [tag if there else "O" for tag, there in zip(example.tags or (), seen, strict=True)]
        assert prediction["tags"] == to_bio(tags, "bio")
        assert prediction["tokens"] == list(example.words)
    assert data.truncated == 0


def test_a_predicted_i_after_nothing_begins_a_span() -> None:
    task = task_of("ner", TRAIN)
    examples = task.read(TRAIN[:1])
    data = task.encode(examples, TOKENIZERS["bert"])
    scores = np.zeros((len(data.words), len(task.labels)), dtype=np.float32)
    scores[np.flatnonzero(data.words >= 0), task.numbers["I-PER"]] = 1
    assert task.decode(scores, examples, data)[0]["tags"] == ["B-PER", *["I-PER"] * 4]


def test_types_without_an_output_are_not_learned_from_but_missed() -> None:
    task = task_of("ner", TRAIN)
    examples = task.read([*TRAIN, *tagged("[Anna PER] left in [June DATE] .")])
    assert task.item(examples[2])[3] == (task.numbers["B-PER"], 0, 0, IGNORED, 0)
    data = task.encode(examples, TOKENIZERS["bert"])
    assert data.labels is not None
    assert (data.labels[data.words >= 0] == IGNORED).sum() == 1
    right = [{"id": e.id, "tags": [tag if tag in task.numbers else "O" for tag in e.tags or ()]} for e in examples]
    assert task.score(right, examples) == pytest.approx({"f1": 800 / 9, "precision": 100.0, "recall": 80.0})
    assert task.parts(right, examples)["DATE"] == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 1}
    assert task.gold(examples) == {"O": 8, "LOC": 1, "ORG": 1, "PER": 2, "DATE": 1}
    assert task.answers(right) == {"O": 9, "LOC": 1, "ORG": 1, "PER": 2}


@pytest.mark.parametrize(
    ("name", "mark", "suffix"),
    [
        ("bert", "published", ["[SEP]", "sold"]),
        ("bert", "separator", ["[SEP]", "sold"]),
        ("bert", "none", []),
        ("roberta", "published", ["Ġ[SEP]", "Ġsold"]),
        ("roberta", "separator", ["</s>", "Ġsold"]),
    ],
)
def test_the_predicate_stands_behind_each_window(name: str, mark: str, suffix: list[str]) -> None:
    """The published code writes the text "[SEP]" for every tokenizer; where that is no token it falls into pieces."""
    tokenizer = TOKENIZERS[name]
    fields = {"tokens": ["Anna", "sold", "nineteen", "loaves", "that", "winter"], "predicate": 1}
    train = records({**fields, "tags": ["B-A0", "B-V", "B-A1", "I-A1", "B-AM-TMP", "I-AM-TMP"]})
    task = task_of("srl", train, f"task.tagging.predicate={mark}", "task.max_length=24", "task.tagging.stride=2")
    data = task.encode(task.read(train), tokenizer)
    closing = tokenizer.convert_ids_to_tokens([tokenizer.sep_token_id])
    for window in range(len(data)):
        part = slice(data.tokens.starts[window], data.tokens.starts[window + 1])
        last = int(np.flatnonzero(data.words[part] >= 0)[-1])
        pieces = tokenizer.convert_ids_to_tokens(data.tokens.ids[part].tolist())
        text = "".join(pieces[last:]).replace("##", "")
        assert text.endswith("".join([*suffix, *closing]))
        assert ("".join(suffix) in text) == bool(suffix or mark == "none")
        assert data.labels is not None
        assert set(data.labels[part][last + 1 :]) == {IGNORED}


# What official scorers read


def test_official_entities() -> None:
    task = task_of("ner", TRAIN)
    examples = task.read(TRAIN)
    said = [{"id": e.id, "tags": ["O"] * len(e.words)} for e in examples]
    assert task.official(said, examples, ()) == {
        "conlleval.txt": "Anna B-PER O\nBerg I-PER O\nleft O O\nOslo B-LOC O\n. O O\n\n"
        "The O O\nLund B-ORG O\nChoir I-ORG O\nsang O O\n. O O\n"
    }
    unknown = task.read(records({"tokens": ["New York", "."]}), labelled=False)
    assert task.official([{"id": "0", "tags": ["B-LOC", "O"]}], unknown, ()) == {
        "columns.txt": "New York\tB-LOC\n.\tO\n"
    }


def test_official_roles_of_a_part_of_a_file(tmp_path: Path) -> None:
    """Where a limit cut the examples the scorer still gets all lines, with the propositions that were predicted."""
    file = tmp_path / "dev.props"
    file.write_text(props(roles("dev")))
    given = list(read_props(file))
    task = task_of("srl", given)
    examples = task.read(given[:2])  # of the first two sentences, the second of which has two
    said = [{"id": e.id, "tags": ["O"] * len(e.words)} for e in examples]
    found = task.official(said, examples, [file])
    assert found.keys() == {"gold.props", "props"}
    rows = [[line.split() for line in text.splitlines()] for text in found.values()]
    assert [len(row) for row in rows[0]] == [len(row) for row in rows[1]]
    assert sum(not row for row in rows[0]) == SIZES["dev"]
    assert [len(row) for row in rows[0][:14]] == [2] * 6 + [0] + [2] * 7
    assert rows[0][:4] == [["-", "(A0*)"], ["sell", "(V*)"], ["-", "(A1*"], ["-", "*)"]]
    assert {row[1] for row in rows[1] if len(row) > 1} == {"*"}
    assert task.official(said, examples, [tmp_path / "dev.jsonl"]) == task.official(said, examples, ()) == {}
    (tmp_path / "other.props").write_text(props(roles("test")))
    longer = task.official(said, examples, [file, tmp_path / "other.props"])
    assert longer["props"].startswith(found["props"])
    assert longer["props"].count("\n\n") == SIZES["dev"] + SIZES["test"]


# Real data


def real(name: str, task: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Tag, list[Any]]:
    if not (DATA / name).is_dir():
        pytest.skip(f"no data in {DATA.parent.name}/{DATA.name} beside the project")
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path))
    config = configured(task)
    found = list(read_file(DATA / name / file, config))
    made = load_task(config, Source("", ("train",), lambda split: found))
    assert isinstance(made, Tag)
    return made, made.read(found)


@pytest.mark.parametrize(
    ("name", "task", "file", "sizes", "spans"),
    [
        ("conll04", "conll04", "dev.txt", (243, 6975), {"Loc": 337, "Org": 190, "Peop": 225, "Other": 125}),
        ("conll04", "conll04", "test.txt", (144, 4163), {"Loc": 222, "Org": 92, "Peop": 170, "Other": 66}),
        ("up_ewt", "srl", "dev.props", (765, None), {"V": 765, "A1": 515, "A0": 264, "AM-TMP": 99}),
        ("conll12_sample", "srl", "sample.v4_gold_conll", (88, None), {"V": 88, "ARG1": 60, "ARG2": 26, "ARG0": 21}),
    ],
)
def test_real_data_is_encoded_whole(
    name: str,
    task: str,
    file: str,
    sizes: tuple[int, int | None],
    spans: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    made, examples = real(name, task, file, monkeypatch, tmp_path)
    count, tokens = sizes
    assert len(examples) == count
    found = made.gold(examples)
    assert {label: found[label] for label in spans} == spans
    words = sum(len(example.words) for example in examples)
    assert tokens in (None, words)
    data = made.encode(examples, TOKENIZERS["roberta"])
    assert np.count_nonzero(data.words >= 0) == words  # each word once: byte pairs drop none
    assert data.targets(range(len(data))) == words
    predictions = made.decode(perfect(made, examples, data), examples, data)
    scores = made.score(predictions, examples)
    assert scores == dict.fromkeys(scores, 100.0)


@pytest.mark.parametrize(
    ("task", "labels", "types"),
    [
        ("conll03", None, ["PER", "ORG", "LOC", "MISC"]),
        ("conll03", ["Person", "City"], ["Person", "City"]),
        ("conll03", ["LOC", "PER"], ["LOC", "PER"]),
        ("conll03", ["O", "B-City", "I-City"], ["City"]),
    ],
)
def test_the_types_are_those_that_the_user_names(task: str, labels: list[str] | None, types: list[str]) -> None:
    """Though the hub's file of the task has others."""
    words = [f"task={task}", "data.source=files", "data.dir=."]
    config = compose([*words, *([f"task.labels=[{','.join(labels)}]"] if labels else [])]).task
    loaded = load_task(config, Source("", (), lambda split: TRAIN))
    assert isinstance(loaded, Tag)
    assert loaded.types == types
