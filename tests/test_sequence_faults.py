"""Bad files of tagging and question answering, through the real command line: one line, exit 2, nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commandline import Done, run
from sequences import SIZES, questions, train_words, trained, write_entities, write_questions, write_roles

Fault = tuple[str, list[str], str]  # task, overrides, what the one line begins with


def fault(done: Done) -> str:
    """The one line that is all a command says."""
    assert (done.code, done.out) == (2, ""), done
    assert len(done.err.splitlines()) == 1, done.err
    return done.error


def changed(file: Path, old: str, new: str) -> Path:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


# Entities. Line 10 is the first of the second sentence, `The Porto Choir sang for ...`.


def malformed_tag(folder: Path) -> Fault:
    file = changed(write_entities(folder) / "train.txt", "Choir I-ORG", "Choir ORG")
    return "ner", [], f"{file}:10: tag 3 is 'ORG': expected O, B-TYPE, I-TYPE (scheme bio)"


def tag_without_type(folder: Path) -> Fault:
    file = changed(write_entities(folder) / "dev.txt", "Choir I-ORG", "Choir I")
    return "ner", [], f"{file}:10: tag 3 is 'I': expected O, B-TYPE, I-TYPE (scheme bio)"


def tag_of_another_scheme(folder: Path) -> Fault:
    file = changed(write_entities(folder) / "test.txt", "Choir I-ORG", "Choir E-ORG")
    return "ner", [], f"{file}:10: tag 3 is 'E-ORG': expected O, B-TYPE, I-TYPE (scheme bio)"


def unknown_type(folder: Path) -> Fault:
    file = changed(write_entities(folder) / "dev.txt", "Choir I-ORG", "Choir B-ROG")
    return "conll03", [], f"{file}:10: unknown type of span 'ROG'; did you mean ORG? known: LOC, MISC, ORG, PER"


def no_entities(folder: Path) -> Fault:
    (write_entities(folder) / "train.txt").write_text("Nobody O\ncame O\n")
    return "ner", [], f"{folder / 'train.txt'}:1: expected tags such as B-PER, found only O"


def unequal_columns(folder: Path) -> Fault:
    file = changed(write_entities(folder) / "dev.txt", "Choir I-ORG", "Choir NN I-ORG")
    return "ner", [], f"{file}:12: expected 2 columns as above, found 3"


def no_such_column(folder: Path) -> Fault:
    write_entities(folder, head="# global.columns = FORM NER\n")
    at = f"{folder / 'train.txt'}:2"
    return "ner", ["task.tagging.tags=NRE"], f"{at}: unknown column 'NRE'; did you mean NER? known: FORM, NER"


def no_utf8(folder: Path) -> Fault:
    file = write_entities(folder) / "dev.txt"
    file.write_bytes(file.read_bytes().replace(b"Choir", b"Ch\xf6r", 1))
    return "ner", [], f"{file}:12: expected UTF-8 text"


def no_training_file(folder: Path) -> Fault:
    (write_entities(folder) / "train.txt").unlink()
    names = "train.txt, train.conll, train.bio, train.tsv, train.jsonl, train.json, train.parquet"
    return "ner", [], f"{folder}: no train file; expected {names}; found: dev.txt"


def empty_file(folder: Path) -> Fault:
    (write_entities(folder) / "dev.txt").write_text("-DOCSTART- O\n\n")
    return "ner", [], f"{folder / 'dev.txt'}: the file has no records"


def no_room_for_words(folder: Path) -> Fault:
    told = "special tokens and what follows the words take 4 tokens, and task.max_length=4 leaves none for the words"
    write_roles(folder)
    return "srl", ["task.max_length=4", "task.tagging.stride=0"], f"{folder / 'train.props'}:2: {told}; raise it"


# Roles. Line 8 of a file is the first of the second sentence, which has two predicates.


def broken_brackets(folder: Path) -> Fault:
    write_roles(folder)
    file = changed(folder / "train.props", "-  *)", "-  *")
    return "srl", [], f"{file}:5: '(AM-TMP*' opens a span within (A1* of {file}:3; expected *) before it"


def column_missing(folder: Path) -> Fault:
    write_roles(folder)
    file = changed(folder / "dev.props", "and  -  *  *", "and  -  *")
    return "srl", [], f"{file}:12: expected 4 columns as in the sentence's first line, found 3"


def predicate_missing(folder: Path) -> Fault:
    write_roles(folder)
    file = changed(folder / "test.props", "left  leave", "left  -")
    told = "expected one column for each predicate of the sentence; found 1 predicates and 2 columns"
    return "srl", [], f"{file}:8: {told}"


def no_second_test_set(folder: Path) -> Fault:
    write_roles(folder, ("dev", "test-brown"))
    return "conll05", [], f"{folder}: no train file; expected train.props; found: dev.props, test-brown.props"


def narrow_conll12(folder: Path) -> Fault:
    for split in SIZES:
        (folder / f"{split}.v4_gold_conll").write_text("a 0 0 Rain\n")
    return "srl", [], f"{folder / 'train.v4_gold_conll'}:1: expected at least 12 columns, found 4"


def no_predicates(folder: Path) -> Fault:
    write_roles(folder)
    (folder / "dev.props").write_text("Oh  -\n")
    return "srl", [], f"{folder / 'dev.props'}: the file has no predicates"


# Questions


def squad_file(folder: Path, edit: Callable[[dict[str, Any]], Any], unanswerable: bool = False) -> Path:
    """A dev file of which the first paragraph is changed."""
    write_questions(folder, unanswerable)
    file = folder / f"dev-v{'2.0' if unanswerable else '1.1'}.json"
    tree = questions("dev", unanswerable)
    edit(tree["data"][0]["paragraphs"][0])
    file.write_text(json.dumps(tree))
    return file


def answer_elsewhere(folder: Path) -> Fault:
    file = squad_file(folder, lambda p: p["qas"][0]["answers"][0].update(text="Paris", answer_start=3))
    found = questions("dev")["data"][0]["paragraphs"][0]["context"][3:8]
    at = f"{file}: question dev-0-where"
    return "squad", [], f"{at}: expected the answer 'Paris' at answer_start 3, found {found!r}"


def unanswerable_in_1_1(folder: Path) -> Fault:
    file = squad_file(folder, lambda p: p["qas"][0].update(answers=[], is_impossible=True))
    told = "has no answer, but every question of task squad has one; for version 2.0 data set task=squad_v2"
    return "squad", [], f"{file}: question dev-0-where: {told}"


def both_answers_and_none(folder: Path) -> Fault:
    file = squad_file(folder, lambda p: p["qas"][0].update(is_impossible=True), unanswerable=True)
    told = "expected either answers or 'is_impossible': true, found 'is_impossible' and answers"
    return "squad_v2", [], f"{file}: question dev-0-where: {told}"


def id_twice(folder: Path) -> Fault:
    file = squad_file(folder, lambda p: p["qas"][1].update(id="dev-0-where"))
    return "squad", [], f"{file}: question dev-0-where: expected every id once in the file"


def answers_not_known(folder: Path) -> Fault:
    file = squad_file(folder, lambda p: p["qas"][0].pop("answers"))
    told = "expected 'answers' with lists 'text' and 'answer_start' of equal length"
    return "squad", [], f"{file}: question dev-0-where: {told}"


def question_too_long(folder: Path) -> Fault:
    squad_file(folder, lambda p: p["qas"][0].update(question="Where? " * 20))
    told = "its 40 tokens leave 0 of task.max_length=30 for the context, which is longer and needs more than"
    overrides = ["task.max_length=30", "task.extraction.stride=8"]
    return "squad", overrides, f"question dev-0-where: {told} task.extraction.stride=8; raise task.max_length"


def torn_json(folder: Path) -> Fault:
    file = squad_file(folder, lambda p: None)
    file.write_text(file.read_text()[:-5])
    return "squad", [], f"{file}:1: expected SQuAD's JSON ("


def threshold_where_all_is_answered(folder: Path) -> Fault:
    write_questions(folder)
    told = "tune_null_threshold needs unanswerable=true: other tasks have no threshold"
    return "squad", ["task.extraction.tune_null_threshold=true"], told


@pytest.mark.parametrize(
    "spoil",
    [
        malformed_tag,
        tag_without_type,
        tag_of_another_scheme,
        unknown_type,
        no_entities,
        unequal_columns,
        no_such_column,
        no_utf8,
        no_training_file,
        empty_file,
        no_room_for_words,
        broken_brackets,
        column_missing,
        predicate_missing,
        no_second_test_set,
        narrow_conll12,
        no_predicates,
        answer_elsewhere,
        unanswerable_in_1_1,
        both_answers_and_none,
        id_twice,
        answers_not_known,
        question_too_long,
        torn_json,
        threshold_where_all_is_answered,
    ],
)
def test_bad_files_are_one_line_and_leave_no_run(spoil: Callable[[Path], Fault], tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "runs"
    data.mkdir()
    task, overrides, expected = spoil(data)
    done = run(train_words(task, data, out, *overrides), tmp_path / "streams")
    assert expected in fault(done)
    assert not expected.startswith(str(data)) or done.error.startswith(expected)
    assert not out.exists()


# New examples


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each shape after two steps."""
    folder = tmp_path_factory.mktemp("runs")
    made = {"ner": write_entities, "srl": write_roles, "squad": write_questions}
    return {
        task: trained(task, write(folder / task / "data"), folder / task / "out", "trainer.max_steps=2")
        for task, write in made.items()
    }


