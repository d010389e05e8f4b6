"""What a sweep says of jobs with wrong settings, before the first of them begins."""

from pathlib import Path

from commandline import run, train_words, write_sentences


def test_a_sweep_says_first_which_of_its_jobs_will_fail(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data", 8, 4, 4)
    words = [*train_words(data, tmp_path / "out"), "trainer.max_steps=1", "prompt.length=4,no", "seed=1,-2", "-m"]
    done = run(words, tmp_path)
    lines = done.err.splitlines()
    assert done.code == 1
    assert lines[0] == "warning: 3 of 4 jobs will fail"
    assert lines[1].startswith("  job 1: seed=-2: expected")
    assert lines[2] == "  job 2: prompt.length='no': expected a whole number"
    assert lines[3].startswith("  job 3: prompt.length='no': expected a whole number; seed=-2: expected")
    assert lines[4].startswith("job 0  ")
    assert len(list((tmp_path / "out").glob("*/result.json"))) == 1


def test_nothing_is_foretold_where_all_fail_at_once(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data", 8, 4, 4)
    done = run([*train_words(data, tmp_path / "out"), "prompt.length=no,0", "-m"], tmp_path)
    assert done.code == 1
    assert "will fail" not in done.err
    assert "failed  prompt.length='no': expected a whole number" in done.err
