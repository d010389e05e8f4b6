"""`ptv2 reproduce figure=...` from the command to the files, with runs in processes of their own."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from commandline import run

LENGTHS = """\
# Prompt length, one of them more than the backbone has positions for.
title: Lengths
overrides: [method=p-tuning-v2]
x:
  label: tokens
  values: [2, 600]
  scale: log
  overrides: ["prompt.length={x}"]
series:
  - {name: embedding}
"""


def test_a_figure_of_ones_own_is_drawn_from_what_ran(tmp_path: Path) -> None:
    conf = tmp_path / "conf/figure/lengths.yaml"
    conf.parent.mkdir(parents=True)
    conf.write_text(LENGTHS, encoding="utf-8")
    words = ["reproduce", "figure=lengths", "--config-dir", str(tmp_path / "conf"), "task=mini-inference"]
    words += ["model=tiny", "trainer=smoke", "trainer.max_steps=2", "data.limit.train=32", "data.limit.dev=16"]
    words += ["seeds=4", f"out={tmp_path / 'runs'}", f"results={tmp_path / 'results'}"]
    done = run(words, tmp_path)
    assert done.code == 1, done
    assert "not drawn: embedding 600 seed 4: " in done.err
    assert "the longest prompt beside this text is" in done.err
    folder = tmp_path / "results/figures"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(files) == [f"lengths-mini-inference-tiny.{ending}" for ending in ("csv", "md", "png", "svg")]
    assert all(str(folder / name) in done.out for name in files)
    (row,) = csv.DictReader(files["lengths-mini-inference-tiny.csv"].decode().splitlines())
    page = files["lengths-mini-inference-tiny.md"].decode()
    assert "](lengths-mini-inference-tiny.png)" in page
    assert f"| embedding | 2 | {float(row['value']):.1f} | 1 |" in page
    assert "- Command: `ptv2 reproduce figure=lengths task=mini-inference model=tiny seeds=4 trainer=smoke " in page
    assert "recipe" not in page
    assert re.search(r"- Made with .*, Python 3\..*, torch .*, ptv2 ", page)
    assert str(tmp_path) not in page
    assert (row["series"], row["x"], row["seed"], row["metric"]) == ("embedding", "2", "4", "accuracy")
    results = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/result.json")}
    assert [path.parent.name for path in results] == [row["run"]]

    again = run([*words, "--collect"], tmp_path)
    assert again.code == 0, again
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/result.json")} == results
