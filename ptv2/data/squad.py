"""The official JSON files of SQuAD 1.1 and 2.0, and the official form of predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptv2.data.records import Record
from ptv2.errors import DataError


def read_squad(path: Path) -> Iterator[Record]:
    """One record a question, in the order of the file.

    Fields are `id`, `context`, `question` and `answers` (lists `text` and `answer_start`, in characters of the
    context); the lists are empty where `is_impossible` is true. A question of which the file does not tell the answers
    has no field `answers`: it can be predicted only.

    Raises:
        DataError: with the place and what was expected; also where an answer is not in the context at its offset, an id
            occurs twice, or `is_impossible` and the answers contradict each other.
    """
    seen: set[str] = set()
    for number, article in enumerate(_list(_load(path), "data", str(path))):
        place = f"{path}: data[{number}]"
        for nth, paragraph in enumerate(_list(article, "paragraphs", place)):
            where = f"{place}.paragraphs[{nth}]"
            context = _text(paragraph, "context", where)
            for index, question in enumerate(_list(paragraph, "qas", where)):
                record = _record(path, context, question, f"{where}.qas[{index}]")
                if record.fields["id"] in seen:
                    raise DataError(f"{record.where}: expected every id once in the file")
                seen.add(record.fields["id"])
                yield record


def check_answers(answers: Any, context: str, where: str) -> None:
    """Make sure that `answers` holds the two lists, and that each text stands in the context at its offset.

    Raises:
        DataError: naming the place `where`.
    """
    texts = answers.get("text") if isinstance(answers, Mapping) else None
    starts = answers.get("answer_start") if isinstance(answers, Mapping) else None
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise DataError(f"{where}: expected 'answers' with lists 'text' and 'answer_start' of equal length")
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(text, str) or not text:
            raise DataError(f"{where}: expected the text of an answer, found {text!r}")
        if type(start) is not int or start < 0:
            raise DataError(f"{where}: expected 'answer_start' to be a whole number from 0 on, found {start!r}")
        if not context.startswith(text, start):
            found = context[start : start + len(text)]
            raise DataError(f"{where}: expected the answer {text!r} at answer_start {start}, found {found!r}")


def as_predictions(predictions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Predictions `{"id", "prediction_text"}` in the form that the official scripts read: text by question id."""
    return {prediction["id"]: prediction["prediction_text"] for prediction in predictions}


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: expected UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: expected SQuAD's JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or absurd nesting
        raise DataError(f"{path}: expected SQuAD's JSON ({error})") from error


def _record(path: Path, context: str, question: Any, place: str) -> Record:
    name = _text(question, "id", place)
    where = f"{path}: question {name}"
    fields: dict[str, Any] = {"id": name, "context": context, "question": _text(question, "question", where)}
    impossible = question.get("is_impossible")
    if impossible is not None and not isinstance(impossible, bool):
        raise DataError(f"{where}: expected 'is_impossible' to be true or false, found {impossible!r}")
    if "answers" in question or impossible:
        given = _list(question, "answers", where) if "answers" in question else []
        if bool(given) == bool(impossible):
            found = "'is_impossible' and answers" if given else "neither"
            raise DataError(
                f"{where}: expected either answers or 'is_impossible': true, found {found}; leave 'answers' out where "
                "they are not known"
            )
        fields["answers"] = {
            "text": [_text(answer, "text", where) for answer in given],
            "answer_start": [answer.get("answer_start") for answer in given],
        }
        check_answers(fields["answers"], context, where)
    return Record(fields, where)


def _list(value: Any, key: str, where: str) -> list[Any]:
    if not isinstance(value, dict) or not isinstance(value.get(key), list):
        raise DataError(f"{where}: expected an object with a list '{key}'")
    return list(value[key])


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        raise DataError(f"{where}: expected an object with a text '{key}'")
    return str(value[key])
