"""Backbones of one name: never compared with each other, and told apart where a table has several."""

from __future__ import annotations

import pytest
from records import result

from ptv2.report import tables
from ptv2.report.shares import shares_of
from ptv2.run_folders.record import Result

FIRST, SECOND = {"name": "mine", "revision": None, "sha256": "a" * 64}, {"name": "mine", "sha256": "b" * 64}


def made(method: str, value: float, backbone: dict[str, str | None], path: str = "folder") -> list[Result]:
    config = {"model": {"path": path}}
    return [result(method, seed, value + seed, backbone=backbone, config=config) for seed in (1, 2)]


def shown(results: list[Result]) -> list[tuple[str, str, str]]:
    """Model, method and difference to fine-tuning of each line of the headline."""
    lines = (dict(zip(tables.HEADER, line, strict=True)) for line in tables.cells(tables.rows(results)))
    return [(li["model"], li["method"], li["vs fine-tuning"]) for li in lines if li["metric"] == "accuracy"]


def test_other_weights_are_another_backbone() -> None:
    results = [*made("fine-tuning", 80, FIRST), *made("p-tuning-v2", 75, FIRST), *made("p-tuning-v2", 90, SECOND)]
    assert shown(results) == [
        ("tiny (weights aaaaaa)", "fine-tuning", ""),
        ("tiny (weights aaaaaa)", "p-tuning-v2", "-5.0"),
        ("tiny (weights bbbbbb)", "p-tuning-v2", ""),
    ]
    csv = tables.comma_separated(tables.rows(results), "dev")
    assert "made,f00/100,tiny,weights bbbbbb,p-tuning-v2" in csv
    assert [row["backbone"] for row in tables.records(tables.rows(results), "dev")][-1] == "weights bbbbbb"
    assert list(shares_of(results)) == ["made, tiny, 100 examples"], "the second has one method alone"


def test_each_of_several_backbones_has_a_panel_of_its_own() -> None:
    results = [*made("fine-tuning", 80, FIRST), *made("p-tuning-v2", 75, FIRST)]
    results += [*made("fine-tuning", 60, SECOND), *made("p-tuning-v2", 90, SECOND)]
    assert list(shares_of(results)) == ["made, tiny, 100 examples", "made, tiny (weights bbbbbb)"]


def test_a_lone_backbone_is_named_by_its_name() -> None:
    assert {model for model, _, _ in shown([*made("fine-tuning", 80, FIRST), *made("p-tuning-v2", 75, FIRST)])} == {
        "tiny"
    }


def test_files_beside_equal_weights_count_where_they_differ() -> None:
    one, other = FIRST | {"config_sha256": "c" * 64}, FIRST | {"config_sha256": "d" * 64}
    results = [*made("fine-tuning", 80, one), *made("p-tuning-v2", 75, other)]
    assert shown(results) == [
        ("tiny (weights aaaaaa, config cccccc)", "fine-tuning", ""),
        ("tiny (weights aaaaaa, config dddddd)", "p-tuning-v2", ""),
    ]


@pytest.mark.parametrize("again", [FIRST, FIRST | {"config_sha256": "c" * 64}])
def test_runs_from_before_these_files_counted_are_compared_still(again: dict[str, str | None]) -> None:
    one = FIRST | {"config_sha256": "c" * 64}
    assert shown([*made("fine-tuning", 80, one), *made("p-tuning-v2", 75, again)])[1] == ("tiny", "p-tuning-v2", "-5.0")


def test_random_weights_are_one_backbone_whatever_their_hash() -> None:
    results = [*made("fine-tuning", 80, FIRST, "config:"), *made("p-tuning-v2", 75, SECOND, "config:")]
    assert [model for model, _, _ in shown(results)] == ["tiny", "tiny"]
    results += made("fine-tuning", 80, FIRST)
    assert {model for model, _, _ in shown(results)} == {"tiny (random weights)", "tiny (weights aaaaaa)"}
