"""Labels as data spell them, and the numbers of their classes."""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from ptv2.data.records import Record
from ptv2.data.tables import hint_at_header
from ptv2.errors import DataError, enumerate_some, kind_of, quote, unknown_in_data

# More classes than any classification task has; with more the field is probably free text.
MOST_LABELS = 1000
# How data sets and programs (R, pandas, Excel, SQL, Python) write that there is none, in these capitals.
NO_LABEL = ("-", "NA", "N/A", "#N/A", "<NA>", "NULL", "null", "None")
_FRACTION = re.compile(r"(-?(?:0|[1-9]\d*))\.(\d*?)0*")
# Other spellings of a truth value; YAML also reads `no` and `yes` as one.
_TRUTH = {"false": "0", "true": "1", "0": "false", "1": "true"}
_SPELLINGS = {"False": ("no", "off", "n"), "True": ("yes", "on", "y")}


class TooFewLabelsError(DataError):
    """The records have one label, or none."""


class LabelSet:
    """Class numbers by the names that files and the hub use."""

    def __init__(self, names: Sequence[Any], aliases: Sequence[str] = ()) -> None:
        """`names` in the order of class numbers; `aliases`: other names in the same order."""
        self.names = [_plain(name) for name in names]
        self._exact = {name: i for i, name in enumerate(self.names)}
        self._folded: dict[str, int | None] = {}  # in any capitals; None: more than one class
        for i, name in [*enumerate(aliases), *enumerate(self.names)]:
            other = self._folded.setdefault(name.lower(), i)
            self._folded[name.lower()] = i if other == i else None

    def number(self, value: Any, source: str | Record, field: str = "label") -> int:
        """Return the class number of a label in data; capitals matter only where labels differ by nothing else.

        Args:
            source: see `read_label`.

        Raises:
            DataError: the value is missing, not a single one, or not one of the task's labels.
        """
        name = read_label(value, source, field)
        if (number := self._exact.get(name)) is None and (number := self.find(name)) is None:
            where = source.where if isinstance(source, Record) else source
            raise DataError(f"{where}: {unknown_in_data('label', name, self.names)}")
        return number

    def find(self, value: Any) -> int | None:
        """Return the class number of a label, or None if it is not one of the task's."""
        name = _plain(value)
        number = self._exact.get(name, self._folded.get(name.lower()))
        if number is None and (same := _TRUTH.get(name.lower())) is not None:
            number = self._folded.get(same)  # 1 and true are one class
        return number

    @classmethod
    def of_data(cls, records: Iterable[Record], field: str) -> LabelSet:
        """Collect the labels of `records`, sorted.

        Raises:
            TooFewLabelsError: fewer than two labels in all.
            DataError: a record without a label, too many labels, or measured numbers.
        """
        where, count = "", 0
        values: set[str] = set()
        for record in records:
            where = where or record.where
            count += 1
            values.add(read_label(record.fields.get(field), record, field))
        names = _without_doubles(values)
        if len(names) < 2:
            found = enumerate_some(names)
            raise TooFewLabelsError(f"{where}: expected two or more labels in '{field}', found only {found}")
        if len(names) > MOST_LABELS:
            raise DataError(
                f"{where}: {len(names)} different labels in '{field}'; is it a label? (at most {MOST_LABELS})"
            )
        if _are_measured(names, count):
            raise DataError(
                f"{where}: '{field}' holds {len(names)} different numbers with fractions ({enumerate_some(names[:3])}, "
                "...); ptv2 predicts classes and no numbers: make classes of them, or name another field (task.label)"
            )
        return cls(names)


def read_label(value: Any, source: str | Record, field: str) -> str:
    """Return the name of a label: text without blanks around it, whole numbers without a fraction.

    Args:
        source: the label's record, or its place for messages.

    Raises:
        DataError: it is missing, empty, not a number (NaN, infinity), or not a single value.
    """
    if isinstance(value, Decimal):  # of a database, by Parquet
        value = f"{value:f}"
    if isinstance(value, str) and (name := _name_of(value)) is not None:
        return name
    where = source.where if isinstance(source, Record) else source
    if value is None:
        if isinstance(source, Record) and field not in source.fields:
            raise DataError(
                f"{where}: field '{field}' is missing; the record has: {enumerate_some(source.fields)} "
                f"(task.label names the field{hint_at_header(where)})"
            )
        raise DataError(f"{where}: no label: '{field}' is missing or null")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{where}: no label: '{field}' is {value}")
    if not isinstance(value, int | float) and not (isinstance(value, str) and not _is_structure(value)):
        kind = "several values" if isinstance(value, str) else kind_of(value)
        raise DataError(f"{where}: expected one label in '{field}', found {kind}: {quote(value)}")
    name = _plain(value)
    if isinstance(value, str):
        raise DataError(f"{where}: no label: '{field}' is {quote(name) if name else 'empty'}")
    return name


