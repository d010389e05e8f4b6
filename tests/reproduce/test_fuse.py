"""`ptv2 reproduce fuse=K`: the runs of a table, trained together in one process, are those that they are alone."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from commandline import Command, result_of, run, wait_until, write_backbone, write_sentences

from ptv2.errors import ConfigError
from ptv2.reproduce.compare.options import read_compare_settings
from ptv2.reproduce.options import read_settings

TABLE = """# A small table of made-up sentences.
title: Made-up sentences
seeds: [1, 2]
methods: [fine-tuning, {name: p-tuning-v2, overrides: [prompt.length=4]}]
rows:
  - {name: good, model: tiny, overrides: [model.path=BACKBONE, optim.lr=0.03]}
  - {name: hot, model: tiny, overrides: [model.path=BACKBONE, optim.lr=1e29, optim.clip=null]}
columns: [{name: classification, split: dev}]
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    write_sentences(tmp_path / "data" / "classification", 48, 16, 8)
    table = TABLE.replace("BACKBONE", str(write_backbone(tmp_path / "bb")))
    (tmp_path / "conf" / "table").mkdir(parents=True)
    (tmp_path / "conf" / "table" / "small.yaml").write_text(table, encoding="utf-8")
    given = ["trainer.epochs=25", "trainer.checkpoint_minutes=0"]
    given += [f"data={tmp_path}/data", f"out={tmp_path}/runs", f"results={tmp_path}/results"]
    return ["reproduce", "table=small", "--config-dir", f"{tmp_path}/conf", "trainer.batch_size=8", *given]


def test_a_fused_table_goes_on_after_a_signal_and_one_failure_leaves_the_others(
    words: list[str], tmp_path: Path
) -> None:
    plan = run([*words, "fuse=3", "--plan"], tmp_path)
    assert plan.code == 0, plan.err
    assert "fused: 3 runs in 1 group of up to 3" in plan.out
    assert "alone: 4 runs: method=fine-tuning" in plan.out

    fused = [*words, "methods=p-tuning-v2", "fuse=4", "jobs=2"]
    first = Command(fused, tmp_path)

    def under_way() -> bool:
        return len({path.parent for path in (tmp_path / "runs").glob("*/state-*.safetensors")}) >= 1

    assert wait_until(under_way, lambda: first.running)
    first.signal(signal.SIGTERM)
    assert first.wait().code == 143

    done = run(fused, tmp_path)
    assert done.code == 1, done.err
    found = re.search(r"fused: ([2-4]) runs in 1 group of up to \1", done.err)
    assert found is not None, "on a CPU one run follows the other, and one may have ended before the signal"
    failed = [line for line in done.err.splitlines() if line.startswith("failed")]
    assert [line.startswith("failed  hot classification p-tuning-v2 seed ") for line in failed] == [True] * 2, done.err
    assert all("finite" in line for line in failed)
    results: list[dict[str, Any]] = [result_of(p.parent) for p in (tmp_path / "runs").glob("*/result.json")]
    assert sorted(result["seed"] for result in results) == [1, 2]
    assert {result["runtime"]["together"] for result in results} <= {4, int(found[1])}
    resumed = [result["runtime"]["resumed"] for result in results]
    assert found[1] < "4" or 1 in resumed, "the run that had begun went on, unless it had ended"

    again = run([*words, "methods=p-tuning-v2", "rows=good"], tmp_path)
    assert (again.code, "to make" in again.err) == (0, False), "the same runs, under the same names"
    assert not list((tmp_path / "runs" / ".reproduce").glob("*good*"))


@pytest.mark.parametrize(
    ("word", "expected"),
    [("fuse=0", "fuse=0: expected a whole number from 1 on"), ("hydra/launcher=fused", "fuse=K, runs of one process")],
)
def test_refusals(word: str, expected: str) -> None:
    for read, first in ((read_settings, "table=2"), (read_compare_settings, "task=rte")):
        with pytest.raises(ConfigError, match=expected):
            read([first, word])
