"""The figure over backbones: gaps to fine-tuning, from runs made up on disk, and what its files say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from figure_runs import made_up, table

from ptv2.config.paths import conf_dir
from ptv2.errors import ConfigError
from ptv2.reproduce.figure.make import list_figure_jobs, read_figure_request, reproduce_figure
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.options import Options


@pytest.fixture
def scale(options: Options, tmp_path: Path) -> Options:
    """Two tasks and two random backbones of different size."""
    (tmp_path / "conf/model").mkdir(parents=True)
    tiny = yaml.safe_load((conf_dir() / "model/tiny.yaml").read_text(encoding="utf-8"))
    (tmp_path / "conf/model/wide.yaml").write_text(yaml.safe_dump({**tiny, "name": "wide"}), encoding="utf-8")
    return replace(
        options,
        figure="scale",
        task="rte,mini-inference",
        model="tiny,wide",
        config_dir=str(tmp_path / "conf"),
        data=data_of(tmp_path),
    )


def data_of(folder: Path) -> Path:
    """A folder of data with a small RTE."""
    path = folder / "data/rte"
    path.mkdir(parents=True)
    for split in ("train", "val"):
        lines = [
            {"premise": f"{split} {i} is so", "hypothesis": f"{i} is", "label": ("entailment", "not_entailment")[i % 2]}
            for i in range(8)
        ]
        (path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / "data"


def fill_scale(options: Options, left_out: Callable[[Job], bool] = lambda job: False) -> None:
    """Runs in which p-tuning-v2 is below fine-tuning by 4 points on tiny and 2 on wide, less a tenth of the seed."""
    jobs, _ = list_figure_jobs(read_figure_request("scale", options), options)
    for job in jobs:
        if not left_out(job):
            assert job.config is not None
            wide, prompts = job.config.model.name == "wide", job.config.method == "p-tuning-v2"
            gap = (2 if wide else 4) - job.seed / 10
            sizes = {"trained": 9, "total": 2_000_900 if wide else 500_900, "percent": 1.0, "groups": {"head": 900}}
            made_up(job, 70 + 5 * job.seed - (gap if prompts else 0), parameters=sizes)


def test_the_gap_to_fine_tuning_is_paired_and_stands_at_the_backbones_size(
    scale: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_scale(scale)
    assert reproduce_figure("scale", scale) == 0
    rows = table(scale, "scale-rte+mini-inference-tiny+wide.csv")
    values = {(row["series"], row["model"], row["x"], row["seed"]): float(row["value"]) for row in rows}
    assert values == {
        (task, model, x, str(seed)): pytest.approx(seed / 10 - gap)
        for task in ("rte", "mini-inference")
        for model, x, gap in (("tiny", "0.5", 4), ("wide", "2", 2))
        for seed in (1, 2, 3)
    }
    stem = scale.results / "figures/scale-rte+mini-inference-tiny+wide"
    page = stem.with_suffix(".md").read_text(encoding="utf-8")
    assert "| rte | tiny, 0.5 | -3.8 ± 0.1 | 3 |" in page
    # Table 2 of the paper: 78.3 - 70.4, 89.5 - 86.6, 84.8 - 90.3, 93.1 - 93.1, none of them seen twice
    assert re.search(r"rte: bert-large \+7\.9†, roberta-large \+\d\.\d†, glm-xlarge .*, glm-xxlarge ", page)
    assert "dotted: the paper's published numbers" in page
    assert "not drawn" not in page
    svg = stem.with_suffix(".svg").read_bytes()
    reproduce_figure("scale", scale)
    assert stem.with_suffix(".svg").read_bytes() == svg
    for path in Path(scale.out).glob("*/result.json"):
        path.unlink()
    reproduce_figure("scale", scale)  # from the CSV alone
    assert stem.with_suffix(".svg").read_bytes() == svg
    assert "drawn again from" in capsys.readouterr().err


def test_a_gap_without_fine_tuning_is_named_and_never_drawn(scale: Options) -> None:
    lone = replace(scale, task="mini-inference", methods=("p-tuning-v2",))

    def left_out(job: Job) -> bool:
        method = None if job.config is None else job.config.method
        return method == "fine-tuning" and (job.cell.key[1] == "wide" or job.seed == 3)

    fill_scale(lone, left_out)
    assert reproduce_figure("scale", lone) == 0
    rows = table(lone, "scale-mini-inference-tiny+wide.csv")
    assert [(row["series"], row["model"], row["seed"]) for row in rows] == [
        ("p-tuning-v2", "tiny", "1"),
        ("p-tuning-v2", "tiny", "2"),
    ]
    page = (lone.results / "figures/scale-mini-inference-tiny+wide.md").read_text(encoding="utf-8")
    assert "over 2 seeds" in page
    assert "not drawn, for lack of comparable runs or of fine-tuning: p-tuning-v2 wide" in page
    assert "mean of BoolQ, CB, RTE: bert-large +2.0†" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "tiny,wid"}, "unknown model 'wid'; did you mean wide?"),
        ({"methods": ("fine-tuning",)}, "expected a method to compare with fine-tuning"),
        ({"methods": ("prefix",)}, "unknown method 'prefix'"),
        ({"task": "rte,rte"}, "expected different names"),
        ({"overrides": ("model.path=here",)}, "the figure itself varies the backbone"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_wrong_words_for_a_scale_are_answered_in_one_line(scale: Options, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reproduce_figure("scale", replace(scale, **changes))
    assert said in str(caught.value)
