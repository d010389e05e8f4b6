"""Files as people bring them, through the real command line: read as they are meant, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commandline import only_run, result_of, run

OWN = ["task=classification", "task.text=[text]"]
FILES = "data.source=files"
NER = ["task=ner"]
WORDS = ["ship", "harbour", "sail", "anchor", "mast", "rope"]


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def rated(*labels: Any) -> str:
    return lines(*({"text": f"the {WORDS[i % 6]} number {i}", "label": label} for i, label in enumerate(labels)))


def table(*labels: str, gap: str = ",", head: str = "text,label") -> str:
    return f"{head}\n" + "".join(f"the {WORDS[i % 6]} number {i}{gap}{label}\n" for i, label in enumerate(labels))


def tagged(*sentences: str, gap: str = " ", end: str = "\n") -> str:
    blocks = (end.join(word.replace("/", gap) for word in sentence.split()) for sentence in sentences)
    return (end * 2).join(blocks) + end


def passage(number: Any, question: Any = 0) -> dict[str, Any]:
    answers = [{"idx": i, "text": text, "label": i} for i, text in enumerate(("the mast", "the rope"))]
    asked = [{"idx": question, "question": "What broke?", "answers": answers}]
    return {"idx": number, "passage": {"text": "The mast held, the rope broke.", "questions": asked}}


def query(number: int, answers: Any) -> dict[str, Any]:
    text = "Ilse met Otto on the pier."
    spans = [{"start": 0, "end": 3}, {"start": 9, "end": 12}]
    asked = [{"idx": number, "query": "@placeholder was waiting.", "answers": answers}]
    return {"idx": number, "passage": {"text": text, "entities": spans}, "qas": asked}


def flat(name: str, answer: str | None = "Otto") -> dict[str, Any]:
    context = "Ilse met Otto on the pier."
    answers = (
        {"text": [answer], "answer_start": [context.index(answer)]} if answer else {"text": [], "answer_start": []}
    )
    return {"id": name, "context": context, "question": "Whom did Ilse meet?", "answers": answers}


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "answers"}


def conll12(*verbs: str) -> str:
    rows = [
        f"d 0 {i} {word} X * {word if '(V*)' in columns else '-'} - - s * {columns} -"
        for i, (word, columns) in enumerate(zip(("Ilse", "waits", "here"), verbs, strict=True))
    ]
    return "#begin document (d); part 000\n" + "\n".join(rows) + "\n\n#end document\n"


@dataclass(frozen=True)
class Case:
    """Files by name (`train` and `dev` are the same text unless given apart), settings, and what they should get."""

    settings: list[str]
    files: dict[str, str | bytes]
    expected: str | dict[str, Any]  # what the one line has ({} is the folder), or what data.overview says of training


def both(ending: str, text: str | bytes, dev: str | None = None, below: str = "") -> dict[str, str | bytes]:
    second = "val" if below else "dev"
    return {f"{below}train{ending}": text, f"{below}{second}{ending}": text if dev is None else dev}


PAIR = tagged("Ilse/B-PER met/O Otto/B-PER", "Bergen/B-LOC rains/O")
REFUSED = {
    "empty cell": Case(OWN, both(".csv", table("up", "down", "")), "{}/train.csv:4: no label: 'label' is empty"),
    "blank cell of dev": Case(
        OWN, both(".csv", table("up", "down"), table("up", "  ")), "{}/dev.csv:3 (example 1): no label"
    ),
    "null": Case(OWN, both(".jsonl", rated("up", None)), "{}/train.jsonl:2: no label"),
    "NaN": Case(OWN, both(".jsonl", rated(0, 1, float("nan"))), "{}/train.jsonl:3: no label: 'label' is nan"),
    "infinity": Case(OWN, both(".jsonl", rated(0, 1, float("inf"))), "{}/train.jsonl:3: no label"),
    "list": Case(
        OWN, both(".jsonl", rated(["a"], [])), "{}/train.jsonl:1: expected one label in 'label', found a list"
    ),
    "object": Case(OWN, both(".jsonl", rated("a", {"b": 1})), "{}/train.jsonl:2: expected one label"),
    "one-hot": Case(OWN, both(".jsonl", rated([0, 1], [1, 0])), "{}/train.jsonl:1: expected one label"),
    "list in a cell": Case(OWN, both(".tsv", table("['a']", "b", gap="\t", head="text\tlabel")), "{}/train.tsv:2: "),
    "one label": Case(OWN, both(".csv", table("up", "up")), "{}/train.csv:2: expected two or more labels in 'label'"),
    "label that train lacks": Case(
        OWN, both(".csv", table("up", "down"), table("upp")), "{}/dev.csv:2 (example 0): unknown label"
    ),
    "no such column": Case(OWN, both(".csv", table("a", "b", head="text,class")), "{}/train.csv:2: field 'label' is m"),
    "half a character": Case(OWN, both(".jsonl", '{"text": "a \\ud800", "label": 1}\n'), "{}/train.jsonl:1: half of a"),
    "no UTF-8": Case(OWN, {"train.csv": b"text,label\nb\xe9,a\n", "dev.csv": "text,label\n"}, "{}/train.csv:2: "),
    "label that nobody sees": Case(OWN, both(".jsonl", rated("\u200b", "b")), "{}/train.jsonl:1: no label"),
    "zero byte": Case(
        OWN, both(".csv", table("up", "do\0wn")), "{}/train.csv:3: expected UTF-8 text, found a zero byte"
    ),
    "zero byte among tags": Case(
        NER, both(".txt", tagged("Il\0se/B-PER met/O")), "{}/train.txt:1: expected UTF-8 text"
    ),
    "Excel's line of the separator": Case(
        OWN,
        both(".csv", "sep=;\n" + table("up", "down", gap=";", head="text;label")),
        "{}/train.csv:1: expected the head",
    ),
    "Excel's file by another name": Case(
        OWN, both(".csv", b"PK\3\4\x14\0\6\0" + bytes(90)), "found a zip file, as Exc"
    ),
    "packed by another name": Case(
        OWN, both(".jsonl", b"\x1f\x8b\x08\0"), "found a packed file; `gunzip -c OLD > NEW`"
    ),
    "Parquet by another name": Case(NER, both(".txt", b"PAR1\x15\0\x15"), "found a Parquet file; its name has to end"),
    "numbers with decimal commas": Case(
        OWN,
        both(".tsv", table(*(f"0,{n}" for n in range(11, 41)), gap="\t", head="text\tlabel")),
        "holds 30 different numbers with fractions",
    ),
    "prefixes in small letters": Case(
        NER,
        both(".txt", tagged("Ilse/b-per Berg/i-per met/O")),
        "such as b-per and i-per have their prefix in an unknown",
    ),
    "prefixes where train has none": Case(
        NER,
        both(".txt", tagged("Ilse/PER met/O"), tagged("Ilse/O", "Otto/B-PER met/O")),
        "{}/dev.txt:3: expected types without a prefix, as in the training set, found 'B-PER'; write the tags of all",
    ),
    "empty list of questions": Case(["task=squad", FILES], both(".json", "[]"), "{}/train.json: the file has no rec"),
    "no room for text": Case(
        [*OWN, "task.max_length=2"], both(".csv", table("up", "down")), "task.max_length=2 is too short"
    ),
    "MultiRC twice": Case(
        ["task=multirc", FILES],
        both(".jsonl", lines(passage(4), passage(5), passage(4)), below="MultiRC/"),
        "jsonl:3: ",
    ),
    "MultiRC by name": Case(
        ["task=multirc", FILES], both(".jsonl", lines(passage(4, "q1")), below="MultiRC/"), "jsonl:1: expected the idx"
    ),
    "ReCoRD with a number": Case(
        ["task=record", FILES], both(".jsonl", lines(query(0, [{"text": 7}])), below="ReCoRD/"), "jsonl:1: expected tex"
    ),
    "ReCoRD twice": Case(
        ["task=record", FILES],
        both(".jsonl", lines(query(0, [{"text": "Otto"}]), query(0, [{"text": "Otto"}])), below="ReCoRD/"),
        "jsonl:2: passage 0 query 0 stands in",
    ),
    "blank answer": Case(
        ["task=squad", FILES], both(".jsonl", lines(flat("a"), flat("b", " "))), "expected the text of an answer"
    ),
    "no answer in 1.1": Case(["task=squad", FILES], both(".jsonl", lines(flat("a", None))), "{}/train.jsonl:1 "),
    "two columns of one verb": Case(
        ["task=srl"],
        both(".gold_conll", conll12("(ARG0*) *", "(V*) (V*)", "* (ARG1*)")),
        "{}/train.gold_conll:3: expected one column for each predicate",
    ),
}
READ = {
    "blank in the header": Case(
        OWN,
        both(".csv", table("up", "down", gap=", ", head="text, label")),
        {"labels": {"down": 1, "up": 1}, "notes": ["train.csv: blanks behind separators were left out"]},
    ),
    "two spellings of one label": Case(
        OWN,
        both(".jsonl", rated("caf\u00e9", "cafe\u0301", "Caf\u00e9", "b")),
        {"examples": 4, "notes": ["labels that may be two spellings of one: "]},
    ),
    "spellings of labels that look alike": Case(
        OWN,
        both(".jsonl", rated("1", "01", "1e0", "up", "up\u200b")),
        {
            "examples": 5,
            "notes": ["labels that may be two spellings of one: '01' and '1' and '1e0', 'up' and 'up\\u200b'"],
        },
    ),
    "names of columns, and a setting that names them": Case(
        [*OWN, "task.sources.files.columns=[text,label]"],
        both(".csv", table("up", "down", "up", "down", head="review,verdict")),
        {
            "examples": 5,
            "notes": ["train.csv: line 1 (review, verdict) was read as an example, since task.sources.files"],
        },
    ),
    "labels that stand for none": Case(
        OWN, both(".csv", table("up", "down", "NA")), {"examples": 3, "notes": ["label 'NA' is a class like others"]}
    ),
    "types that look alike": Case(
        NER,
        both(".txt", tagged("Ilse/B-PER met/O Otto/B-Per")),
        {"examples": 1, "notes": ["labels that may be two spellings of one: 'PER' and 'Per'"]},
    ),
    "a file without empty lines": Case(
        NER,
        both(".txt", tagged("Ilse/B-PER met/O " * 501), PAIR),
        {"examples": 1, "notes": ["sentences of more than 1000 words (in a file of columns an empty line ends a sent"]},
    ),
    "one idx of two records": Case(
        OWN,
        both(".jsonl", lines(*({"text": "a sail", "label": i, "idx": 7} for i in range(2)))),
        {"examples": 2, "notes": ["examples whose idx stands in another record too: train 1, dev 1"]},
    ),
    "equal numbers": Case(OWN, both(".jsonl", rated(0, 0.0, 1, 1.0, 2)), {"labels": {"0": 2, "1": 2, "2": 1}}),
    "number and truth": Case(OWN, both(".jsonl", rated(1, 0), rated(True, 1.0)), {"labels": {"0": 1, "1": 1}}),
    "no and yes in YAML": Case(
        [*OWN, "task.labels=[no, yes]"], both(".csv", table("yes", "no", "no")), {"labels": {"no": 2, "yes": 1}}
    ),
    "quoted by a table writer": Case(
        OWN,
        both(".tsv", 'text\tlabel\n"say ""aye"" now"\tup\n"say ""nay"" now"\tdown\n'),
        {"examples": 2, "notes": ["train.tsv: quotation marks around cells were taken off"]},
    ),
    "a cell of 200,000 characters": Case(
        OWN, both(".csv", table("up", "down") + "x " * 100_000 + ",up\n"), {"examples": 3, "cut": 1}
    ),
    "validation file": Case(
        OWN, {"train.csv": table("a", "b"), "validation.csv": table("a", "b")}, {"labels": {"a": 1, "b": 1}}
    ),
    "split by a share": Case(
        [*OWN, "data.split=0.25"], {"train.csv": table(*["a", "b"] * 8)}, {"examples": 12, "labels": {"a": 6, "b": 6}}
    ),
    "prefixes without types": Case(
        NER,
        both(".txt", tagged("tin/B and/O zinc/B ore/I")),
        {"labels": {"SPAN": 2}, "notes": ["guessed from the training tags (task.tagging.scheme sets it)"]},
    ),
    "types without prefixes": Case(NER, both(".txt", tagged("Ilse/PER met/O Otto/PER")), {"labels": {"PER": 2}}),
    "IOB1 and then BIO": Case(
        NER, both(".txt", PAIR.replace("B-", "I-"), PAIR), {"labels": {"LOC": 1, "PER": 2}, "file": "train.txt"}
    ),
    "JSON lines with ner_tags": Case(
        NER, both(".jsonl", lines({"tokens": ["Bergen", "rains"], "ner_tags": ["B-LOC", "O"]})), {"labels": {"LOC": 1}}
    ),
    "numbers of tags with names": Case(
        [*NER, "task.labels=[O, B-LOC, I-LOC]"],
        both(".jsonl", lines({"tokens": ["Bergen", "rains"], "ner_tags": [1, 0]})),
        {"labels": {"LOC": 1}},
    ),
    "CR line ends": Case(NER, both(".txt", PAIR.replace("\n", "\r")), {"examples": 2, "labels": {"LOC": 1, "PER": 2}}),
    "blank word between tabs": Case(NER, both(".txt", PAIR.replace(" ", "\t") + " \tO\n"), {"examples": 2}),
    "flat rows": Case(["task=squad", FILES], both(".jsonl", lines(flat("a"), flat("b"))), {"examples": 2}),
    "flat rows with fields of fields": Case(
        ["task=squad", FILES],
        both(".jsonl", lines({f"answers.{k}": v for k, v in flat("a").pop("answers").items()} | plain(flat("a")))),
        {"labels": {"answer": 1, "no answer": 0}},
    ),
    "list of flat rows": Case(["task=squad", FILES], both(".json", json.dumps([flat("a")])), {"examples": 1}),
    "flat rows under data": Case(
        ["task=squad", FILES], both(".json", json.dumps({"data": [flat("a")]})), {"examples": 1}
    ),
    "unanswerable flat rows": Case(
        ["task=squad_v2", FILES],
        both(".jsonl", lines(flat("a"), flat("b", None))),
        {"labels": {"answer": 1, "no answer": 1}},
    ),
}


@pytest.fixture
def command(tmp_path: Path) -> Callable[[Case], Any]:
    def start(case: Case) -> Any:
        for name, content in case.files.items():
            file = tmp_path / "data" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        settings = [f"data.dir={tmp_path / 'data'}", "model=tiny", "trainer.max_steps=2", f"out={tmp_path / 'runs'}"]
        return run(["train", *case.settings, *settings], tmp_path / "streams")

    return start


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(
    case: Case, command: Callable[[Case], Any], tmp_path: Path
) -> None:
    done = command(case)
    assert isinstance(case.expected, str)
    assert (done.code, done.out) == (2, ""), done
    assert len(done.err.splitlines()) == 1, done.err
    assert case.expected.replace("{}", str(tmp_path / "data")) in done.error
    assert len(done.error.replace(str(tmp_path), "")) <= 300
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_what_people_bring_is_read_as_it_is_meant(case: Case, command: Callable[[Case], Any], tmp_path: Path) -> None:
    done = command(case)
    assert done.code == 0, done.err
    result = result_of(only_run(tmp_path / "runs"))
    train = result["data"]["overview"]["splits"]["train"]
    assert isinstance(case.expected, dict)
    expected = dict(case.expected)
    noted = "\n".join([*result["data"]["overview"]["guesses"], *result["data"]["overview"]["notes"]])
    assert [note for note in expected.pop("notes", []) if note not in noted] == [], noted
    assert {name: train[name] for name in expected} == expected
    assert str(tmp_path) not in json.dumps(result["data"]["overview"])
