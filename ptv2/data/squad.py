"""SQuAD's JSON files, the official ones and flat rows, and the official form of predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ptv2.data.json_rows import read_json, rows_of
from ptv2.data.records import Record
from ptv2.data.tables import hint_at_lists
from ptv2.errors import DataError, quote, shorten


def read_squad(path: Path) -> Iterator[Record]:
    """Read one record per question, in the order of the file; flat rows are records as they are.

    A list may also hold articles or paragraphs. In the official form the fields are `id`, `context`, `question` and
    `answers` (lists `text` and `answer_start`, in characters of the context); the lists are empty where `is_impossible`
    is true. A question whose answers are not in the file has no field `answers`: it can only be predicted.

    Raises:
        DataError: with the place and what was expected; also where an answer is not in the context at its offset, an id
            occurs twice, or `is_impossible` and the answers contradict each other.
    """
    tree = read_json(path, "SQuAD's JSON")
    rows = rows_of(tree)
    if rows == []:
        return
    if rows is not None and _is_flat(rows[0]):
        yield from _flat(rows, path)
        return
    seen: set[str] = set()
    if rows is None:
        rows = _list(tree, "data", str(path))
    elif isinstance(rows[0], dict) and "qas" in rows[0]:  # paragraphs without articles
        rows = [{"paragraphs": rows}]
    for number, article in enumerate(rows):
        in_article = f"{path}: data[{number}]"
        for nth, paragraph in enumerate(_list(article, "paragraphs", in_article)):
            in_paragraph = f"{in_article}.paragraphs[{nth}]"
            context = _text(paragraph, "context", in_paragraph)
            for index, question in enumerate(_list(paragraph, "qas", in_paragraph)):
                record = _record(path, context, question, f"{in_paragraph}.qas[{index}]")
                if record.fields["id"] in seen:
                    raise DataError(f"{record.where}: expected every id once in the file")
                seen.add(record.fields["id"])
                yield record


def answers_of(fields: Mapping[str, Any], where: str) -> Any:
    """Bring the answers of a flat row into lists `text` and `answer_start`; any other value is returned as it is.

    Rows may have those lists (also as `answers.text` and `answers.answer_start`), a list of objects, or one answer.
    Empty lists, or `is_impossible` alone, mean that there is no answer.

    Raises:
        DataError: `is_impossible` and the answers contradict each other.
    """
    answers, impossible = fields.get("answers"), fields.get("is_impossible")
    if answers is None and "answers.text" in fields:
        answers = {key: fields.get(f"answers.{key}") for key in ("text", "answer_start")}
    if answers is None and impossible is True:
        answers = []
    if isinstance(answers, list) and all(isinstance(answer, Mapping) for answer in answers):
        answers = {key: [answer.get(key) for answer in answers] for key in ("text", "answer_start")}
    elif isinstance(answers, Mapping) and isinstance(answers.get("text"), str):
        answers = {key: [answers.get(key)] for key in ("text", "answer_start")}
    if isinstance(answers, Mapping) and isinstance(impossible, bool) and bool(answers.get("text")) == impossible:
        _contradiction(bool(impossible), where)
    return answers


def check_answers(answers: Any, context: str, where: str) -> None:
    """Check that `answers` holds the two lists, and that each text is in the context at its offset.

    Raises:
        DataError: naming the place `where`.
    """
    texts = answers.get("text") if isinstance(answers, Mapping) else None
    starts = answers.get("answer_start") if isinstance(answers, Mapping) else None
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        found = f", found a text: {quote(answers)}{hint_at_lists(where)}" if isinstance(answers, str) else ""
        raise DataError(f"{where}: expected 'answers' with lists 'text' and 'answer_start' of equal length{found}")
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{where}: expected the text of an answer, found {quote(text)}; a question without one has empty lists"
            )
        if type(start) is not int or start < 0:
            raise DataError(f"{where}: expected 'answer_start' to be a whole number from 0 on, found {quote(start)}")
        if not context.startswith(text, start):
            actual = context[start : start + len(text)]
            raise DataError(
                f"{where}: expected the answer {quote(text)} at answer_start {start}, found {quote(actual)}"
            )


def as_predictions(predictions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Turn predictions `{"id", "prediction_text"}` into what the official scripts read: text by question id."""
    return {prediction["id"]: prediction["prediction_text"] for prediction in predictions}


def _flat(rows: Sequence[Any], path: Path) -> Iterator[Record]:
    for number, row in enumerate(rows):
        where = f"{path}: row {number}"
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with id, context, question and answers")
        yield Record(row, where)


def _is_flat(row: Any) -> bool:
    """Whether a row is a question with its context."""
    return isinstance(row, dict) and "context" in row and not row.keys() & {"paragraphs", "qas"}


def _contradiction(given: bool, where: str) -> NoReturn:
    fault = "'is_impossible' and answers" if given else "neither"
    raise DataError(
        f"{where}: expected either answers or 'is_impossible': true, found {fault}; leave 'answers' out where "
        "they are not known"
    )


def _record(path: Path, context: str, question: Any, where: str) -> Record:
    name = _id(question, where)
    named = f"{path}: question {shorten(name, 40)}"
    fields: dict[str, Any] = {"id": name, "context": context, "question": _text(question, "question", named)}
    impossible = question.get("is_impossible")
    if impossible is not None and not isinstance(impossible, bool):
        raise DataError(f"{named}: expected 'is_impossible' to be true or false, found {quote(impossible)}")
    if "answers" in question or impossible:
        given = _list(question, "answers", named) if "answers" in question else []
        if bool(given) == bool(impossible):
            _contradiction(bool(given), named)
        fields["answers"] = {
            "text": [_text(answer, "text", named) for answer in given],
            "answer_start": [answer.get("answer_start") for answer in given],
        }
        check_answers(fields["answers"], context, named)
    return Record(fields, named)


def _list(value: Any, key: str, where: str) -> list[Any]:
    if not isinstance(value, dict) or not isinstance(value.get(key), list):
        raise DataError(f"{where}: expected an object with a list '{key}'")
    return list(value[key])


def _id(question: Any, where: str) -> str:
    name = question.get("id") if isinstance(question, dict) else None
    return str(name) if type(name) is int else _text(question, "id", where)


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        raise DataError(f"{where}: expected an object with a text '{key}'")
    return str(value[key])
