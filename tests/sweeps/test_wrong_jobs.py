"""What a sweep says of jobs with wrong settings, before the first of them begins."""

from pathlib import Path

from commandline import run, train_words, write_sentences

from ptv2.sweeps.outcomes import Outcome, faults, repeats


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


def test_a_fault_of_several_jobs_is_said_once(tmp_path: Path) -> None:
    rows = [f'{{"sentence": "the {n}th of them", "label": "{"ab"[n % 2]}"}}' for n in range(4)]
    (tmp_path / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    words = ["task=classification", "task.name=mine", f"data.dir={tmp_path}", "model=tiny", "data.folds=5"]
    done = run(["train", *words, f"out={tmp_path / 'runs'}"], tmp_path)
    assert done.code == 1
    why = "data.folds=5: only 4 examples; expected no more folds than these"
    for printed in (done.out, done.err):
        assert " ".join(printed.split()).count(why) == 1
        assert printed.count("as job 0") == 4


def test_what_failed_otherwise_or_did_not_fail_stands_in_full() -> None:
    ended = [("failed", "no file"), ("finished", "dev f1 80"), ("finished", "dev f1 80"), ("failed", "no disk")]
    known = [Outcome(job, [], state, why) for job, (state, why) in enumerate([*ended, *ended])]
    assert repeats(faults(known)) == {4: 0, 7: 3}
    assert repeats([(0, ""), (1, "")]) == {}
