"""Write the pages of results/ from the records in results/runs/ alone: what `make results` does.

    python scripts/write_results.py [--records results/runs]

A record is a file RECORDS/TASK/NAME.json (`ptv2 table RUNS --keep RECORDS`). From these come the tables, comparisons
and figures of the commands in RECORDS/commands.txt, RECORDS/TASK.md for every task that has records, and
RECORDS/shares.{png,svg,csv}, the figure of scores against trained parameters, and RECORDS/scale.{png,svg,csv}, that of
the gap to fine-tuning against the size of the backbone. Equal records give equal bytes.
The figures leave out the runs by which a comparison beside RECORDS (compare-*.json) chose its settings, and those of
the figures of STUDIES (figures/ there) that no table has, which try many settings of one method. The figure of the gap
leaves out tasks that show nothing with so small a backbone and so few examples.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from ptv2.commands.reproduce import reproduce
from ptv2.config.methods import BASELINE
from ptv2.errors import Ptv2Error
from ptv2.files import write_text_whole
from ptv2.report import tables
from ptv2.report.formats import count_of
from ptv2.report.kept import read_records
from ptv2.report.plots import Level
from ptv2.report.points import read_points
from ptv2.report.shares import shares_of, write_shares
from ptv2.reproduce.compare.make import compare
from ptv2.reproduce.compare.options import read_compare_settings
from ptv2.reproduce.figure.files import write_figure
from ptv2.reproduce.figure.scale import label_gaps, paper_gaps, recorded_gaps
from ptv2.reproduce.figure.spec import read_figure
from ptv2.reproduce.jobs.recorded import open_records
from ptv2.reproduce.options import read_settings
from ptv2.reproduce.with_records import use_records
from ptv2.run_folders.record import Result

ROOT = Path(__file__).parents[1]
COMMANDS = "commands.txt"  # of the tables and figures that the records make
METHODS = 4  # fewest of a task in the figure of shares
UNTELLING = ("boolq", "cb", "copa", "multirc", "record", "wic", "wsc")  # tasks whose gaps are chance: results/README.md
STUDIES = ("batches", "changes", "depth", "epochs", "length")  # figures that try many settings of one method
BORROWING = ("depth", "length")  # those whose horizontal lines are runs of other pages


def write_pages(records: Path) -> list[Path]:
    """Write the tables and figures whose commands stand in RECORDS/commands.txt, beside RECORDS; return their files.

    Raises:
        RunError: a record is damaged, or a figure has none.
        ConfigError: a command is wrong.
    """
    path = records / COMMANDS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    commands = [line for line in lines if line.strip() and not line.startswith("#")]
    printed = StringIO()
    if commands:
        with open_records(records) as recorded:
            for command in commands:
                name, *words = [*shlex.split(command), f"results={records.parent}", f"records={records}"]
                with redirect_stdout(printed), redirect_stderr(StringIO()):
                    if name == "compare":
                        compare(use_records(read_compare_settings(words), recorded))
                    else:
                        reproduce(use_records(read_settings(words), recorded))
    return [Path(line) for line in printed.getvalue().splitlines() if line.startswith(f"{records.parent}/")]


def page(task: str, results: list[Result]) -> str:
    """The tables of a task's records: a section for each set that all have scores on."""
    splits = [split for split in ("dev", "test", "test-brown") if all(split in r.splits for r in results)]
    lines = [
        f"# Records of {task}",
        "",
        f"Made by `make results` from {count_of(len(results), 'record')} in `{task}/`.",
    ]
    for split in splits:
        lines += ["", f"## {split}", "", tables.markdown(tables.rows(results, split), split).rstrip("\n")]
    return "\n".join(lines) + "\n"


def trial_seeds(folder: Path) -> set[tuple[str, int]]:
    """The tasks, each with the seed of its trials, of the comparisons in a folder."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("compare-*.json"))]
    return {(search["task"], tree["trial_seed"]) for tree in files for search in tree["searches"]}


def studied_runs(folder: Path) -> set[str]:
    """The names of the runs of the figures STUDIES, by their files in FOLDER/figures, but for those of a table too."""
    studied = {
        point.run
        for figure in STUDIES
        for path in (folder / "figures").glob(f"{figure}-*.csv")
        for point in read_points(path)
        if point.x or figure not in BORROWING
    }
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("table*.json"))]
    return studied - {run for table in files for number in table["numbers"] for run in number["runs"]}


def draw_scale(results: list[Result], stem: Path) -> list[Path]:
    """Draw deep prompts' gap to fine-tuning for every task, also those of one backbone, beside the paper's."""
    gaps, points = recorded_gaps(results, "p-tuning-v2")
    if not points:
        return []
    spec = read_figure("scale", [], None)
    paper, _ = paper_gaps(gaps, points)
    words = label_gaps(gaps, points, spec.title, spec.x.label, paper)
    return write_figure(points, words, spec.x.drawn, stem, [Level(BASELINE, (0.0,))], paper)


def main() -> int:
    """Write all pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=Path, default=ROOT / "results" / "runs", help="default: results/runs")
    options = parser.parse_args()
    try:
        for path in write_pages(options.records):
            print(path)
        tasks = {folder.name: read_records(folder.glob("*.json")) for folder in sorted(options.records.glob("*/"))}
        for task, results in tasks.items():
            if results:
                path = options.records / f"{task}.md"
                write_text_whole(path, page(task, results))
                print(path)
        chose, studied = trial_seeds(options.records.parent), studied_runs(options.records.parent)
        every = (result for results in tasks.values() for result in results if result.name not in studied)
        drawn = [result for result in every if (result.task, result.seed) not in chose]
        if panels := shares_of(drawn, METHODS):
            for path in write_shares(panels, options.records / "shares"):
                print(path)
        for path in draw_scale([r for r in drawn if r.task not in UNTELLING], options.records / "scale"):
            print(path)
        if not any(tasks.values()):
            print(f"no records in {options.records}")
    except Ptv2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
