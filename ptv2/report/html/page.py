"""The page: tables as HTML, everything else as JSON, which the page's script draws on demand."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
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
    """Render the page.

    Args:
        figures: SVG files, shown as they are (as images: their scripts do not run, and they load nothing).
    """
    results = [run.result for run in runs if run.counted and run.result]
    numbers = {run.name: index for index, run in enumerate(runs)}
    splits = [_split(split, results, numbers) for split in _splits(results)]
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
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment


def _splits(results: Iterable[tables.Result]) -> list[str]:
    """The splits that a run has scores on: dev, test and further test sets."""
    names = {name for result in results for name in result.splits}
    return [*(name for name in ("dev", "test") if name in names), *sorted(names - {"dev", "test"})]


def _split(split: str, results: Iterable[tables.Result], numbers: dict[str, int]) -> dict[str, Any]:
    """The table of one split: one row per setting, with one line per metric; `numbers` are the runs' by name."""
    rows: list[dict[str, Any]] = []
    every = tables.rows(results, split)
    names = iter(zip(tables.tasks_of(every), tables.models_of(every), strict=True))
    for _, group in groupby(every, key=lambda row: (row.task, row.data, row.scored, row.model)):
        table = list(group)  # among these the baseline is found
        lines = iter(tables.cells(table))
        for row in table:
            named = dict(zip(("task", "model"), next(names), strict=True))
            texts = [dict(zip(tables.HEADER, next(lines), strict=True)) | named for _ in row.metrics]
            scores = row.metrics[row.headline]
            seeds = [(seed, scores[seed], numbers.get(name)) for seed, name in sorted(row.runs.items())]
            rows.append({"row": row, "lines": texts, "seeds": seeds, "runs": row.runs.values()})
    footnote = " ".join([tables.footnote(split), *tables.notes([shown["row"] for shown in rows])])
    return {"name": split, "footnote": footnote, "rows": rows}


def _points(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points of the chart of scores, in the order of the table's rows."""
    return [
        {
            "task": row.task,
            "model": row.model,
            "method": row.method,
            "settings": shown["lines"][0]["settings"],
            "metric": row.headline,
            "percent": row.trained_percent,
            "mean": row.mean(row.headline),
            "spread": row.spread(row.headline),
            "seeds": row.seeds,
        }
        for shown in rows
        for row in [shown["row"]]
    ]


def _choices(runs: Sequence[Shown], methods: Sequence[str]) -> dict[str, list[str]]:
    """The choices of the page's filter."""
    return {
        "task": sorted({run.task for run in runs} - {""}),
        "model": sorted({run.model for run in runs} - {""}),
        "method": [method for method in methods if any(run.method == method for run in runs)],
    }


def _counts(states: Iterable[str]) -> dict[str, int]:
    counts = Counter(states)
    return {state: counts[state] for state in sorted(counts, key=lambda state: (state != "finished", state))}


def _image(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
