"""Any bytes in a file of any format are read, or refused with a DataError; no other error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptv2.data.columns import read_columns
from ptv2.data.props import read_conll12, read_props
from ptv2.data.records import read_file
from ptv2.data.squad import read_squad
from ptv2.errors import DataError

READERS: dict[str, Callable[[Path], Any]] = {
    "x.jsonl": read_file,
    "x.json": read_file,
    "x.csv": read_file,
    "x.parquet": read_file,
    "x.tsv": read_file,
    "squad.json": read_squad,
    "x.txt": lambda path: read_columns(path, 0, -1, None),
    "x.props": read_props,
    "x.gold_conll": read_conll12,
}
# Pieces that the formats are made of, so that some texts get far into a reader.
PIECES = [
    *("{", "}", "[", "]", '"', ":", ",", "\t", " ", "\n", "\r", "\ufeff", "\\ud800", "null", "NaN", "1e999", "-1"),
    *('"data"', '"paragraphs"', '"qas"', '"context"', '"id"', '"answers"', '"text"', '"answer_start"', '"question"'),
    *("text", "label", "O", "B-PER", "-", "*", "(A0*", "(V*)", "*)", "0", "d 0 0 a X * - - s * (V*) -"),
    *("#begin document (d); part 000\n", "#end document\n", "# global.columns = A B\n", "-DOCSTART- O\n", "\x00"),
    *('{"data": [{"paragraphs": [{"context": "a b", "qas": [', '{"tokens": ["a"], "tags": ["O"]}\n', "a (V*)\nb *\n"),
]
CONTENT = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=25).map(lambda parts: "".join(parts).encode()),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=15).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    ),
)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENT)
def test_any_bytes_are_read_or_refused(name: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with suppress(DataError):
        list(READERS[name](file))