@pytest.mark.parametrize(
    ("task", "name", "text", "expected"),
    [
        (
            "ner",
            "new.txt",
            "Rain\nfell hard\n",
            "{file}:2: expected 1 column as above, found 2; a line holds one word",
        ),
        ("ner", "new.txt", "\n\n", "{file}: the file has no records"),
        ("ner", "new.txt", "\u200d\n\n\u200b\n", "task ner: the tokenizer makes nothing of the examples"),
        ("ner", "new.jsonl", '{"text": ["Rain"]}\n', "{file}:1: expected 'tokens', a list of words"),
        ("srl", "new.props", "Rain  -  (A1*\nfell  fall  *\n", "{file}:1: (A1* is not closed within its sentence"),
        ("srl", "new.props", "Rain  -  *\nfell  -  *\n", "{file}:1: expected one column for each predicate"),
        (
            "srl",
            "new.jsonl",
            '{"tokens": ["Rain", "fell"], "predicate": 2}\n',
            "{file}:1: expected 'predicate', the number of one of its 2 tokens",
        ),
        ("squad", "new.json", '{"data": {}}', "{file}: expected an object with a list 'data'"),
        ("squad", "new.jsonl", '{"id": "a", "question": "Who?"}\n', "{file}:1: expected 'context', a text; the record"),
        (
            "squad",
            "new.jsonl",
            '{"id": "a", "question": "Who?", "context": "Ann."}\n' * 2,
            "{file}:2 (question a): expected every id once",
        ),
    ],
)
def test_bad_new_examples(
    task: str, name: str, text: str, expected: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    options = ["--output", str(tmp_path / "said.jsonl"), "--official", str(tmp_path / "said")]
    done = run(["predict", str(runs[task]), "--input", str(file), *options], tmp_path / "streams")
    assert fault(done).startswith(expected.format(file=file))
    assert list(tmp_path.glob("said*")) == []


def test_words_that_the_tokenizer_drops_are_outside(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("Rain\n\u200d\nfell\n\n\u200b\n\nToday\n", encoding="utf-8")
    done = run(["predict", str(runs["ner"]), "--input", str(tmp_path / "new.txt")], tmp_path)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["tokens"] for row in rows] == [["Rain", "\u200d", "fell"], ["\u200b"], ["Today"]]
    assert [len(row["tags"]) for row in rows] == [3, 1, 1]
    assert rows[0]["tags"][1] == "O"
    assert rows[1]["tags"] == ["O"]


def test_other_data_of_unknown_types(runs: dict[str, Path], tmp_path: Path) -> None:
    """Types that the run does not know count as missed, in other data too; a split that is not there is named."""
    data = write_entities(tmp_path / "data")
    (data / "dev.txt").write_text("June B-DATE\n")
    words = ["evaluate", str(runs["ner"]), "--data-dir", str(data)]
    done = run(words, tmp_path)
    assert done.code == 0, done.err
    assert done.out.splitlines()[2].split() == ["f1", "0.00"]
    assert "note: spans of types that the training set lacks, which count as missed: DATE 1" in " ".join(
        done.err.split()
    )
    done = run([*words, "--split", "test-brown"], tmp_path)
    assert fault(done) == "task ner: no test-brown split; it has: train, dev, test"
