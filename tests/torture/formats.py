"""Sound inputs of every format of data, small enough to be trained on in a second, and what must be made of them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commandline import Done, write_sentences
from sequences import conll12, entities, questions, roles, write_entities, write_questions, write_roles

from torture import oracle

SMALL = ["model=tiny", "trainer.max_steps=1", "trainer.batch_size=4", "prompt.length=2", "method=p-tuning-v2"]
SPLITS = ("train", "dev", "test")
Meaning = Callable[[Path, Path, Done], list[str]]


@dataclass(frozen=True)
class Format:
    """Files of one format, the command that reads them, and a check of what it made of them.

    Args:
        write: makes sound files in a folder; gets the folder of what all cases share too.
        victims: patterns of the files that are changed.
        words: the command, of the folder with the files and of that of what all cases share.
        meaning: what is wrong with an accepted input's meaning; of their folder, the changed file and the end.
        share: how often it is drawn, compared with others.
        allowed: exit codes that are as it should.
    """

    name: str
    write: Callable[[Path, Path], None]
    victims: tuple[str, ...]
    words: Callable[[Path, Path], list[str]]
    meaning: Meaning
    share: int = 1
    allowed: tuple[int, ...] = (0, 2)


def data_formats() -> list[Format]:
    """Those that `ptv2 train` reads."""
    return [
        _classified("jsonl", oracle.sentences),
        _classified("json", oracle.sentences),
        _classified("csv", oracle.cells),
        _classified("tsv", oracle.cells),
        _sequences("ner", "columns", lambda folder: write_entities(folder), "*.txt", oracle.columns),
        _sequences("ner", "jsonl", _entities_as_json, "*.jsonl", oracle.tokens),
        _sequences("squad", "official", lambda folder: write_questions(folder), "*.json", oracle.questions),
        _sequences(
            "squad_v2", "v2", lambda folder: write_questions(folder, unanswerable=True), "*.json", oracle.questions
        ),
        _sequences("squad", "rows", _questions_as_rows, "*.jsonl", oracle.questions),
        _sequences("srl", "props", lambda folder: write_roles(folder), "*.props", oracle.columns_of_roles),
        _sequences("srl", "conll12", _roles_as_conll12, "*.gold_conll", oracle.columns_of_roles),
        _released("multirc", "MultiRC", _passage, oracle.answers),
        _released("record", "ReCoRD", _query, oracle.unknown),
        _released("copa", "COPA", _choice, oracle.rows),
        _released("wic", "WiC", _pair_of_words, oracle.rows),
    ]


def counted(content: Callable[[Path], oracle.Content]) -> Meaning:
    """Check that as many examples were read as there are, and with the labels that stand there."""

    def meaning(folder: Path, victim: Path, done: Done) -> list[str]:
        (path,) = (folder.parent / "out").glob("*/result.json")
        result = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        faults = scores_of(result)
        try:
            there = content(victim)
        except Exception as error:
            return [*faults, f"accepted, but read in the plainest way it is {type(error).__name__}: {error}"]
        split = next(name for name, file in result["data"]["source"].items() if Path(file).name == victim.name)
        read = result["data"]["examples"][split]
        if there.examples not in (-1, read):
            faults.append(f"{there.examples} examples are there, {read} were read")
        if there.labels is not None:
            labels = Counter({oracle.label(k): n for k, n in result["data"]["labels"][split].items() if n})
            if _folded(labels) != _folded(there.labels):
                faults.append(f"labels there: {dict(there.labels)}, read: {dict(labels)}")
        return faults

    return meaning


def scores_of(result: dict[str, Any]) -> list[str]:
    """What is no score among the scores of a result."""
    scores = {**result["dev"], **{f"test {name}": score for name, score in (result["test"] or {}).items()}}
    return [f"{name} is {score}" for name, score in scores.items() if not -100 <= score <= 100]


def _no_number(word: str) -> None:
    raise AssertionError(f"{word} in a JSON file")


def _folded(labels: Counter[str]) -> Counter[str]:
    folded: Counter[str] = Counter()
    for name, count in labels.items():
        folded[name.strip().lower()] += count
    return folded


def _classified(ending: str, content: Callable[[Path], oracle.Content]) -> Format:
    def write(folder: Path, common: Path) -> None:
        write_sentences(folder, 12, 6, 4)
        for split in SPLITS:
            rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
            (folder / f"{split}.jsonl").unlink()
            file = folder / f"{split}.{ending}"
            if ending == "jsonl":
                file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            elif ending == "json":
                file.write_text(json.dumps(rows, indent=1))
            else:
                with file.open("w", newline="") as stream:
                    writer = csv.writer(stream, delimiter="," if ending == "csv" else "\t", lineterminator="\n")
                    writer.writerows([["sentence", "label"], *([row["sentence"], row["label"]] for row in rows)])

    def words(folder: Path, common: Path) -> list[str]:
        return ["train", "task=classification", f"data.dir={folder}", f"out={folder.parent}/out", *SMALL]

    return Format(f"classification {ending}", write, (f"*.{ending}",), words, counted(content), share=2)


def _sequences(
    task: str, form: str, write: Callable[[Path], Any], victims: str, content: Callable[[Path], oracle.Content]
) -> Format:
    def words(folder: Path, common: Path) -> list[str]:
        return ["train", f"task={task}", "data.source=files", f"data.dir={folder}", f"out={folder.parent}/out", *SMALL]

    return Format(f"{task} {form}", lambda folder, common: write(folder), (victims,), words, counted(content))


def _entities_as_json(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        found = []
        for tokens, spans in entities(split):
            tags = ["O"] * len(tokens)
            for kind, start, end in spans:
                tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
            found.append(json.dumps({"tokens": tokens, "tags": tags}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(found))


def _questions_as_rows(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = []
        for paragraph in questions(split)["data"][0]["paragraphs"]:
            for one in paragraph["qas"]:
                answers = {key: [answer[key] for answer in one["answers"]] for key in ("text", "answer_start")}
                rows.append({**one, "context": paragraph["context"], "answers": answers})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _roles_as_conll12(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        (folder / f"{split}.gold_conll").write_text(conll12(roles(split)), encoding="utf-8")


def _released(
    task: str, name: str, make: Callable[[int], dict[str, Any]], content: Callable[[Path], oracle.Content]
) -> Format:
    """A task of SuperGLUE in the files of its release."""

    def write(folder: Path, common: Path) -> None:
        (folder / name).mkdir(parents=True)
        for split, count in (("train", 6), ("val", 4)):
            text = "".join(json.dumps(make(number)) + "\n" for number in range(count))
            (folder / name / f"{split}.jsonl").write_text(text)

    def words(folder: Path, common: Path) -> list[str]:
        return ["train", f"task={task}", "data.source=files", f"data.dir={folder}", f"out={folder.parent}/out", *SMALL]

    return Format(task, write, (f"{name}/*.jsonl",), words, counted(content))


def _passage(number: int) -> dict[str, Any]:
    answers = [{"idx": at, "text": text, "label": at} for at, text in enumerate(("nobody", f"guest {number}"))]
    asked = [{"idx": at, "question": f"Who came as number {at}?", "answers": answers} for at in range(2)]
    return {"idx": number, "passage": {"text": f"Guest {number} came in.", "questions": asked}}


def _query(number: int) -> dict[str, Any]:
    text = f"Mr Aro met Ms Bell in town {number}."
    spans = [{"start": text.index(word), "end": text.index(word) + len(word) - 1} for word in ("Aro", "Bell")]
    answers = [{"start": 14, "end": 17, "text": "Bell"}]
    asked = [{"idx": number, "query": "@placeholder was met.", "answers": answers}]
    return {"idx": number, "passage": {"text": text, "entities": spans}, "qas": asked}


def _choice(number: int) -> dict[str, Any]:
    return {
        "premise": f"The vase {number} fell.",
        "choice1": "A cat jumped.",
        "choice2": "It was blue.",
        "question": ("cause", "effect")[number % 2],
        "label": number % 2,
        "idx": number,
    }


def _pair_of_words(number: int) -> dict[str, Any]:
    first, second = f"The bank {number} was steep.", "They went to the bank."
    return {
        "word": "bank",
        "sentence1": first,
        "sentence2": second,
        "start1": 4,
        "end1": 8,
        "start2": 17,
        "end2": 21,
        "label": bool(number % 2),
        "idx": number,
        "version": 1.1,
    }
