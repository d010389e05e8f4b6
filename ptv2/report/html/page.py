"""The page: tables as HTML, everything else as JSON that its script draws when it is asked for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ptv2 import __version__
from ptv2.config.methods import METHODS
from ptv2.report import tables
from ptv2.report.html.details import all_details
from ptv2.report.html.shown import Shown

HERE = Path(__file__).parent
SCRIPTS = ("charts.js", "page.js")


def render(runs: Sequence[Shown], figures: Sequence[Path] = (), title: str = "ptv2 report") -> str:
    """The page's text.

    Args:
        figures: SVG files, shown as they are (as images: their scripts do not run, and they load nothing).
    """
    results = [run.result for run in runs if run.counted and run.result]
    places = {run.name: index for index, run in enumerate(runs)}
    splits = [_split(split, results, places) for split in _splits(results)]
    settings = {
        name: row["lines"][0]["settings"] for split in splits[:1] for row in split["rows"] for name in row["runs"]
    }
    methods = [*METHODS, *sorted({run.method for run in runs} - {*METHODS, ""})]
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    text = (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            version=__version__,
            newest=max((run.time for run in runs), default=""),
            states=_counts(run.state for run in runs),
            choices=_choices(runs, methods),
            methods=methods,
            header=tables.HEADER,
            splits=splits,
            finished=[(i, run, settings.get(run.name, "")) for i, run in enumerate(runs) if run.counted],
            unfinished=[(i, run) for i, run in enumerate(runs) if not run.counted],
            figures=[(path.stem, _image(path)) for path in figures],
            minutes=tables.minutes,
            data={
                "methods": methods,
                **all_details(runs, settings),
                "rows": {s["name"]: _points(s["rows"]) for s in splits},
            },
            style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
            script=Markup(script),
            digest=base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode(),
        )
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # names of folders need not be text


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return made


def _splits(results: Iterable[tables.Result]) -> list[str]:
    """dev, test and the further test sets, as far as a run has scores on them."""
    results = list(results)
    have = ["dev"] * bool(results) + ["test"] * any(result.test is not None for result in results)
    return have + sorted({name for result in results for name in result.tests})


def _split(split: str, results: Iterable[tables.Result], places: dict[str, int]) -> dict[str, Any]:
    """The table of one split, a row for each setting, with a line for each of its metrics."""
    made: list[dict[str, Any]] = []
    for _, group in groupby(tables.rows(results, split), key=lambda row: (row.task, row.data, row.model)):
        table = list(group)  # all that a baseline is looked for in
        lines = iter(tables.cells(table))
        for row in table:
            told = [dict(zip(tables.HEADER, next(lines), strict=True)) for _ in row.metrics]
            seeds = [
                (seed, row.metrics[row.headline][seed], places.get(name)) for seed, name in sorted(row.runs.items())
            ]
            made.append({"row": row, "lines": told, "seeds": seeds, "runs": row.runs.values()})
    footnote = " ".join([tables.footnote(split), *tables.notes([one["row"] for one in made])])
    return {"name": split, "footnote": footnote, "rows": made}


def _points(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the chart of scores draws, in the order of the table's rows."""
    return [
        {
            "task": row.task,
            "model": row.model,
            "method": row.method,
            "settings": made["lines"][0]["settings"],
            "metric": row.headline,
            "percent": row.trained_percent,
            "mean": row.mean(row.headline),
            "spread": row.spread(row.headline),
            "seeds": row.seeds,
        }
        for made in rows
        for row in [made["row"]]
    ]


def _choices(runs: Sequence[Shown], methods: Sequence[str]) -> dict[str, list[str]]:
    """What the filter offers."""
    return {
        "task": sorted({run.task for run in runs} - {""}),
        "model": sorted({run.model for run in runs} - {""}),
        "method": [method for method in methods if any(run.method == method for run in runs)],
    }


def _counts(states: Iterable[str]) -> dict[str, int]:
    found = list(states)
    return {state: found.count(state) for state in sorted(set(found), key=lambda state: (state != "finished", state))}


def _image(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
