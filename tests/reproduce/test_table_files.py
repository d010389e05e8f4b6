"""From outcomes to files: marks, reasons, and the paper's layout, on runs that nobody made."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import result

from ptv2.config.compose import compose
from ptv2.reproduce.jobs.execute import JobStatus
from ptv2.reproduce.jobs.list_jobs import Cell, Job
from ptv2.reproduce.options import Options, read_settings
from ptv2.reproduce.table.as_csv import as_records, comma_separated
from ptv2.reproduce.table.as_latex import FIT, latex
from ptv2.reproduce.table.as_markdown import markdown
from ptv2.reproduce.table.cells import TableRequest, read_table_request
from ptv2.reproduce.table.entries import Entry, entries
from ptv2.reproduce.table.layout import Document, lay_out
from ptv2.reproduce.table.make import write_table

SEEDS = (1, 2, 3)
CONFIG = compose(["model=tiny", "task=mini-inference"])
Scores = dict[int, float]
Asked = dict[tuple[str, str, str], Scores | str]


def request_of(*words: str) -> tuple[TableRequest, Options]:
    options = read_settings(
        ["table=2", "rows=bert-large", "columns=rte,boolq,cb", f"seeds={SEEDS[0]}-{SEEDS[-1]}", *words]
    )
    return read_table_request(options), options


def outcomes(request: TableRequest, scores: Asked, folder: Path) -> dict[tuple[str, ...], list[JobStatus]]:
    """What became of each place: scores by seed, or why there are none."""
    return {
        place.key: list(_outcomes(place.key, scores.get(place.key, "not available: x"), folder))
        for place in request.positions
    }


def _outcomes(key: tuple[str, str, str], found: Scores | str, folder: Path) -> Iterable[JobStatus]:
    cell = Cell(key, ())
    for seed in SEEDS:
        if isinstance(found, str):
            yield JobStatus(Job(cell, seed, (), CONFIG, None, found), "impossible", None, found)
            continue
        own = folder / "-".join((*key, str(seed)))
        job = Job(cell, seed, (), CONFIG, own, None)
        if seed not in found:
            yield JobStatus(job, "failed", None, "the loss is not finite at step 7")
            continue
        made = result(key[2], seed, found[seed])
        own.mkdir(parents=True)
        right = [float(i < round(found[seed])) for i in range(100)]
        tree = {"unit": "example", "scores": {"accuracy": [[right, [1.0] * 100]]}}
        (own / "fractions-dev.json").write_text(json.dumps(tree), encoding="utf-8")
        yield JobStatus(job, "finished", made, "")


FT, PT, PT2 = "fine-tuning", "prompt-tuning", "p-tuning-v2"
FOUND: Asked = {
    ("bert-large", "rte", FT): {1: 70.0, 2: 71.0, 3: 72.0},
    ("bert-large", "rte", PT): {1: 55.0, 2: 54.0},
    ("bert-large", "rte", PT2): {1: 70.1, 2: 71.2, 3: 72.1},
    ("bert-large", "boolq", FT): {1: 77.0, 2: 77.0, 3: 78.0},
    ("bert-large", "boolq", PT): "no data: it is not there",
    ("bert-large", "boolq", PT2): "too large: needs 40.0 GiB, this machine has 24",
}


@pytest.fixture
def made(tmp_path: Path) -> tuple[TableRequest, Options, list[Entry], Document]:
    request, options = request_of()
    found = entries(request, outcomes(request, FOUND, tmp_path), options.margin)
    return request, options, found, lay_out(request, found, options)


def entry(found: list[Entry], column: str, method: str) -> Entry:
    (one,) = [e for e in found if (e.position.column.name, e.position.method.name) == (column, method)]
    return one


def test_the_layout_is_the_papers(made: tuple[TableRequest, Options, list[Entry], Document]) -> None:
    (grid,) = made[3].grids
    assert grid.spans == (("BoolQ", 3), ("CB", 3), ("RTE", 3))
    assert grid.methods == ("FT", "PT", "PT-2") * 3
    lines = {line.what: line.cells for line in grid.lines}
    none = ("not available",) * 3
    assert lines["ours"] == (
        "77.3 ± 0.6",
        "no data",
        "too large",
        *none,
        "71.0 ± 1.0",
        "54.5 ± 0.7 (2/3)",
        "71.1 ± 1.0",
    )
    assert lines["− FT"] == ("", "", "", "", "", "", "", "-16.0*", "+0.1≈")
    assert lines["paper"] == ("77.7", "67.2", "75.8", "94.6†", "80.4†", "94.6†", "70.4†", "53.5†", "78.3†")
    assert lines["ours − paper"] == ("-0.4", "", "", "", "", "", "+0.6", "+1.0", "-7.2")


def test_many_columns_stand_in_several_grids() -> None:
    options = read_settings(["table=3", "rows=roberta-large"])
    request = read_table_request(options)
    nothing = {place.key: list(_outcomes(place.key, "no data: x", Path())) for place in request.positions}
    document = lay_out(request, entries(request, nothing, 1.0), options)
    assert [[label for label, _ in grid.spans] for grid in document.grids] == [
        ["CoNLL03", "OntoNotes", "CoNLL04"],
        ["SQuAD 1.1 EM", "SQuAD 1.1 F1", "SQuAD 2.0 EM"],
        ["SQuAD 2.0 F1"],
        ["CoNLL12", "CoNLL05 WSJ", "CoNLL05 Brown"],
    ]
    assert all(len(line.cells) == len(grid.methods) for grid in document.grids for line in grid.lines)


def test_a_seed_that_failed_is_named_and_its_pair_left_out(
    made: tuple[TableRequest, Options, list[Entry], Document],
) -> None:
    one = entry(made[2], "rte", PT)
    assert (one.values, one.asked, one.word) == ({1: 55.0, 2: 54.0}, 3, "failed")
    assert one.comparison is not None
    assert (one.comparison.seeds, one.comparison.difference) == ((1, 2), pytest.approx(-16.0))
    assert "failed: the loss is not finite at step 7: BERT-large RTE (PT)." in made[3].notes


def test_numbers_no_better_than_one_answer_to_everything_are_named(tmp_path: Path) -> None:
    request, options = request_of()
    statuses = outcomes(request, FOUND, tmp_path)
    always = {"answer": "yes", "metric": "accuracy", "score": 71.0}
    for group in statuses.values():
        for status in filter(lambda one: one.result is not None, group):
            status.result.data["overview"] = {"splits": {"dev": {"always": always}}}  # type: ignore[union-attr]
    said = lay_out(request, entries(request, statuses, options.margin), options).notes
    start = "Not above the best single answer to everything, whose score stands in brackets: "
    assert [note for note in said if note.startswith(start)] == [f"{start}BERT-large RTE (FT, PT) (71.0)."]


def test_no_place_is_empty(made: tuple[TableRequest, Options, list[Entry], Document]) -> None:
    for grid in made[3].grids:
        assert all(cell for line in grid.lines if line.what == "ours" for cell in line.cells)
    said = "\n".join(made[3].notes)
    assert "no data: it is not there: BERT-large BoolQ (PT)." in said
    assert "too large: needs 40.0 GiB, this machine has 24: BERT-large BoolQ (PT-2)." in said
    assert "not available: x: BERT-large CB." in said, "all methods: the column's name alone"


def test_the_caption_says_how_numbers_were_chosen_and_tested(
    made: tuple[TableRequest, Options, list[Entry], Document],
) -> None:
    caption = made[3].caption
    assert "On development sets the best epoch's score" in caption
    assert "within 1 point (p < 0.05, two one-sided t-tests" in caption
    assert "† a number of the paper that was not seen again" in caption
    assert "test sets" not in caption
    assert entry(made[2], "rte", FT).last_mean == pytest.approx(70.0)


def test_another_margin_is_another_verdict(tmp_path: Path) -> None:
    request, options = request_of("margin=0.05")
    found = entries(request, outcomes(request, FOUND, tmp_path), options.margin)
    comparison = entry(found, "rte", PT2).comparison
    assert comparison is not None
    assert not comparison.equivalent
    document = lay_out(request, found, options)
    assert "within 0.05 points" in document.caption
    assert document.notes[0].endswith(" margin=0.05"), "the command makes this very table"


def test_runs_scored_on_other_data_are_not_resampled_together(tmp_path: Path) -> None:
    request, options = request_of()
    found = outcomes(request, FOUND, tmp_path)
    ours = found["bert-large", "rte", PT2]
    data = {**ours[0].result.data, "fingerprint": "other"}  # type: ignore[union-attr]
    found["bert-large", "rte", PT2] = [replace(ours[0], result=replace(ours[0].result, data=data)), *ours[1:]]  # type: ignore[type-var]
    comparison = entry(entries(request, found, options.margin), "rte", PT2).comparison
    assert comparison is not None
    assert comparison.bootstrap is None
    assert comparison.p is not None


def test_a_run_without_the_score_says_so(tmp_path: Path) -> None:
    request, options = request_of()
    request.columns[0] = request.columns[0].model_copy(update={"split": "test"})
    found = entries(request, outcomes(request, FOUND, tmp_path), options.margin)
    one = entry(found, request.columns[0].name, FT)
    assert one.reasons == ("not available: its runs have no accuracy on test",)
    assert one.word == "not available"


def test_a_seed_without_the_score_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    request, options = request_of()
    found = outcomes(request, FOUND, tmp_path)
    first, second, third = found["bert-large", "rte", PT2]
    assert second.result is not None
    found["bert-large", "rte", PT2] = [first, replace(second, result=replace(second.result, dev={"f1": 50.0})), third]
    assert second.job.folder is not None
    (second.job.folder / "fractions-dev.json").unlink()
    table = entries(request, found, options.margin)
    one = entry(table, "rte", PT2)
    assert (one.values, one.asked, one.word) == ({1: 70.1, 3: 72.1}, 3, "not available")
    assert one.reasons == ("not available: no accuracy on dev for seed 2",)
    assert one.comparison is not None
    assert one.comparison.seeds == (1, 3)
    assert one.comparison.bootstrap is not None, "over the seeds that have the score"
    notes = lay_out(request, table, options).notes
    assert "not available: no accuracy on dev for seed 2: BERT-large RTE (PT-2)." in notes


def test_memory_that_was_not_measured_is_left_out(tmp_path: Path) -> None:
    """As of runs that were made in one process with others before them: that of the first stands, if there is one."""
    request, options = request_of()
    found = outcomes(request, FOUND, tmp_path)
    later = {"peak": None, "before_training": None, "what": "not measured: trainings before it in the same process: 1"}
    for method, first in ((FT, 1), (PT2, 0)):
        runs = found["bert-large", "rte", method]
        made_later = [replace(run, result=replace(run.result, memory=later)) for run in runs[first:] if run.result]
        found["bert-large", "rte", method] = [*runs[:first], *made_later]
    table = entries(request, found, options.margin)
    document = lay_out(request, table, options)
    cells = {(row[1], row[2]): row[document.header.index("memory MiB")] for row in document.details}
    assert (cells["RTE", "FT"], cells["RTE", "PT"], cells["RTE", "PT-2"]) == ("1", "1", "")
    assert any(
        note.endswith("left out of runs that were not the first training of their process.") for note in document.notes
    )
    rows = {
        (row["column"], row["method"]): row
        for row in csv.DictReader(io.StringIO(comma_separated(as_records(table, str))))
    }
    assert rows["rte", FT]["memory_bytes"] == str(2**20)
    assert rows["rte", PT2]["memory_bytes"] == ""


def test_markdown_is_one_table_a_grid(made: tuple[TableRequest, Options, list[Entry], Document]) -> None:
    text = markdown(made[3])
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2, "the grid, and the comparisons and costs"
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1, "as many cells in each line"
    assert tables[0][2].startswith("| BERT-large | ours | 77.3 ± 0.6 | no data | too large |")


def test_latex_is_well_formed(made: tuple[TableRequest, Options, list[Entry], Document]) -> None:
    whole = "\n".join(line for line in latex(made[3]).splitlines() if not line.startswith("%"))
    text = whole.replace(f"{FIT}\n", "").replace("\\end{tabular}}", "\\end{tabular}")
    begun, ended = (re.findall(rf"\\{word}{{([a-z*]+)}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert text.count("{") == text.count("}")
    assert not re.findall(r"(?<!\\)[%#_]", re.sub(r"\\label{[^}]*}", "", text))
    assert "±" not in text, "characters that a plain engine lacks are commands"
    assert "−" not in text
    assert whole.count("\\resizebox") == text.count("\\begin{tabular}") == 2, "nothing is wider than the page"
    for tabular in re.findall(r"\\begin{tabular}{([lr]+)}(.*?)\\end{tabular}", text, re.DOTALL):
        columns, body = tabular
        for line in body.splitlines():
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn{(\d+)}", line))
            if line.endswith("\\\\"):
                assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == len(columns), line
    assert "70.4$^\\dagger$" in text
    assert "$-$16.0$^*$" in text


def test_latex_compiles(made: tuple[TableRequest, Options, list[Entry], Document], tmp_path: Path) -> None:
    engine = shutil.which("pdflatex")
    if engine is None:
        pytest.skip("needs pdflatex")
    start = "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "all.tex").write_text(f"{start}{latex(made[3])}\\end{{document}}\n", encoding="utf-8")
    words = [engine, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_csv_and_json_have_every_number(
    made: tuple[TableRequest, Options, list[Entry], Document], tmp_path: Path
) -> None:
    request, _, found, document = made
    records = as_records(found, str)
    lines = list(csv.DictReader(io.StringIO(comma_separated(records))))
    assert len(lines) == len(found) == 9
    (line,) = [one for one in lines if (one["column"], one["method"]) == ("rte", PT2)]
    assert (line["mean"], line["seeds"], line["values"]) == ("71.1333", "3", "1:70.1 2:71.2 3:72.1")
    assert (line["paper"], line["cross_checked"], line["ours_less_paper"]) == ("78.3", "False", "-7.1667")
    (line,) = [one for one in lines if (one["column"], one["method"]) == ("rte", PT)]
    assert -30 < float(line["bootstrap_low"]) < -16 < float(line["bootstrap_high"]) < 0
    (missing,) = [one for one in lines if (one["column"], one["method"]) == ("boolq", PT)]
    assert (missing["mean"], missing["why_missing"]) == ("", "no data: it is not there")
    where = Options(table="2", results=tmp_path / "results")
    paths = write_table(request, document, found, where)
    assert [path.name for path in paths] == [
        f"table2-bert-large-boolq-cb-rte.{e}" for e in ("md", "csv", "tex", "json")
    ]
    tree = json.loads(paths[3].read_text(encoding="utf-8"))
    assert len(tree["numbers"]) == 9
    (number,) = [one for one in tree["numbers"] if (one["column"], one["method"]) == ("rte", PT2)]
    assert number["against"]["common_seeds"] == [1, 2, 3]
    assert number["against"]["bootstrap_units"] == 100
    assert number["cost"]["trained_percent"] == 1.0
    assert len(number["runs"]) == 3


def test_the_same_runs_give_the_same_files(tmp_path: Path) -> None:
    texts: list[Any] = []
    for name in ("one", "two"):
        request, options = request_of()
        found = entries(request, outcomes(request, FOUND, tmp_path / name), options.margin)
        texts.append([markdown(lay_out(request, found, options)), comma_separated(as_records(found, str))])
    assert texts[0] == texts[1]


def test_where_its_runs_were_made_is_said_once(tmp_path: Path) -> None:
    request, options = request_of()
    found = outcomes(request, FOUND, tmp_path)
    for number, folder in enumerate(sorted(path.parent for path in tmp_path.rglob("fractions-dev.json"))):
        made = {"python": "3.11.7", "packages": {"ptv2": "0.1.0", "torch": "2.13.0", "evaluate": None}, "cores": 2}
        made |= {"system": "Linux", "processor": "CPU 9", "threads": 1, "memory_gib": 8, "gpus": [], "git": "abc"}
        (folder / "env.json").write_text(json.dumps({**made, "git": "def"} if number == 3 else made))
    lines = markdown(lay_out(request, entries(request, found, options.margin), options)).splitlines()
    (line,) = (line for line in lines if line.startswith("- Made with"))
    place = (
        "CPU 9, 2 cores (1 used by a run), 8 GiB, no GPU; Linux, Python 3.11.7, torch 2.13.0, ptv2 0.1.0 at abc, def"
    )
    assert line == f"- Made with {place}."


def test_no_place_of_this_machine_is_in_a_table(tmp_path: Path) -> None:
    options = read_settings(["table=2", "rows=bert-large", "columns=rte", f"data={tmp_path}", "model.revision=x"])
    request = read_table_request(options)
    reason = f"no data: {tmp_path}/superglue/RTE/train.jsonl:3: expected UTF-8 text"
    found = entries(request, {p.key: list(_outcomes(p.key, reason, tmp_path)) for p in request.positions}, 1.0)
    text = markdown(lay_out(request, found, options)) + str(as_records(found, str))
    assert str(tmp_path) not in markdown(lay_out(request, found, options))
    assert "no data: DIR/superglue/RTE/train.jsonl:3" in text
    assert "ptv2 reproduce table=2 data=DIR rows=bert-large columns=rte seeds=1,2,3,4,5 model.revision=x" in text