@lru_cache(1 << 12)  # few labels, each many times
def _name_of(text: str) -> str | None:
    """The name of a label that is a text; None if it is none."""
    name = _plain(text)
    return None if _is_structure(text) or name.lower() == "nan" or not any(map(str.isprintable, name)) else name


def spell_truth(names: Sequence[Any], records: Iterable[Record], field: str) -> list[Any]:
    """Spell names of classes that YAML reads as true or false (`labels: [no, yes]`) as the data do."""
    if not any(isinstance(name, bool) for name in names):
        return list(names)
    written = {str(record.fields.get(field)).strip() for record in records}
    spelled = {spelling.lower(): spelling for spelling in sorted(written)}
    return [
        next((spelled[word] for word in _SPELLINGS[str(name)] if word in spelled), name)
        if isinstance(name, bool)
        else name
        for name in names
    ]


def _are_measured(names: Sequence[str], records: int) -> bool:
    """Whether labels are numbers that were measured, and no classes: with fractions (0.5 or 0,5), hardly one twice."""
    try:
        fractions = sum(not float(name.replace(",", ".")).is_integer() for name in names)
    except (ValueError, OverflowError):  # a word
        return False
    return 2 * fractions > len(names) and (len(names) > 20 or (len(names) > 5 and 2 * len(names) > records))


def rare_labels(counts: dict[str, int]) -> str | None:
    """Warn of labels most of which occur once, as free text and measured numbers do; None if they do not."""
    once = sum(count == 1 for count in counts.values())
    if len(counts) <= 20 or once * 2 < len(counts):
        return None
    return f"{once} of {len(counts)} labels occur once in train; task.label names the field of the label"


def is_hidden(value: Any) -> bool:
    """Whether a label is -1, which stands for one that is kept secret, or was never agreed upon."""
    return value is not None and not isinstance(value, bool) and _plain(value) == "-1"


def absent_labels(counts: dict[str, int]) -> str | None:
    """Warn of a label that often stands for none: `-` (SNLI), `NA` (R), a rare -1 beside 0, 1, ...; else None."""
    others = sorted(counts.keys() - {"-1"})
    is_rare = counts.get("-1", 0) * 20 < sum(counts.values())
    if found := next((name for name in NO_LABEL if name in counts), None):
        label = found
    elif "-1" in counts and is_rare and others == sorted(map(str, range(len(others)))):
        label = "-1"
    else:
        return None
    return (
        f"label '{label}' is a class like others; if it means that there is none, take those examples out of the files"
    )


def similar_labels(names: Iterable[str]) -> str | None:
    """Warn of labels that differ in capitals, blanks, Unicode forms, or as numbers in spelling only; else None."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_folded(name), []).append(name)
    doubles = [" and ".join(map(quote, same)) for same in alike.values() if len(same) > 1]
    return f"labels that may be two spellings of one: {enumerate_some(doubles)}" if doubles else None


def _folded(name: str) -> str:
    """What spellings of one label have in common; of a number (01, 1e0, +1) its value, where that is exact."""
    seen = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    try:
        if len(seen) <= 20:  # with Decimal's 28 digits
            return str(Decimal(seen).normalize() + 0)
    except ArithmeticError:  # a word
        pass
    return " ".join(seen.casefold().split())


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    match = _FRACTION.fullmatch(text)
    if match is None:
        return text
    whole, fraction = match.groups()
    return f"{whole}.{fraction}" if fraction else whole if whole != "-0" else "0"


def _without_doubles(names: set[str]) -> list[str]:
    """Sort the names, with one name per truth value: 1 and not true, one spelling of true."""
    spellings = Counter(name.lower() for name in names)
    distinct: list[str] = []
    for name in sorted(names):
        folded = name.lower()
        if folded in ("true", "false"):
            first = min(other for other in names if other.lower() == folded)
            if _TRUTH[folded] in names or (spellings[folded] > 1 and name != first):
                continue
        distinct.append(name)
    return distinct


def _is_structure(text: str) -> bool:
    """Whether a text is a list or an object as a program writes it (`['a', 'b']`, `[0, 1]`)."""
    if text.strip()[:1] not in ("[", "{", "("):
        return False
    try:
        return isinstance(ast.literal_eval(text.strip()), list | dict | tuple | set)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
