"""Paths and variables of the environment that a user gets wrong: one line that names them as they were typed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
from commandline import finish, numbers, only_run, python, run, train_words, write_sentences

from ptv2.run_folders.sharing import shareable_text


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a finished run, an empty folder, and files of other kinds."""
    folder = tmp_path_factory.mktemp("there")
    assert run(train_words(write_sentences(folder / "data"), folder / "runs", "trainer.epochs=1"), folder).code == 0
    (folder / "empty").mkdir()
    for name in ("data.xyz", "no-ending", "a-file"):
        (folder / name).write_text('{"sentence": "a", "label": "good"}\n')
    return folder


ROWS = "expected a file whose name ends in .csv, .json, .jsonl, .parquet, .tsv"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("predict RUN --input missing", f"--input missing: no such file; {ROWS}"),
        ("predict RUN --input ./a//b.csv", f"--input ./a//b.csv: no such file; {ROWS}"),
        ("predict RUN --input HERE/empty", f"--input HERE/empty: a folder; {ROWS}"),
        (
            "predict RUN --input HERE/data.xyz",
            "HERE/data.xyz: unknown format '.xyz'; known: .csv, .json, .jsonl, .parquet, .tsv",
        ),
        ("predict RUN --input HERE/no-ending", "HERE/no-ending: its name has no ending that says its format; known:"),
        ("predict RUN --input=", "--input: expected a path, found nothing"),
        (
            "predict RUN --input FILE --output HERE/empty",
            "--output: HERE/empty is a folder; expected the name of a file",
        ),
        ("predict RUN --input FILE --output HERE/a-file/x", "HERE/a-file: a file is there; expected a folder"),
        ("predict RUN --input FILE --output=", "--output: expected a path, found nothing"),
        ("evaluate RUN --data-dir nowhere", "--data-dir nowhere: no such folder"),
        ("evaluate RUN --data-dir HERE/\udcff", "--data-dir: 'HERE/\\udcff' is not text in UTF-8"),
        ("evaluate RUN --data-dir HERE/a-file", "--data-dir: HERE/a-file is a file; expected a folder"),
        ("evaluate RUN --data-dir=", "--data-dir: expected a path, found nothing"),
        ("evaluate x --out HERE/a-file", "--out: HERE/a-file is a file; expected a folder"),
        ("list runs --out HERE/a-file", "--out: HERE/a-file is a file; expected a folder"),
        ("list tasks --config-dir HERE/a-file", "--config-dir: HERE/a-file is a file; expected a folder"),
        ("table HERE/a-file", "HERE/a-file: a file; expected a folder with runs"),
        ("table --out HERE/runs --output HERE/a-file/x.csv", "HERE/a-file: a file is there; expected a folder"),
        ("best task=classification model=tiny out=HERE/a-file", "HERE/a-file: a file; expected a folder with runs"),
        ("best task=classification --write HERE/a-file", "--write: HERE/a-file is a file; expected a folder"),
        ("report --figures HERE/a-file", "--figures: HERE/a-file is a file; expected a folder"),
        ("import HERE/a-file", "argument adapter: HERE/a-file is a file; expected a folder"),
        ("plan task=classification data.dir=./~nosuchuser/x", "data.dir: no folder ~nosuchuser/x"),
        ("plan task=classification data.dir=~nosuchuser/x", "data.dir: no folder ~nosuchuser/x"),
        ("reproduce table=2 data=~nosuchuser/x", "data: no folder ~nosuchuser/x"),
        ("best task=a model=b task=c", "task=a and task=c: expected one of them"),
        ("best task=a model=b --rows 0", "--rows: 0: expected a whole number from 1 on"),
        ("best task=a model=b --least-seeds -1", "--least-seeds: -1: expected a whole number from 1 on"),
        ("prepare conll03 --from=", "--from: expected a path, found nothing"),
        ("plan task=classification data.dir=HERE/a-file", "data.dir: a file, expected the folder that holds it"),
        (
            "train task=classification model.path=HERE/a-file data.dir=HERE/data",
            "HERE/a-file: a file; expected a folder",
        ),
    ],
)
def test_a_wrong_path_is_named_as_it_was_typed(words: str, message: str, trained: Path, tmp_path: Path) -> None:
    places = {"RUN": str(only_run(trained / "runs")), "HERE": str(trained), "FILE": str(trained / "data/dev.jsonl")}
    for name, place in places.items():
        words, message = words.replace(name, place), message.replace(name, place)
    done = run(words.split(), tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith(message)


def test_a_run_in_a_folder_whose_name_is_no_text_is_not_called_damaged(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(only_run(trained / "runs"), tmp_path / "\udcff" / "run")
    done = run(["evaluate", str(folder)], tmp_path)
    assert done.code == 2
    assert done.error.endswith(": cannot be read (its path is not text in UTF-8, which its reader needs; rename it)")


def test_a_path_of_any_length_leaves_room_for_what_is_wrong_with_it(tmp_path: Path) -> None:
    for words in (
        ["report", "--output", "x" * 270],
        ["table", "--out", "y" * 400],
        ["list", "runs", "--out", "z" * 900],
    ):
        done = run([*words[:-1], f"{tmp_path}/{words[-1]}"], tmp_path)
        assert done.code == 2
        assert done.error.endswith(": File name too long")


def test_a_link_to_a_disk_that_is_not_there(trained: Path, tmp_path: Path) -> None:
    (link := tmp_path / "runs").symlink_to("/nowhere/scratch")
    done = run(train_words(trained / "data", link), tmp_path)
    expected = f"{link}: a link to /nowhere/scratch, which is not there; expected a folder"
    assert (done.code, done.error) == (2, expected)


def test_no_folder_for_temporary_files(trained: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(only_run(trained / "runs"))]
    done = run(words, tmp_path, before=no_temporary_files)
    expected = "no folder for temporary files can be written to; TMPDIR=DIR in the environment names one"
    assert (done.code, done.error) == (2, expected)


def no_temporary_files() -> None:
    tempfile.tempdir, tempfile._candidate_tempdir_list = None, list  # type: ignore[attr-defined]


def test_predict_reads_a_pipe_and_the_home_folder(trained: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    rows = (trained / "data" / "dev.jsonl").read_text()
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(rows), daemon=True)
    writer.start()
    words = ["predict", str(only_run(trained / "runs")), "--input", str(tmp_path / "pipe"), "--output", "~/new.jsonl"]
    assert run(words, tmp_path, environment={"HOME": str(tmp_path)}).code == 0
    assert len((tmp_path / "new.jsonl").read_text().splitlines()) == len(rows.splitlines())


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE=x: expected a whole number"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0: expected a whole number"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 asks for one of several processes, but RANK, MASTER_ADDR, MASTER_PORT"),
        ({"RANK": "-1"}, "RANK=-1: expected a whole number"),
        ({"RANK": "3"}, "RANK=3: expected less than WORLD_SIZE, which is not set"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2: expected less than WORLD_SIZE=2"),
        ({"LOCAL_RANK": "one"}, "LOCAL_RANK=one: expected a whole number"),
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0 asks for one of several processes"),
        ({"MASTER_PORT": "abc"}, "MASTER_PORT=abc: expected a whole number"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT=99999: expected a whole number"),
        ({"HF_HUB_OFFLINE": "offline"}, "HF_HUB_OFFLINE=offline: expected 1 or 0"),
        ({"TRANSFORMERS_OFFLINE": "2"}, "TRANSFORMERS_OFFLINE=2: expected 1 or 0"),
        ({"COLUMNS": "0", "RANK": "x"}, "RANK=x: expected a whole number"),
        ({"ACCELERATE_USE_CPU": "maybe"}, "ACCELERATE_USE_CPU=maybe: expected true or false"),
        ({"ACCELERATE_TORCH_DEVICE": "tpux"}, "ACCELERATE_TORCH_DEVICE=tpux: expected another value"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else None,
)
def test_a_variable_that_cannot_be_used_is_named(variables: dict[str, str], message: str, tmp_path: Path) -> None:
    done = run(train_words(write_sentences(tmp_path / "data"), tmp_path / "runs"), tmp_path, environment=variables)
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith(message)


def leave_a_folder_that_is_gone() -> None:
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    done = run(["list", "tasks"], tmp_path, before=leave_a_folder_that_is_gone)
    assert (done.code, done.error.partition(";")[0]) == (2, "the current folder: No such file or directory")


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that was started with a number of a user that it does not know."""
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("Could not determine home directory.")))
    assert shareable_text("/somewhere/else: no such file") == "/somewhere/else: no such file"
    inside = f"/mnt{Path.cwd()}/data/x.csv"  # another folder that ends alike
    assert shareable_text(inside) in (inside, "x.csv")


def test_a_screen_without_columns_shows_what_any_other_does(trained: Path, tmp_path: Path) -> None:
    words = ["list", "runs", "--out", str(trained / "runs")]
    shown = [finish(python("-m", "ptv2", *words, COLUMNS=columns)) for columns in ("0", "abc", "-3", "")]
    assert {done.code for done in shown} == {0}
    assert {done.out for done in shown} == {run(words, tmp_path).out}
    assert only_run(trained / "runs").name in shown[0].out


def test_python_without_docstrings_is_refused() -> None:
    done = finish(python("-OO", "-m", "ptv2", "list", "tasks"))
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("python -OO (PYTHONOPTIMIZE=2) drops docstrings, which transformers reads")


def test_torch_is_told_to_log_what_it_does_not_know() -> None:
    done = finish(
        python("-c", "import sys; from ptv2.cli import main; sys.exit(main())", "plan", TORCH_LOGS="everything")
    )
    assert (done.code, done.error) == (2, "TORCH_LOGS=everything: expected another value; change it, or unset it")


def test_empty_variables_are_not_set_and_those_of_launchers_change_no_number(tmp_path: Path) -> None:
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT", "HF_HUB_ETAG_TIMEOUT", "HF_HOME", "ACCELERATE_USE_CPU")
    launcher = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4", "ACCELERATE_DYNAMO_BACKEND": "eager"}
    data = write_sentences(tmp_path / "data")
    found = {}
    for name, variables in (("plain", {}), ("other", {**dict.fromkeys(names, ""), **launcher})):
        done = run(
            train_words(data, tmp_path / name, "trainer.epochs=1", "optim.eps=0.1"), tmp_path, environment=variables
        )
        assert done.code == 0, done.err
        found[name] = numbers(only_run(tmp_path / name))
    assert found["plain"] == found["other"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{sentence}}", "expected one pair of brackets, {sentence}, where a field is meant"),
        ("{{ sentence }}: {sentence}", "expected one pair of brackets, {sentence}, where a field is meant"),
        ("a {{}} b", "expected {FIELD} with the name of a field, or the name alone"),
        ("{{", "expected {FIELD} with the name of a field, or the name alone"),
        ("{}", "expected {FIELD} with the name of a field"),
        ("{sentence:>10}", "expected {FIELD} with the name of a field"),
        ("{sentence", "no template"),
    ],
)
def test_a_template_that_is_the_same_text_everywhere_is_refused(template: str, message: str, tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    done = run(train_words(data, tmp_path / "runs", f"task.text=['{template}']"), tmp_path)
    assert done.code == 2
    assert done.error.startswith(f"task.text.0='{template}': {message}")


def test_a_template_takes_fields_that_are_named_by_numbers_and_signs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev"):
        rows = [{"0": f"a {i}", "é-1": "b", "label": i % 2} for i in range(6)]
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = train_words(data, tmp_path / "runs", "trainer.epochs=1", "task.text=['{{{0} {{x}{é-1}']")
    assert run(words, tmp_path).code == 2  # `}` alone
    words[-1] = "task.text=['{{{0}; {é-1}']"
    assert run(words, tmp_path).code == 0
    rows = (only_run(tmp_path / "runs") / "predictions-dev.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(rows[3])["text"] == "{a 3; b"


def test_a_prompt_that_is_longer_than_the_text_it_is_taken_from(tmp_path: Path) -> None:
    words = ["train", "task=mini-entities", "model=minilm", "prompt.init=vocabulary", "prompt.length=513"]
    done = run([*words, "prompt.positions=unshifted", f"out={tmp_path}"], tmp_path)
    assert done.code == 2
    assert done.error == (
        "prompt.length=513: prompt.init=vocabulary reads the prompt as a text, and this bert backbone takes at most "
        "512 tokens"
    )
