"""Made-up data of the sequence tasks in the formats of their official releases, and commands that use them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from commandline import only_run, run

Spans = list[tuple[str, int, int]]  # label, first token, end

NAMES = ["Anna", "Bruno", "Clara", "David", "Erika", "Fritz", "Greta", "Hugo"]
CITIES = ["Oslo", "Lund", "Graz", "Turin", "Porto", "Ghent"]
THINGS = ["loaves", "kites", "maps", "bells", "chairs", "lamps"]
MONTHS = ["March", "April", "June", "October"]
SIZES = {"train": 40, "dev": 14, "test": 10}


def named(text: str) -> tuple[list[str], Spans]:
    """Tokens and spans of a notation such as `[Anna Berg PER] left [Oslo LOC] .`"""
    tokens: list[str] = []
    spans: Spans = []
    for part in re.findall(r"\[[^]]*\]|\S+", text):
        if part.startswith("[") and part.endswith("]"):
            *words, label = part[1:-1].split()
            spans.append((label, len(tokens), len(tokens) + len(words)))
            tokens += words
        else:
            tokens.append(part)
    return tokens, spans


def bio(count: int, spans: Spans) -> list[str]:
    tags = ["O"] * count
    for label, start, end in spans:
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return tags


def iob1(count: int, spans: Spans) -> list[str]:
    tags = ["O"] * count
    for label, start, end in spans:
        touches = start > 0 and tags[start - 1] == f"I-{label}"
        tags[start:end] = [f"{'B' if touches else 'I'}-{label}", *[f"I-{label}"] * (end - start - 1)]
    return tags


def bioes(count: int, spans: Spans) -> list[str]:
    tags = ["O"] * count
    for label, start, end in spans:
        inside = [f"I-{label}"] * (end - start - 2)
        tags[start:end] = [f"S-{label}"] if end - start == 1 else [f"B-{label}", *inside, f"E-{label}"]
    return tags


def entities(split: str) -> Iterator[tuple[list[str], Spans]]:
    """Sentences of three types of entities; some of one type touch each other."""
    draw = random.Random(split)
    for i in range(SIZES[split]):
        one, two = draw.sample(NAMES, 2)
        here, there = draw.sample(CITIES, 2)
        yield named(
            [
                f"[{one} {two} PER] moved from [{here} LOC] to [{there} LOC] .",
                f"The [{here} Choir ORG] sang for [{one} PER] [{two} PER] in {draw.choice(MONTHS)} .",
                f"Nobody in [{here} LOC] bought {draw.choice(THINGS)} .",
            ][i % 3]
        )


def column_lines(tokens: list[str], tags: list[str]) -> str:
    return "".join(f"{token} {tag}\n" for token, tag in zip(tokens, tags, strict=True)) + "\n"


def write_entities(
    folder: Path,
    scheme: Callable[[int, Spans], list[str]] = bio,
    lines: Callable[[list[str], list[str]], str] = column_lines,
    head: str = "",
) -> Path:
    """`entities` as column files train.txt, dev.txt and test.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SIZES:
        found = [lines(tokens, scheme(len(tokens), spans)) for tokens, spans in entities(split)]
        (folder / f"{split}.txt").write_text(head + "".join(found), encoding="utf-8")
    return folder


def roles(split: str) -> list[list[list[str]]]:
    """Sentences as rows of CoNLL-2005 cells: word, lemma, one column for each of no, one or two predicates."""
    draw = random.Random(split)
    found = []
    for i in range(SIZES.get(split, 10)):
        one, two = draw.sample(NAMES, 2)
        thing, month, city = draw.choice(THINGS), draw.choice(MONTHS), draw.choice(CITIES)
        left = [["left", "leave", "*", "(V*)"], [city, "-", "*", "(A1*)"]]
        sold = [[one, "-", "(A0*)"], ["sold", "sell", "(V*)"], ["old", "-", "(A1*"], [thing, "-", "*)"]]
        when = [["in", "-", "(AM-TMP*"], [month, "-", "*)"]]
        kinds = [
            [*sold, *when],
            [*([*row, "*"] for row in sold), ["and", "-", "*", "*"], [two, "-", "*", "(A0*)"], *left],
            [["Dear", "-"], [one, "-"], ["!", "-"]],
        ]
        found.append(kinds[i % 3])
    return found


def props(sentences: list[list[list[str]]]) -> str:
    """CoNLL-2005 columns, `-` where there is no predicate."""
    return "".join("".join("  ".join(row) + "\n" for row in rows) + "\n" for rows in sentences)


