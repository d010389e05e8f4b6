"""Runs that began with several tasks are a row of their own, apart by what they began with."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from records import CONFIG, TOGETHER, result

from ptv2.report import tables
from ptv2.run_folders.record import Result


def together(seed: int, dev: float, data: str = "d", **change: Any) -> Result:
    """A run of the method; `change` is of its shared settings."""
    shared = {**copy.deepcopy(CONFIG[TOGETHER]["multitask"]), **change}
    return result(TOGETHER, seed, dev, config={"multitask": shared}, shared={"name": f"part-{seed}", "data": data})


def test_a_row_beside_the_others() -> None:
    made = [result("p-tuning-v2", 11, 70.0), result("fine-tuning", 11, 71.0), together(11, 72.0), together(12, 74.0)]
    rows = tables.rows(made)
    assert [(row.method, row.seeds) for row in rows] == [("fine-tuning", 1), ("p-tuning-v2", 1), (TOGETHER, 2)]
    assert rows[-1].mean("accuracy") == 73.0
    names = "mini-entities+mini-inference+mini-questions+mini-roles"
    assert f"after {names} (lr 0.02, 10 epochs, T 2)" in rows[-1].settings
    assert "after" not in rows[1].settings
    assert any(TOGETHER in line and "+1.0" in line for line in tables.markdown(rows, "dev").splitlines())


def test_what_a_run_began_with_tells_rows_apart() -> None:
    """Its settings and data do, but not how the data came in."""
    moved = copy.deepcopy(CONFIG[TOGETHER]["multitask"]["tasks"])
    moved[0]["data"]["workers"] = 3
    longer = copy.deepcopy(CONFIG[TOGETHER]["multitask"]["tasks"])
    longer[0]["task"]["max_length"] = 99
    made = [together(11, 72.0), together(12, 74.0, tasks=moved)]
    assert len(tables.rows(made)) == 1
    made += [together(11, 70.0, temperature=1.0), together(11, 70.0, tasks=longer), together(11, 70.0, data="other")]
    assert len(tables.rows(made)) == 4


def test_what_runs_begin_with_is_no_row() -> None:
    """Its numbers are means over tasks."""
    part = result(TOGETHER, 11, 60.0)
    part = replace(part, config={**part.config, "multitask": None, "shared": {"tasks": {}}}, task="a+b")
    assert [row.task for row in tables.rows([part, together(11, 72.0)])] == ["made"]
