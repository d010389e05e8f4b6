"""Making runs: found, continued, waited for, stopped; children here are short scripts and not trainings."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commandline import python
from filelock import FileLock
from records import result

from ptv2.config.compose import compose
from ptv2.errors import Interrupted
from ptv2.reproduce.jobs import execute
from ptv2.reproduce.jobs.children import error_of, usable_cores
from ptv2.reproduce.jobs.list_jobs import Cell, Job
from ptv2.run_folders.record import write_result

START = (
    "import sys, time, signal, pathlib; folder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True, exist_ok=True); "
)
FINISH = START + "(folder / 'config.yaml').touch(); (folder / 'result.json').write_text(sys.argv[2])"
FAIL = "import sys; print('Traceback'); print('ptv2: error: the loss is not finite', file=sys.stderr); sys.exit(1)"
CRASH = "print('something'); raise ValueError('odd')"
KILLED = "import os; os.kill(os.getpid(), 9)"
CONFIG = compose(["model=tiny", "task=mini-inference"])
Scripts = dict[str, str]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripts]:
    """What the runs of a cell do, by the cell's name."""
    found: Scripts = {}

    def command(jobs: Sequence[Job]) -> list[str]:
        (job,) = jobs
        text = json.dumps(asdict(result("p-tuning-v2", job.seed, 80.0)))
        return [sys.executable, "-S", "-c", found[job.cell.key[0]], str(job.folder), text]

    monkeypatch.setattr(execute, "command", command)
    return found


def job(tmp_path: Path, name: str, seed: int = 1, why: str | None = None, folder: str = "") -> Job:
    return Job(Cell((name,), (f"a={name}",)), seed, (), CONFIG, tmp_path / "runs" / (folder or f"{name}-{seed}"), why)


def states(outcomes: list[execute.JobStatus]) -> list[tuple[str, str]]:
    return [(outcome.state, outcome.message) for outcome in outcomes]


def test_a_failing_run_stops_no_other_and_is_tried_again(
    tmp_path: Path, scripts: Scripts, capfd: pytest.CaptureFixture[str]
) -> None:
    scripts |= {"good": FINISH, "bad": FAIL, "odd": CRASH, "killed": KILLED}
    jobs = [job(tmp_path, name) for name in ("bad", "odd", "killed", "good")]
    found = execute.execute(jobs, 1, "a table")
    assert [outcome.state for outcome in found] == ["failed"] * 3 + ["finished"]
    assert found[0].message == "the loss is not finite"
    assert found[1].message.startswith("ValueError: odd (")
    assert "Traceback" in Path(found[1].message.split("(")[1].rstrip(")")).read_text(), (
        "the rest is in the log it names"
    )
    assert found[2].message == "killed by SIGKILL (memory that ran out?)"
    assert found[3].result is not None
    said = capfd.readouterr().err
    assert "a table: 4 runs to make" in said
    assert "failed  bad seed 1  the loss is not finite" in said
    scripts |= {"good": FAIL, "bad": FINISH, "odd": FINISH, "killed": FINISH}
    assert [outcome.state for outcome in execute.execute(jobs, 1, "a table")] == ["finished"] * 4
    assert "3 runs to make" in capfd.readouterr().err


def test_what_cannot_be_run_is_not_and_what_is_done_is_not_repeated(tmp_path: Path, scripts: Scripts) -> None:
    scripts |= {"good": FINISH, "large": FINISH}
    jobs = [job(tmp_path, "good"), job(tmp_path, "large", why="too large: needs 40 GiB")]
    assert states(execute.collect(jobs)) == [("missing", "not run yet"), ("impossible", "too large: needs 40 GiB")]
    assert states(execute.execute(jobs, 1, "a table")) == [("finished", ""), ("impossible", "too large: needs 40 GiB")]
    assert not (tmp_path / "runs" / "large-1").exists()
    execute.execute([job(tmp_path, "large")], 1, "elsewhere")
    assert states(execute.execute(jobs, 1, "a table"))[1] == ("finished", ""), "a result that is there counts"


def test_a_run_with_an_altered_file_is_made_again(tmp_path: Path, scripts: Scripts) -> None:
    scripts |= {"good": FINISH}
    one = job(tmp_path, "good")
    assert one.folder is not None
    one.folder.mkdir(parents=True)
    (one.folder / "config.yaml").touch()
    (one.folder / "metrics.jsonl").write_text("1")
    write_result(one.folder, result("p-tuning-v2", 1, 70.0))
    assert states(execute.collect([one])) == [("finished", "")]
    (one.folder / "metrics.jsonl").write_text("2")
    (found,) = execute.collect([one])
    assert (found.state, found.message.partition(" (")[0]) == ("failed", "metrics.jsonl: damaged")
    (found,) = execute.execute([one], 1, "a table")
    assert found.result is not None
    assert found.result.dev["accuracy"] == 80


