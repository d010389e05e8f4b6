"""The peak memory in a run's record is its own, or is not there."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
from commandline import result_of, run, train_words, write_sentences


def test_later_runs_of_a_process_say_that_their_memory_is_not_known(tmp_path: Path) -> None:
    """The peak of the process would be that of the largest run before them."""
    data, out = write_sentences(tmp_path / "data"), tmp_path / "out"
    done = run([*train_words(data, out, "trainer.max_steps=1", "seed=1,2,3"), "-m"], tmp_path)
    assert done.code == 0, done.err
    memory = {result["seed"]: result["memory"] for result in map(result_of, out.glob("classification-*"))}
    assert memory[1]["what"] == "resident memory of the process"
    assert memory[1]["peak"] >= memory[1]["before_training"] > memory[1]["weights"] > 0
    for seed in (2, 3):
        assert memory[seed]["peak"] is memory[seed]["before_training"] is None
        assert memory[seed]["what"] == f"not measured: trainings before it in the same process: {seed - 1}"
        assert memory[seed]["weights"] == memory[1]["weights"]
        assert memory[seed]["what"] in done.out
    page = tmp_path / "report.html"
    for words in (["table", "--out", str(out)], ["report", "--out", str(out), "--output", str(page)]):
        done = run(words, tmp_path)
        assert done.code == 0, done.err


def fail_in_onednn() -> None:
    """Let the first forward pass fail as oneDNN does where it cannot allocate."""
    from ptv2.models.build import PromptedModel

    def forward(*inputs: object, **more: object) -> None:
        raise RuntimeError("could not create a primitive")

    PromptedModel.forward = forward  # type: ignore[method-assign, assignment]


def fail_in_onednn_with_little_memory() -> None:
    """The same, where the process may not have much more than it has."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))
    fail_in_onednn()


def test_a_fault_of_onednn_is_one_of_memory_where_that_is_short(tmp_path: Path) -> None:
    words = train_words(write_sentences(tmp_path / "data"), tmp_path / "out", "trainer.max_steps=1")
    assert "a fault of ptv2" in (fault := run(words, tmp_path, before=fail_in_onednn)).error
    short = run(words, tmp_path, before=fail_in_onednn_with_little_memory)
    assert (fault.code, short.code) == (70, 1)
    assert short.error.startswith("step 1: out of memory with 8 examples a pass")
