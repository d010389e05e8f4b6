"""Say what a setting expects, in the words of a user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptv2.errors import shorten

# What is said of pydantic's kinds of faults, with the numbers and choices of each.
EXPECTED = {
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected {ge:g} or more",
    "less_than": "expected less than {lt:g}",
    "less_than_equal": "expected at most {le:g}",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text (in quotes where it looks like a number)",
    "string_too_short": "expected text, found nothing",
    "literal_error": "expected {expected}",
    "list_type": "expected a list, such as [a,b]",
    "tuple_type": "expected a list, such as [a,b]",
    "too_short": "expected {min_length} or more values",
    "too_long": "expected at most {max_length} values",
    "dict_type": "expected settings below it: KEY.NAME=VALUE",
    "model_type": "expected settings below it: KEY.NAME=VALUE",
    "model_attributes_type": "expected settings below it: KEY.NAME=VALUE",
    "invalid_key": "expected a name in quotes, since YAML reads this one as a number or a truth value",
    "missing": "has no value; expected KEY=VALUE",
}


def expected(fault: Mapping[str, Any]) -> str:
    """Describe a fault that pydantic found in one sentence."""
    kind, context = str(fault["type"]), dict(fault.get("ctx") or {})
    if kind in EXPECTED:
        key = ".".join(str(step) for step in fault["loc"] if isinstance(step, str))
        return EXPECTED[kind].format_map(context).replace("KEY", key).replace("'", "")
    return str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")


def short_value(value: Any) -> str:
    """Quote a value in a message."""
    return shorten(repr(value), 60)
