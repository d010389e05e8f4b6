"""The made-up data sets: the same bytes every time, no shared filler words, well formed, not solved by shortcuts."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from ptv2.data.mini import KINDS, Record, entities, generate, inference, questions
from ptv2.data.mini.words import BANKS, SPLITS
from ptv2.errors import ConfigError

SCRIPT = Path(__file__).parents[2] / "scripts" / "write_mini.py"

# Of the JSON of all three splits. A change means that old and new runs on mini data cannot be compared.
SHA256 = {
    "inference": "48f904417cd7596ba0c4404a16a59ff44b90d963d7ae964a133c2eeeedd8947a",
    "entities": "f67ca016680a8c9369127fd06c026a4e9272f8c228b4dac464f78c24909eb856",
    "roles": "1c78eae0f792769726021098cbacf389f1d669a175a4f4dff347128e130238e4",
    "questions": "c6bb8a5f5b7dc1c3dbeaea3e94c24a87134c1698544e1be55b1f6ca9b5b4b09b",
}

# What splits share on purpose, besides punctuation: function words, and words that carry a relation.
FUNCTION_WORDS = """
    a about according after all although an and because before both but by case did either for from how if in is its
    many near neither never no none nor not of or over some that the them to unless was were what when where which while
    who most"""
RELATION_WORDS = {
    "inference": "able allegedly almost believed claimed failed falsely finally forgot hoped knew managed nearly"
    " noticed perhaps planned pretended quickly refused regretted remembered said saw secretly supposedly suspected"
    " thought wanted wrongly",
    "entities": "bank bay board born closed complained critics fell film heavy hired lake left liked lived makes met"
    " moved north novel office opened paid people play rain read return rights road said shares sold sued talked title"
    " written wrote",
    "roles": "",
    "questions": " ".join(questions.NUMBERS) + " bought buy gave give given got move moved sold work worked",
}


def text_of(record: Record) -> str:
    fields = ("premise", "hypothesis", "context", "question")
    return " ".join(record.get("tokens", [])) + " ".join(record[field] for field in fields if field in record)


def vocabulary(kind: str, split: str, seed: int = 0) -> set[str]:
    return {word for record in generate(kind, split, seed) for word in re.findall(r"\w+", text_of(record).lower())}


def spans(tags: list[str]) -> list[tuple[str, int, int]]:
    """(type, start, end) of BIO tags; fails on an I- that continues nothing."""
    found: list[tuple[str, int, int]] = []
    for i, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((tag[2:], i, i + 1))
        elif tag.startswith("I-"):
            name, start, end = found.pop()
            assert (name, end) == (tag[2:], i)
            found.append((name, start, i + 1))
        else:
            assert tag == "O"
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_same_bytes_every_time(kind: str) -> None:
    lines = [json.dumps(record, sort_keys=True) for split in SPLITS for record in generate(kind, split)]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == SHA256[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_filler_words(kind: str) -> None:
    """Measured over the text, with two seeds, so that it also holds for words that few sentences have."""
    words = {split: vocabulary(kind, split) | vocabulary(kind, split, seed=1) for split in SPLITS}
    shared = (words["train"] & words["dev"]) | (words["train"] & words["test"]) | (words["dev"] & words["test"])
    assert shared <= set(FUNCTION_WORDS.split()) | set(RELATION_WORDS[kind].split())
    assert len(words["train"]) > 400


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_seeds_and_no_example_twice(kind: str) -> None:
    for split in SPLITS:
        records = generate(kind, split)
        assert len(records) == KINDS[kind].sizes[split] or (kind == "roles" and len(records) > 300 // 2)
        assert [record["idx"] for record in records] == list(range(len(records)))
        keys = Counter((text_of(record), record.get("predicate")) for record in records)
        assert max(keys.values()) == 1
    few = generate(kind, "train", size=20)
    assert few == generate(kind, "train")[: len(few)]
    assert generate(kind, "train", seed=1, size=20) != few
    assert generate(kind, "train", size=0) == []


def test_a_size_beyond_the_vocabulary_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "inference", KINDS["inference"]._replace(make=lambda index, words: [{"premise": "x"}]))
    with pytest.raises(ConfigError, match="no 2 different dev examples; 1 were found"):
        generate("inference", "dev", size=2)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown mini data set 'role'; did you mean roles\? known: entities, "):
        generate("role", "train")
    with pytest.raises(ConfigError, match=r"unknown split 'val'; known: dev, test, train"):
        generate("roles", "val")


def test_banks_hold_no_entry_twice() -> None:
    for name, entries in BANKS.items():
        assert len(set(entries.split())) == len(entries.split()), name


def test_inference_labels_are_balanced_in_every_relation() -> None:
    records = generate("inference", "train")
    assert len(set(Counter(record["label"] for record in records).values())) == 1
    period = len(inference.LABELS) * len(inference.RELATIONS)
    for start in range(0, period, len(inference.LABELS)):
        labels = [r["label"] for i in range(3) for r in records[start + i :: period]]
        assert set(labels) == set(inference.LABELS)


@pytest.mark.parametrize("fields", [("premise",), ("hypothesis",), ("premise", "hypothesis")])
def test_inference_is_not_solved_by_counting_words(fields: tuple[str, ...]) -> None:
    """A linear model over the words of one or both sentences, and over their overlap, stays far from solving it."""

    def features(split: str) -> tuple[list[str], list[str]]:
        texts, labels = [], []
        for r in generate("inference", split):
            premise, hypothesis = (set(re.findall(r"\w+", r[f].lower())) for f in ("premise", "hypothesis"))
            marked = [f"{field}_{w}" for field in fields for w in re.findall(r"\w+", r[field].lower())]
            marked += [f"new_{len(hypothesis - premise)}", f"gone_{len(premise - hypothesis)}"] * (len(fields) - 1)
            texts.append(" ".join(marked))
            labels.append(r["label"])
        return texts, labels

    vectorizer = CountVectorizer(token_pattern=r"\S+")
    (train, train_labels), (test, test_labels) = features("train"), features("test")
    model = LogisticRegression(max_iter=500).fit(vectorizer.fit_transform(train), train_labels)
    assert model.score(vectorizer.transform(test), test_labels) < (0.62 if len(fields) == 1 else 0.75)


def test_entities_are_well_formed_and_need_their_context() -> None:
    ambiguous = set(BANKS["ambiguous"].split())
    for split in SPLITS:
        types: dict[str, set[str]] = {}
        count: Counter[str] = Counter()
        for record in generate("entities", split):
            assert len(record["tokens"]) == len(record["tags"])
            for name, start, end in spans(record["tags"]):
                count[name] += 1
                if end - start == 1 and record["tokens"][start] in ambiguous:
                    types.setdefault(record["tokens"][start], set()).add(name)
        assert set(count) == set(entities.TYPES)
        assert min(count.values()) > 0.1 * count.total()
        assert sum(len(names) > 1 for names in types.values()) > 0.8 * len(types)


def test_roles_are_well_formed() -> None:
    for split in SPLITS:
        count: Counter[str] = Counter()
        predicates: Counter[int] = Counter()
        for record in generate("roles", split):
            assert len(record["tokens"]) == len(record["tags"])
            found = spans(record["tags"])
            assert [span for span in found if span[0] == "V"] == [("V", record["predicate"], record["predicate"] + 1)]
            core = Counter(name for name, *_ in found if not name.startswith("AM-"))
            assert max(core.values()) == 1
            count.update(name for name, *_ in found)
            predicates[record["sentence"]] += 1
        assert set(count) == {"V", "A0", "A1", "A2", "AM-TMP", "AM-LOC"}
        assert set(predicates.values()) == {1, 2}


def test_roles_by_hand() -> None:
    """The first arguments are not always the doers: passives and receivers stand in front as well."""
    first = Counter(spans([t for t in r["tags"] if t != "O"])[0][0] for r in generate("roles", "train"))
    assert {"A0", "A1", "A2", "AM-TMP", "AM-LOC"} <= set(first)
    assert first["A0"] < 0.7 * first.total()


def test_questions_have_their_answers_in_the_context() -> None:
    rivals = 0
    for split in SPLITS:
        for record in generate("questions", split):
            (answer,), (start,) = record["answers"]["text"], record["answers"]["answer_start"]
            assert record["context"][start : start + len(answer)] == answer
            assert answer not in record["question"]
            cut = {"moved to": "moved", "bought": "bought", "worked for": "worked", "gave": "gave", "given": "gave"}
            kinds = Counter(cut[word] for word in cut for _ in re.findall(word, record["context"]))
            rivals += max(kinds.values()) > 1
    total = sum(KINDS["questions"].sizes.values())
    assert rivals > total / 2


def read_props(text: str) -> list[list[list[str]]]:
    """For each sentence, the BIO tags of each predicate."""
    sentences = []
    for block in text.strip().split("\n\n"):
        columns = list(zip(*(line.split() for line in block.split("\n")), strict=True))
        predicates = []
        for column in columns[2:]:
            tags, inside = [], ""
            for cell in column:
                opened = re.match(r"\(([\w-]+)\*", cell)
                tags.append(f"B-{opened[1]}" if opened else f"I-{inside}" if inside else "O")
                inside = "" if cell.endswith(")") else opened[1] if opened else inside
            predicates.append(tags)
        sentences.append(predicates)
    return sentences


def test_script_writes_what_a_reader_reads_back(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--size", "40", "--seed", "5"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.count("\n") == 12
    for split in SPLITS:
        made = {kind: generate(kind, split, seed=5, size=40) for kind in KINDS}
        lines = (tmp_path / "inference" / f"{split}.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == made["inference"]

        blocks = (tmp_path / "entities" / f"{split}.txt").read_text().strip().split("\n\n")
        pairs = [[tuple(line.split(" ")) for line in block.split("\n")] for block in blocks]
        assert pairs == [list(zip(r["tokens"], r["tags"], strict=True)) for r in made["entities"]]

        read = read_props((tmp_path / "roles" / f"{split}.props").read_text())
        assert [tags for sentence in read for tags in sentence] == [r["tags"] for r in made["roles"]]

        data = json.loads((tmp_path / "questions" / f"{split}.json").read_text())["data"]
        read_back = [
            (qa["id"], paragraph["context"], qa["question"], qa["answers"][0]["text"], qa["answers"][0]["answer_start"])
            for article in data
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
        assert read_back == [
            (r["id"], r["context"], r["question"], r["answers"]["text"][0], r["answers"]["answer_start"][0])
            for r in made["questions"]
        ]


def test_script_answers_an_unknown_kind(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "entity"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown mini data set 'entity'; did you mean entities? known: " in done.stderr
