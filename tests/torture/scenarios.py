"""Commands that end in a second or two, and what of their results must not depend on how they got there."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commandline import Command, numbers, write_sentences

from torture import shared
from torture.frame import limit_memory

RUN = ["model=tiny", "+model.config.initializer_range=0.3", "trainer.batch_size=8", "trainer.checkpoint_minutes=0"]
RUN += ["prompt.length=4", "optim.lr=0.03"]
LIMITS = {"train": 24, "dev": 12, "test": 8}
TABLE = """\
title: Made up
seeds: [1, 2]
methods: [{name: p-tuning-v2, overrides: [prompt.length=4, optim.lr=0.03]}]
rows: [{name: tiny, overrides: [trainer.epochs=3, trainer.batch_size=8, trainer.checkpoint_minutes=0]}]
columns: [{name: made, label: Made, task: made}]
"""
TASK = """\
name: made
shape: classify
source: files
text: [sentence]
sources:
  files:
    files: {train: [train.jsonl], dev: [dev.jsonl]}
"""


Known = dict[str, tuple[float, Any]]  # by a scenario's name: its seconds and its digest where nobody disturbs it


@dataclass(frozen=True)
class Scenario:
    """A command that writes into a folder.

    Args:
        words: the command, of the folder that it writes into and of that of what all cases share.
        digest: what must be the same however it got there, of the folder.
        processes: how many work on it together.
        share: how often it is drawn, compared with others.
    """

    name: str
    words: Callable[[Path, Path], list[str]]
    digest: Callable[[Path], Any]
    processes: int = 1
    share: int = 4

    def start(self, folder: Path, common: Path, streams: Path, **settings: Any) -> list[Command]:
        """Start it; several processes as torchrun does it."""
        words = self.words(folder, common)
        settings = {"before": limit_memory, **settings}
        environment = {"PTV2_CACHE": str(common / "cache"), **settings.pop("environment", {})}
        if self.processes == 1:
            return [Command(words, streams, environment=environment, **settings)]
        size = str(self.processes)
        world = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
        ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), **world} for rank in range(self.processes)]
        return [
            Command(words, streams / f"rank{number}", environment={**environment, **rank}, **settings)
            for number, rank in enumerate(ranks)
        ]


def scenarios() -> list[Scenario]:
    """All of them; those that read finished runs need `prepare`."""
    return [
        Scenario("train", train_words, digest_runs, share=8),
        Scenario("train, fine-tuning", lambda out, common: [*train_words(out, common), *FINE], digest_runs),
        Scenario("train with two processes", train_words, digest_runs, processes=2),
        Scenario("sweep", lambda out, common: [*train_words(out, common), "seed=1,2", "-m"], digest_runs),
        Scenario("multitask", multitask_words, digest_runs),
        Scenario("multitask with two processes", multitask_words, digest_runs, processes=2, share=2),
        Scenario("reproduce", reproduce_words, digest_table, share=1),
        Scenario("export", export_words, digest_files, share=3),
        Scenario("report", report_words, digest_page, share=3),
        Scenario("table", table_words, digest_files, share=2),
        Scenario("predict", predict_words, digest_files, share=2),
    ]


FINE = ["method=fine-tuning", "optim.lr=0.002"]


def prepare(common: Path) -> None:
    """Make what the scenarios read."""
    if not (common / "data").exists():
        write_sentences(common / "data", 24, 12, 8)
    shared.finished_run(common)
    for group, text in (("table", TABLE), ("task", TASK)):
        path = common / "conf" / group / "made.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# Commands


def train_words(out: Path, common: Path) -> list[str]:
    return ["train", "task=classification", f"data.dir={common / 'data'}", *RUN, "trainer.epochs=3", f"out={out}"]


def multitask_words(out: Path, common: Path, task: str = "mini-entities") -> list[str]:
    limits = {f"data.limit.{split}": count for split, count in LIMITS.items()}
    tasks = [
        ",".join(f"{k}:{v}" for k, v in {"task": name, **limits}.items())
        for name in ("mini-entities", "mini-inference")
    ]
    own = [f"{key}={value}" for key, value in limits.items()]
    both = ["method=multitask-p-tuning-v2", f"multitask.tasks=[{{{'},{'.join(tasks)}}}]", "multitask.epochs=1"]
    more = ["multitask.lr=0.03", "multitask.batch_size=8", "trainer.epochs=2", f"out={out}"]
    return ["train", f"task={task}", *own, *both, *RUN, *more]


def reproduce_words(out: Path, common: Path) -> list[str]:
    made = out.parent / "data" / "made"  # a table looks for its tasks' folders by name
    if not made.exists():
        write_sentences(made, 24, 12, 8)
    conf = ["--config-dir", str(common / "conf")]
    return ["reproduce", "table=made", f"data={made.parent}", f"out={out}", f"results={out / 'results'}", *conf]


def export_words(out: Path, common: Path) -> list[str]:
    return ["export", str(shared.finished_run(common)), "--to", "peft", "--output", str(out)]


def report_words(out: Path, common: Path) -> list[str]:
    return ["report", "--out", str(shared.finished_run(common).parent), "--output", str(out / "report.html")]


def table_words(out: Path, common: Path) -> list[str]:
    return ["table", "--out", str(shared.finished_run(common).parent), "--output", str(out / "table.csv")]


def predict_words(out: Path, common: Path) -> list[str]:
    new = common / "sentences" / "test.jsonl"
    return ["predict", str(shared.finished_run(common)), "--input", str(new), "--output", str(out / "answers.jsonl")]


# What must be the same


def runs_below(out: Path) -> list[Path]:
    """The folders of runs, shared ones too."""
    return sorted(path.parent for path in [*out.glob("*/config.yaml"), *out.glob("shared/*/config.yaml")])


def digest_runs(out: Path) -> dict[str, Any]:
    digests = {str(folder.relative_to(out)): numbers(folder) for folder in runs_below(out)}
    for digest in digests.values():  # folders that stood where files belong were put aside
        digest["files"] = [name for name in digest["files"] if not re.fullmatch(r"\..*\.folder\d+", name)]
    return digests


def digest_files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if not path.name.startswith("command-")}


def digest_page(out: Path) -> dict[str, str]:
    """The page without the moment when it was made."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in sorted(out.iterdir())}
    return {name: re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", "TIME", text) for name, text in pages.items()}


def digest_table(out: Path) -> dict[str, Any]:
    """Runs and table, without times and memory."""
    table = json.loads(next((out / "results").glob("*.json")).read_text(encoding="utf-8"))
    cells = [{key: value for key, value in one.items() if key != "cost"} for one in table["numbers"]]
    return {
        "runs": digest_runs(out),
        "table": cells,
        "files": sorted(path.name for path in (out / "results").iterdir()),
    }


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