def conll12(sentences: list[list[list[str]]], document: str = "made/up") -> str:
    """The same in the layout of CoNLL-2012."""
    text = f"#begin document ({document}); part 000\n"
    for rows in sentences:
        for number, (word, lemma, *columns) in enumerate(rows):
            frameset = "-" if lemma == "-" else "01"
            cells = [document, "0", str(number), word, "XX", "*", lemma, frameset, "-", "-", "*", *columns, "-"]
            text += "   ".join(cells) + "\n"
        text += "\n"
    return text + "#end document\n"


def write_roles(folder: Path, splits: tuple[str, ...] = ("train", "dev", "test")) -> Path:
    """`roles` as .props files."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        (folder / f"{split}.props").write_text(props(roles(split)), encoding="utf-8")
    return folder


def questions(split: str, unanswerable: bool = False, sentences: int = 3) -> dict[str, Any]:
    """The official JSON of SQuAD: two questions a context, of which the second may have no answer."""
    draw = random.Random(split)
    paragraphs = []
    for i in range(SIZES[split] // 2):
        names, facts = draw.sample(NAMES, sentences), []
        for name in names:
            facts.append((name, draw.choice(CITIES), draw.choice(MONTHS)))
        context = " ".join(f"{name} sold {draw.choice(THINGS)} in {city} every {month}." for name, city, month in facts)
        name, city, month = draw.choice(facts)
        where = context.index(f"{name} sold")
        qas = [_question(f"{split}-{i}-where", f"Where did {name} sell?", city, context.index(city, where))]
        if unanswerable:
            other = next(one for one in NAMES if one not in names)
            qas.append(_question(f"{split}-{i}-none", f"Where did {other} sell?"))
        else:
            qas.append(_question(f"{split}-{i}-when", f"When did {name} sell?", month, context.index(month, where)))
        if unanswerable:
            qas = [{**one, "is_impossible": not one["answers"]} for one in qas]
        paragraphs.append({"context": context, "qas": qas})
    return {"version": "v2.0" if unanswerable else "1.1", "data": [{"title": "Made up", "paragraphs": paragraphs}]}


def _question(name: str, question: str, text: str | None = None, start: int = 0) -> dict[str, Any]:
    answers = [] if text is None else [{"text": text, "answer_start": start}]
    return {"id": name, "question": question, "answers": answers}


def write_questions(folder: Path, unanswerable: bool = False, sentences: int = 3) -> Path:
    """`questions` under the file names of the release, and a test set."""
    folder.mkdir(parents=True, exist_ok=True)
    version = "v2.0" if unanswerable else "v1.1"
    for split, name in (("train", f"train-{version}.json"), ("dev", f"dev-{version}.json"), ("test", "test.json")):
        (folder / name).write_text(json.dumps(questions(split, unanswerable, sentences)), encoding="utf-8")
    return folder


# Enough to learn something, so that predictions are of every kind.
LEARNING = (
    "method=fine-tuning",
    "optim.lr=0.005",
    "+model.config.initializer_range=0.1",
    "trainer.batch_size=8",
    "trainer.epochs=8",
    "trainer.max_steps=null",
)


def train_words(task: str, data: Path | None, out: Path, *overrides: str) -> list[str]:
    files = ["data.source=files", f"data.dir={data}"] if data else []
    return ["train", f"task={task}", *files, "model=tiny", "trainer=smoke", f"out={out}", *overrides]


def trained(task: str, data: Path | None, out: Path, *overrides: str) -> Path:
    """The folder of the run after training."""
    done = run(train_words(task, data, out, *overrides), out.parent)
    assert done.code == 0, done.err
    return only_run(out)


def predictions(folder: Path, split: str) -> list[dict[str, Any]]:
    return lines((folder / f"predictions-{split}.jsonl").read_text(encoding="utf-8"))


def without_gold(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as `ptv2 predict` gives them of a file that does not say what is right."""
    return [{key: value for key, value in row.items() if key != "gold"} for row in rows]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def check_evaluated(folder: Path, split: str, scores: dict[str, float], count: int, tmp_path: Path) -> None:
    """`ptv2 evaluate` shows the numbers of the run's record, beside themselves."""
    done = run(["evaluate", str(folder), "--split", split], tmp_path)
    assert done.code == 0, done.err
    title, header, *rows = done.out.splitlines()
    assert title.strip() == f"{folder.name}, {split}, {count} examples"
    assert header.split() == ["metric", "now", "recorded"]
    expected = [[name, f"{value:.2f}", f"{value:.2f}"] for name, value in scores.items()]
    assert sorted(row.split() for row in rows if not row.startswith("classes:")) == sorted(expected), done.out


def predicted(folder: Path, file: Path, tmp_path: Path, *options: str) -> list[dict[str, Any]]:
    done = run(["predict", str(folder), "--input", str(file), *options], tmp_path)
    assert done.code == 0, done.err
    return lines(done.out)
