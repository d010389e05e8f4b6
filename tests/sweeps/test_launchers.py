"""Jobs side by side in other processes: two workers of joblib and of Ray, and a job that submitit requeues."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from commandline import (
    Done,
    cache_folder,
    finish,
    holder,
    numbers,
    only_run,
    python,
    result_of,
    run,
    train_words,
    wait_until,
    write_sentences,
)

SETTINGS = ("+model.config.initializer_range=0.3", "trainer.batch_size=8")


def needs(module: str, extra: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"the extra ptv2[{extra}] is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"), 32, 16, 8)


def sweep(data: Path, out: Path, *words: str) -> tuple[Done, set[int]]:
    """A sweep of `python -m ptv2`, whose jobs have as many threads as the launcher gives them; and their processes."""
    command = [sys.executable, "-m", "ptv2", *train_words(data, out, *SETTINGS, "trainer.epochs=2"), *words, "-m"]
    command.remove("optim.lr=0.03")
    surroundings = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    surroundings["PTV2_CACHE"] = cache_folder()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings)
    processes: set[int] = set()

    def watch() -> None:
        while process.poll() is None:
            processes.update(pid for path in out.glob("*/status.json") if (pid := holder(path.parent)) is not None)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    done = finish(process)
    watcher.join()
    return done, processes


def side_by_side(out: Path, processes: set[int]) -> bool:
    """Whether two runs were made in processes of their own, with a share of the cores each."""
    folders = [path.parent for path in out.glob("*/status.json")]
    threads = [json.loads((folder / "env.json").read_text(encoding="utf-8"))["threads"] for folder in folders]
    share = max(1, (os.cpu_count() or 1) // 2)
    return len(processes) == 2 and max(threads) <= share


@needs("hydra_plugins.hydra_joblib_launcher", "joblib")
@needs("optuna", "optuna")
def test_two_workers_of_joblib_for_a_study(data: Path, tmp_path: Path) -> None:
    """As many trials side by side as joblib has workers; these report to the study from their processes."""
    out = tmp_path / "out"
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    space = ["hydra/sweeper=optuna", "hydra.sweeper.trials=2", "optim.lr=tag(log,interval(1e-3,1e-1))"]
    done, processes = sweep(data, out, *launcher, *space)
    assert done.code == 0, done.err
    assert side_by_side(out, processes)
    (journal,) = (out / ".sweeps").glob("*.journal")
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["trial_id"] for line in lines if "intermediate_value" in line) == [0, 0, 1, 1]
    best = max(result_of(path.parent)["dev"]["accuracy"] for path in out.glob("*/result.json"))
    assert re.search(rf"^best on dev: trial [01], {best:.2f}: optim.lr=", done.out, re.MULTILINE)
    assert f"ptv2 best task=classification model=tiny method=p-tuning-v2 out={out} --write DIR" in done.out


@needs("hydra_plugins.hydra_joblib_launcher", "joblib")
def test_workers_of_joblib_save_and_end_with_a_sweep_that_was_killed(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,2", "-m"]
    process = python("-m", "ptv2", *train_words(data, out, *SETTINGS, "trainer.epochs=100000"), *launcher)

    def workers() -> list[int]:
        return [pid for path in out.glob("*/metrics.jsonl") if (pid := holder(path.parent)) is not None]

    assert wait_until(lambda: len(workers()) == 2, lambda: process.poll() is None)
    pids = workers()
    process.kill()
    process.wait()
    assert wait_until(lambda: not any(map(lives, pids)), lambda: True)
    folders = [path.parent for path in out.glob("*/metrics.jsonl")]
    assert [json.loads((folder / "status.json").read_text())["state"] for folder in folders] == ["interrupted"] * 2
    assert all(list(folder.glob("state-*.safetensors")) for folder in folders)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


REFUSED = [
    ("joblib n_jobs=0", "hydra.launcher.n_jobs=0: expected a number of jobs from 1, or -1 for as many as cores"),
    ("joblib n_jobs=x", "hydra.launcher.n_jobs=x: expected a whole number; the same command with --cfg hydra shows"),
    ("joblib timeout=x", "hydra.launcher.timeout=x: expected a number; the same command with --cfg hydra shows"),
    ("joblib batch_size=nil", "the launcher cannot begin: ValueError: batch_size must be 'auto' or a positive integer"),
    (
        "slurm cpus_per_task=1",
        "hydra/launcher: srun, a command of SLURM, is not on this machine; hydra/launcher=joblib",
    ),
]


@needs("hydra_plugins.hydra_joblib_launcher", "joblib")
@needs("hydra_plugins.hydra_submitit_launcher", "submitit")
@pytest.mark.parametrize(("asked", "expected"), REFUSED)
def test_what_a_launcher_refuses_is_one_line(asked: str, expected: str, data: Path, tmp_path: Path) -> None:
    launcher, setting = asked.split()
    if launcher == "slurm" and shutil.which("srun"):
        pytest.skip("SLURM is here")
    words = [f"hydra/launcher={launcher}", f"hydra.launcher.{setting}", "seed=1,2", "-m"]
    done = run([*train_words(data, tmp_path / "out"), *words], tmp_path)
    assert (done.code, done.error.startswith(expected)) == (2, True), done.err


@needs("ray", "ray")
def test_two_workers_of_ray(data: Path, tmp_path: Path) -> None:
    """One of the jobs fails; the table has both."""
    out = tmp_path / "out"
    done, processes = sweep(data, out, "hydra/launcher=ray", "hydra.launcher.init.num_cpus=2", "optim.lr=0.03,1e30")
    assert done.code == 1, done.err
    assert side_by_side(out, processes)
    assert re.search(r"^0 .* finished +dev accuracy \d", done.out, re.MULTILINE)
    assert re.search(r"^1 .* failed +step \d", done.out, re.MULTILINE)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that no signal reached."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = run(train_words(data, out, *SETTINGS, "trainer.epochs=30"), out.parent)
    assert done.code == 0, done.err
    return only_run(out)


def preempt(data: Path, out: Path, launcher: str, number: int, **environment: str) -> Done:
    """A sweep of one job, which gets a signal after its first evaluation; it must be requeued and go on."""
    words = train_words(data, out, *SETTINGS, "trainer.epochs=30", f"hydra/launcher={launcher}", "-m")
    process = python("-m", "ptv2", *words, **environment)

    def evaluated() -> bool:
        return any('"dev"' in path.read_text(encoding="utf-8") for path in out.glob("*/metrics.jsonl"))

    assert wait_until(evaluated, lambda: process.poll() is None)
    job = holder(only_run(out))
    assert job is not None
    assert job != process.pid
    os.kill(job, number)
    done = finish(process)
    assert done.code == 0, done.err
    assert re.search(r"^0 .* finished +dev accuracy \d", done.out, re.MULTILINE)
    assert result_of(only_run(out))["runtime"]["resumed"] == 1
    return done


@needs("hydra_plugins.hydra_submitit_launcher", "submitit")
def test_a_preempted_job_is_requeued_and_ends_like_one_that_was_not(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """submitit's executor of this machine in the place of SLURM's."""
    out = tmp_path / "out"
    preempt(data, out, "submitit_local", signal.SIGUSR1)
    assert only_run(out).name == undisturbed.name
    assert numbers(only_run(out)) == numbers(undisturbed)


@pytest.mark.slow
@needs("hydra_plugins.hydra_submitit_launcher", "submitit")
def test_slurm_requeues_a_preempted_job(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    """SLURM's commands are made up, and see what submitit tells them."""
    out, slurm = tmp_path / "out", tmp_path / "slurm"
    slurm.mkdir()
    for name, text in SLURM.items():
        (slurm / name).write_text(f"#!/bin/bash\ncd {slurm}\n{text}", encoding="utf-8")
        (slurm / name).chmod(0o755)
    preempt(data, out, "slurm", signal.SIGTERM, PATH=f"{slurm}:{os.environ['PATH']}")
    assert numbers(only_run(out)) == numbers(undisturbed)
    assert (slurm / "said").read_text().splitlines() == ["show job --oneliner 7", "requeue 7"]
    script = (slurm / "script").read_text()
    assert "#SBATCH --signal=USR2@180" in script
    assert "#SBATCH --time=240" in script


SLURM = {
    "sbatch": """\
cp "${@: -1}" script
folder=$OLDPWD
export SLURM_JOB_ID=7 SLURM_JOB_NODELIST=here SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0
export SLURM_LOCALID=0
run() {
  while true; do
    rm -f requeue
    echo RUNNING > state
    (cd "$folder" && bash "$OLDPWD/script" >> "$OLDPWD/out" 2>&1)
    [ -e requeue ] || break
  done
  echo COMPLETED > state
}
echo RUNNING > state
run < /dev/null > /dev/null 2>&1 &
echo "Submitted batch job 7"
""",
    "srun": """\
cd "$OLDPWD"
while [[ "$1" == -* ]]; do
  if [[ "$1" == --output || "$1" == --error ]]; then shift; fi
  shift
done
exec "$@"
""",
    "sacct": 'printf "JobID|State|NodeList\\n7|%s|here\\n" "$(cat state)"\n',
    "scontrol": """\
echo "$@" >> said
if [ "$1" == requeue ]; then touch requeue; else echo "JobId=7 JobState=$(cat state) Reason=None"; fi
""",
}
