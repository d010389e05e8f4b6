"""Turn one record of a release into the flat fields that templates name.

A reader takes the fields of a record, as the official SuperGLUE files or the hub's flat tables have them, and yields
one dictionary for each example. Templates are those of the published code (`tasks/superglue/dataset.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ptv2.errors import quote

Fields = dict[str, Any]
Reader = Callable[[Fields], Iterator[Fields]]


def plain(fields: Fields) -> Iterator[Fields]:
    """Take the record as the example."""
    yield fields


def wsc(fields: Fields) -> Iterator[Fields]:
    """Flatten `target`, and add `marked`: the text with asterisks around the word at `span2_index`."""
    flat = {**fields, **fields.get("target", {})}
    words = flat["text"].split()
    at = _whole(flat["span2_index"], "span2_index")
    if not 0 <= at < len(words):
        raise ValueError(f"span2_index {at} is outside the text's {len(words)} words")
    words[at] = f"*{words[at]}*"
    yield {**flat, "marked": " ".join(words)}


def copa(fields: Fields) -> Iterator[Fields]:
    """Add `connective`: the question as a word, as in "PREMISE because CHOICE"."""
    connectives = {"cause": "because", "effect": "so"}
    if not isinstance(fields["question"], str) or fields["question"] not in connectives:
        raise ValueError(f"question {quote(fields['question'])}; expected cause or effect")
    yield {**fields, "connective": connectives[fields["question"]]}


def multirc(fields: Fields) -> Iterator[Fields]:
    """Make one example per answer; `key` is the triple that the official metric groups by."""
    if "passage" not in fields:  # the hub's table is flat already
        yield {**fields, "key": fields["idx"]}
        return
    passage = fields["passage"]
    _check_distinct([question["idx"] for question in passage["questions"]], "question")
    for question in passage["questions"]:
        _check_distinct([answer["idx"] for answer in question["answers"]], f"answer of question {question['idx']}")
        for answer in question["answers"]:
            key = {"paragraph": fields["idx"], "question": question["idx"], "answer": answer["idx"]}
            yield {
                "paragraph": passage["text"],
                "question": question["question"],
                "answer": answer["text"],
                "label": answer.get("label"),
                "key": key,
            }


def record(fields: Fields) -> Iterator[Fields]:
    """One binary example for each entity and query: whether it is the entity behind `@placeholder`."""
    if "qas" in fields:  # the official release
        text = fields["passage"]["text"]
        entities = [_marked(text, span) for span in fields["passage"]["entities"]]
        _check_distinct([query["idx"] for query in fields["qas"]], "query")
        queries = [
            (qa["query"], [a["text"] for a in qa.get("answers", [])], {"passage": fields["idx"], "query": qa["idx"]})
            for qa in fields["qas"]
        ]
    else:
        text, entities = fields["passage"], fields["entities"]
        queries = [(fields["query"], list(fields["answers"]), fields["idx"])]
    if not entities:
        raise ValueError("the passage has no entities; expected one or more to choose from")
    text = text.replace("@highlight\n", "- ")
    for query, answers, key in queries:
        _check_texts(answers, "answers")
        for entity in sorted(set(entities)):
            yield {
                "passage": text,
                "query": query.replace("@placeholder", entity),
                "entity": entity,
                "answers": sorted(set(answers)),
                "label": int(entity in answers) if answers else None,
                "key": key,
            }


def _check_distinct(numbers: list[Any], kind: str) -> None:
    for position, number in enumerate(numbers):
        if number in numbers[:position]:
            raise ValueError(f"the idx {quote(number)} of a {kind} twice; expected it once")


def _check_texts(values: list[Any], name: str) -> None:
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"expected texts in '{name}', found {quote(value)}")


def _whole(value: Any, name: str) -> int:
    if type(value) is not int:
        raise ValueError(f"expected '{name}', a whole number, found {quote(value)}")
    return value


def _marked(text: str, span: Fields) -> str:
    """Cut an entity out of the passage; the `end` of its span is inclusive."""
    start, end = _whole(span["start"], "start"), _whole(span["end"], "end")
    if not 0 <= start <= end < len(text):
        raise ValueError(f"entity span {start} to {end} is outside the passage's {len(text)} characters")
    return text[start : end + 1]


READERS: dict[str, Reader] = {"plain": plain, "wsc": wsc, "copa": copa, "multirc": multirc, "record": record}
