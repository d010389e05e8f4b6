"""Say what is wrong with settings and what they expect, in the words of a user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from ptv2.errors import shorten

# What is said of pydantic's kinds of faults, with the numbers and choices of each.
EXPECTED = {
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected {ge:g} or more",
    "less_than": "expected less than {lt:.12g}",
    "less_than_equal": "expected at most {le:g}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "expected a number"),
    "finite_number": "expected a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    "string_type": "expected text (in quotes where it looks like a number)",
    "string_too_short": "expected text, found nothing",
    "literal_error": "expected {expected}",
    **dict.fromkeys(("list_type", "tuple_type"), "expected a list, such as [a,b]"),
    "too_short": "expected {min_length} or more values",
    "too_long": "expected at most {max_length} values",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected settings below it: KEY.NAME=VALUE"),
    "invalid_key": "expected a name in quotes, since YAML reads this one as a number or a truth value",
}


def describe_faults(
    error: ValidationError,
    tree: Any,
    unknown_key: Callable[[str], str],
    missing: str = "has no value; expected KEY=VALUE",
) -> str:
    """Describe all faults, key by key; what the members of a union say about one value is joined by "or".

    Args:
        tree: what was checked.
        unknown_key: describes a key that does not exist.
        missing: what is said of a key without a value.
    """
    messages_of: dict[str, list[str]] = {}
    for fault in error.errors():
        key = _key(fault, tree)
        if fault["type"] == "extra_forbidden":
            messages_of[unknown_key(key)] = []
            continue
        is_missing, value = fault["type"] == "missing", fault["input"]
        start = key if is_missing or isinstance(value, dict) else f"{key}={shorten(repr(value), 60)}"
        message = missing.replace("KEY", key) if is_missing else _expected(fault, key)
        messages_of.setdefault(start, []).append(message)
    return "; ".join(
        ": ".join(text for text in (start, _joined(messages)) if text) for start, messages in messages_of.items()
    )


def _expected(fault: Mapping[str, Any], key: str) -> str:
    """Describe one fault in a sentence."""
    kind, context = str(fault["type"]), dict(fault.get("ctx") or {})
    if kind in EXPECTED:
        return EXPECTED[kind].format_map(context).replace("KEY", key).replace("'", "")
    return str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")


def _joined(messages: list[str]) -> str:
    """Join what several types say of one value into one sentence."""
    if not messages:
        return ""
    first, *others = dict.fromkeys(messages)
    return " or ".join([first, *(message.removeprefix("expected ") for message in others)])


def _key(fault: Mapping[str, Any], tree: Any) -> str:
    """The key that a fault is about, without the steps that pydantic adds for members of a union."""
    node: Any = tree
    steps = []
    for step in fault["loc"]:
        exists = step in node if isinstance(node, dict) else isinstance(node, list) and step in range(len(node))
        if exists or (fault["type"] == "missing" and step == fault["loc"][-1]):
            steps.append(str(step))
        node = node[step] if exists else node
    return ".".join(steps)