def test_cells_that_share_a_run_make_it_once(tmp_path: Path, scripts: Scripts) -> None:
    count = "(folder / 'count').open('a').write('x'); "
    scripts |= {name: FINISH.replace("(folder / 'config.yaml')", count + "(folder / 'config.yaml')") for name in "ab"}
    found = execute.execute([job(tmp_path, name, folder="same") for name in "ab"], 2, "a table")
    assert [outcome.state for outcome in found] == ["finished"] * 2
    assert found[0].result == found[1].result
    assert (tmp_path / "runs" / "same" / "count").read_text() == "x"


def test_seeds_come_one_after_the_other(tmp_path: Path, scripts: Scripts, capfd: pytest.CaptureFixture[str]) -> None:
    scripts |= {"a": FINISH, "b": FINISH}
    execute.execute([job(tmp_path, name, seed) for name in "ab" for seed in (7, 3)], 1, "a table")
    lines = [line for line in capfd.readouterr().err.splitlines() if "/4" in line]
    assert [line.split("  ")[1] for line in lines] == ["a seed 7", "b seed 7", "a seed 3", "b seed 3"]


def test_runs_go_side_by_side(tmp_path: Path, scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends only when it has seen the other's folder."""
    other = "import os; path = folder.parent / ('a-1' if folder.name == 'b-1' else 'b-1'); "
    wait = (
        "\nwhile not path.exists(): time.sleep(0.01)\n(folder / 'threads').write_text(os.environ['OMP_NUM_THREADS'])\n"
    )
    scripts |= dict.fromkeys("ab", START + other + wait + FINISH)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(2, 9)), raising=False)  # of some more
    found = execute.execute([job(tmp_path, name) for name in "ab"], 2, "a table")
    assert [outcome.state for outcome in found] == ["finished"] * 2
    threads = (tmp_path / "runs" / "a-1" / "threads").read_text()
    assert threads == "3", "they share the seven cores that are theirs"


def test_cores_are_counted_also_where_none_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert usable_cores() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_a_run_of_another_process_is_waited_for(tmp_path: Path, scripts: Scripts) -> None:
    scripts |= {"theirs": FAIL, "ours": FINISH}
    folder = tmp_path / "runs" / "theirs-1"
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "status.json").write_text('{"state": "running"}')

    def train() -> None:
        with FileLock(folder / ".lock"):
            held.set()
            while not (tmp_path / "runs" / "ours-1" / "result.json").exists():
                time.sleep(0.01)
            (folder / "result.json").write_text(json.dumps(asdict(result("fine-tuning", 1, 70.0))))

    held = threading.Event()
    other = threading.Thread(target=train)
    other.start()
    held.wait()
    found = execute.execute([job(tmp_path, name) for name in ("theirs", "ours")], 1, "a table")
    other.join()
    assert states(found) == [("finished", "")] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_children_at_their_next_step(tmp_path: Path, scripts: Scripts, number: int) -> None:
    saves = "signal.signal(signal.SIGTERM, lambda *_: ((folder / 'saved').touch(), sys.exit(143))); "
    scripts |= {"long": START + saves + "(folder / 'began').touch(); time.sleep(60)", "next": FINISH}
    jobs = [job(tmp_path, name) for name in ("long", "next")]
    threading.Thread(target=when, args=(jobs[0].folder / "began", lambda: os.kill(os.getpid(), number))).start()  # type: ignore[operator]
    with pytest.raises(Interrupted, match="the same command goes on") as stopped:
        execute.execute(jobs, 1, "a table")
    assert stopped.value.exit_code == 128 + number
    assert (tmp_path / "runs" / "long-1" / "saved").exists()
    assert states(execute.collect(jobs))[1] == ("missing", "not run yet")
    scripts["long"] = FINISH
    assert states(execute.execute(jobs, 1, "a table")) == [("finished", "")] * 2


HASTY = """
import sys, pathlib
from ptv2.reproduce.jobs.children import Task, make_all
class One(Task):
    is_taken = False
    def begin(self):
        return [sys.executable, "-S", "-c", sys.argv[1], sys.argv[2]], pathlib.Path(sys.argv[2] + ".log")
    def look(self, child, *, ended):
        pass
make_all([One()], 1, 10)  # seconds between two looks, which a signal just before a sleep does not cut short
"""
PATIENT = """
import sys, time, signal, pathlib
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
def stop(number, frame):
    signal.signal(number, signal.SIG_DFL)
    (folder / "asked").touch()
    time.sleep(5)  # longer than a busy machine takes to send the second signal
    (folder / "saved").touch()
    sys.exit()
signal.signal(signal.SIGTERM, stop)
(folder / "began").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_two_signals_at_once_leave_no_child_behind(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "run"
    with python("-c", HASTY, PATIENT, str(folder)) as parent:
        when(folder / "began", lambda: parent.send_signal(number))
        when(folder / "asked", lambda: parent.send_signal(number))
        assert parent.wait(30) == -number
    when(folder / "saved", lambda: None)


def when(path: Path, act: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    act()


@pytest.mark.parametrize(
    ("code", "said"), [(-9, "killed by SIGKILL (memory"), (-35, "killed by signal 35"), (7, "exit code 7")]
)
def test_a_child_that_says_nothing_is_described_by_its_end(code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    child: Any = SimpleNamespace(process=SimpleNamespace(returncode=code), log=tmp_path / "log")
    assert str(error_of(child)).startswith(said)
