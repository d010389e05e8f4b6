"""The peak memory in a run's record is its own, or is not there."""

from __future__ import annotations

from pathlib import Path

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
