"""Tables on screens of any width: nothing is wider than the screen, and nothing is lost without a word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ptv2.console.columns import Column, Table, lay_out

SCORES = Table(
    columns=[
        Column("task", group=True),
        Column("method"),
        Column("settings", below=True),
        Column("score"),
        Column("vs fine-tuning"),
        Column("trained %", drop=2),
        Column("train time", drop=1),
    ],
    rows=[
        ("rte", "fine-tuning", "lr 2e-05, 10 epochs", "84.6 ± 1.2", "", "100", "1:32"),
        ("rte", "p-tuning-v2", "P 16, lr 0.01, 10 epochs", "83.3 ± 0.8", "-1.3", "0.22", "1:31"),
    ],
)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=30)


def shown(table: Table, width: int | None) -> list[str]:
    return [line.plain for line in lay_out(table, width)[0]]


def test_a_pipe_and_a_wide_screen_get_one_line_a_row() -> None:
    assert shown(SCORES, None) == shown(SCORES, 200)
    assert shown(SCORES, None) == [
        "task  method       settings                  score       vs fine-tuning  trained %  train time",
        "rte   fine-tuning  lr 2e-05, 10 epochs       84.6 ± 1.2                  100        1:32",
        "rte   p-tuning-v2  P 16, lr 0.01, 10 epochs  83.3 ± 0.8  -1.3            0.22       1:31",
    ]
    assert lay_out(SCORES, None)[1] == ""


def test_what_needs_no_column_goes_first_and_loses_nothing() -> None:
    lines, lacks = lay_out(SCORES, 60)
    assert [line.plain for line in lines] == [
        "method       score       vs fine-  trained  train",
        "                         tuning    %        time",
        "rte",
        "fine-tuning  84.6 ± 1.2            100      1:32",
        "  lr 2e-05, 10 epochs",
        "p-tuning-v2  83.3 ± 0.8  -1.3      0.22     1:31",
        "  P 16, lr 0.01, 10 epochs",
    ]
    assert lacks == ""


def test_columns_that_are_left_out_are_named() -> None:
    lines, lacks = lay_out(SCORES, 46)
    assert lines[0].plain.split() == ["method", "score", "vs", "fine-", "trained"]
    assert lacks == "left out: train time"
    assert lay_out(SCORES, 36)[1] == "left out: trained %, train time"


def test_rows_become_blocks_where_nothing_else_fits() -> None:
    assert shown(SCORES, 24)[:7] == [
        "task            rte",
        "method          fine-",
        "                tuning",
        "settings        lr",
        "                2e-05,",
        "                10",
        "                epochs",
    ]
    assert lay_out(SCORES, 24)[1] == ""


def test_names_are_cut_in_the_middle() -> None:
    table = Table([Column("run", least=16), Column("dev")], [("mini-entities-minilm-p-tuning-v2-c1d0520260", "96.1")])
    lines, lacks = lay_out(table, 30)
    assert lines[1].plain == "mini-entiti...c1d0520260  96.1"
    assert cell_len(lines[1].plain) == 30
    assert lacks == "long values are cut in the middle"


def test_last_columns_fold_between_words() -> None:
    table = Table([Column("task="), Column("", fold=10)], [("rte", "recognising textual entailment, of SuperGLUE")])
    assert shown(table, 30)[1:] == ["rte    recognising textual", "       entailment, of", "       SuperGLUE"]


def test_repeated_values_at_the_left_are_blank() -> None:
    table = Table([Column("task"), Column("metric")], [("a", "f1"), ("a", "recall"), ("b", "f1")], sparse=1)
    assert shown(table, None)[1:] == ["a     f1", "      recall", "b     f1"]


def test_control_characters_are_shown_as_pictures() -> None:
    (line,) = shown(Table([Column("label")], [("\x1b[31mred\x07\r",)]), None)[1:]
    assert line == "␛[31mred␇␍"


def test_a_label_cannot_turn_the_letters_of_its_line() -> None:
    (line,) = shown(Table([Column("label")], [("a\u202eb\u2066c\u2028d شباب",)]), None)[1:]
    assert line == "a�b�c�d شباب"


@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=4),
    st.integers(min_value=24, max_value=120),
    st.sets(st.sampled_from(["group", "below"])),
    st.sampled_from([None, 3]),
    st.sampled_from([None, 8]),
)
def test_no_line_is_wider_and_scores_are_whole(
    rows: list[tuple[str, ...]], width: int, moved: set[str], fold: int | None, least: int | None
) -> None:
    columns = [
        Column("task", group="group" in moved, least=least),
        Column("run", fold=fold, least=least),
        Column("settings", below="below" in moved, drop=1),
        Column("note", drop=2),
        Column("score"),
    ]
    lines, lacks = lay_out(Table(columns, [(*row, f"{12.5 + i:.2f} ± 0.1") for i, row in enumerate(rows)]), width)
    assert max(cell_len(line.plain) for line in lines) <= width
    text = "\n".join(line.plain for line in lines)
    for number in range(len(rows)):
        assert f"{12.5 + number:.2f}" in text
    if not lacks:
        letters = set(text)
        assert all(set(cell) <= letters for row in rows for cell in row)
