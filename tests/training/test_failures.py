"""What goes wrong while a run is trained, through the command line: one line, the right exit code, nothing lost."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
from commandline import finish, log_lines, numbers, only_run, python, result_of, run, train_words
from torch import OutOfMemoryError, Tensor

from ptv2.models import speed
from ptv2.models.build import PromptedModel
from ptv2.run_folders.directory import state_of
from ptv2.run_folders.record import read_status
from ptv2.training import state

SETTINGS = ("+model.config.initializer_range=0.3", "trainer.batch_size=16", "trainer.epochs=2")
STEPS = 10


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run that others are compared with."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(train_words(data, folder / "out", *SETTINGS), folder)
    assert done.code == 0, done.err
    assert result_of(only_run(folder / "out"))["steps"] == STEPS
    return only_run(folder / "out")


def test_non_finite_job_fails_and_the_sweep_goes_on(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sweep = [*train_words(data, out, *SETTINGS), "trainer.checkpoint_minutes=0", "task.text=[sentence]"]
    sweep += ["optim.lr=1e30,0.03", "-m"]
    done = run(sweep, tmp_path)
    assert done.code == 1
    assert done.err.count("task.text=[sentence]") == 1  # brackets are no markup
    assert "Traceback" not in done.err
    assert [Path(line.split()[-1]).name for line in done.out.splitlines() if line.startswith("run ")] == [
        undisturbed.name
    ]
    folders = {state_of(folder): folder for folder in out.iterdir() if (folder / "config.yaml").is_file()}
    assert folders.keys() == {"failed", "finished"}
    failed = folders["failed"]
    message = read_status(failed)["message"]
    kept = "try a lower optim.lr or trainer.precision=fp32; the last good state is kept in "
    assert message.startswith("TrainingError: step 2: the loss or its gradient is not finite (loss ")
    assert message.endswith(kept + failed.name)  # a record says nothing of the machine's folders
    assert done.err.count(f"{kept}{failed}") == 1  # the table of all jobs goes to standard output
    _, record = state.latest_state(failed) or pytest.fail("no state")
    assert record["step"] == 1
    assert not (failed / "result.json").exists()
    # The job after it is what it would have been alone.
    assert numbers(folders["finished"]) == numbers(undisturbed)

    again = run(sweep, tmp_path)
    assert again.code == 1
    assert "finished before; nothing was repeated" in again.out
    assert state_of(failed) == "failed"


def test_non_finite_without_a_sweep(data: Path, tmp_path: Path) -> None:
    done = run(train_words(data, tmp_path / "out", *SETTINGS, "optim.lr=1e30"), tmp_path)
    assert done.code == 1
    assert done.error.startswith("step 2: the loss or its gradient is not finite")
    assert done.error.endswith("no state had been saved before")
    assert done.err.count("is not finite") == 1  # the log has it too
    assert "TrainingError: step 2: " in (only_run(tmp_path / "out") / "log.txt").read_text()


def test_out_of_memory(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    """The device holds 4 examples in training and 8 in evaluation."""
    words = train_words(data, tmp_path / "out", *SETTINGS)
    done = run(words, tmp_path, before=little_memory)
    assert done.code == 1
    assert done.error.startswith(
        "step 1: out of memory with 16 examples a pass (trainer.batch_size=16, trainer.accumulation=1, "
        "trainer.precision=fp32); to go on from here add trainer.halve_on_oom=true (same "
    )
    folder = only_run(tmp_path / "out")
    assert state_of(folder) == "failed"

    words.append("trainer.halve_on_oom=true")  # the same run goes on
    done = run(words, tmp_path, before=little_memory)
    assert done.code == 1
    assert done.error == (
        "out of memory (trainer.batch_size=16, trainer.accumulation=1, trainer.eval_batch_size=64, "
        "trainer.precision=fp32); to go on from here make trainer.eval_batch_size smaller, or add "
        "trainer.halve_on_oom=true or model.gradient_checkpointing=true"
    )
    assert "accumulation is now 4" in done.err

    words.append("trainer.eval_batch_size=8")  # and so does this
    done = run(words, tmp_path, before=little_memory)
    assert done.code == 0, done.err
    assert only_run(tmp_path / "out") == folder
    assert f"{STEPS} steps, going on after step {STEPS // 2}" in done.err
    assert result_of(folder)["runtime"]["accumulation"] == 4
    found = [line["loss"] for line in log_lines(folder) if "loss" in line]
    assert found
    expected = [line["loss"] for line in log_lines(undisturbed) if "loss" in line]
    # Not the same dropout as in one pass of 16, so close only; tests/training/test_trainer.py compares exactly.
    assert found == pytest.approx(expected, abs=0.2)


def little_memory() -> None:
    original = PromptedModel.forward

    def forward(model: PromptedModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if len(batch["input_ids"]) > (4 if model.training else 8):
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(model, batch)

    PromptedModel.forward = forward  # type: ignore[method-assign]


@pytest.mark.parametrize(("precision", "said"), [("bf16", True), ("fp32", False)])
def test_a_precision_that_is_emulated_is_said_before_training(
    precision: str, said: bool, data: Path, tmp_path: Path
) -> None:
    words = train_words(data, tmp_path / "out", "trainer.max_steps=1", f"trainer.precision={precision}")
    done = run(words, tmp_path, before=no_units_for_bf16)
    assert done.code == 0, done.err
    warning = (
        "warning: trainer.precision=bf16: this processor has no units for it and is 10.0 times slower than in fp32"
    )
    assert (warning in done.err) == said


def no_units_for_bf16() -> None:
    speed.product_rate = lambda precision, device: {"fp32": 70e9, "bf16": 7e9}[precision]  # type: ignore[assignment]


@pytest.mark.parametrize("sweep", [False, True])
def test_full_disk(sweep: bool, data: Path, undisturbed: Path, tmp_path: Path) -> None:
    """No file may grow over 20 kB: the state after the first epoch's steps cannot be written, other files can."""
    out = tmp_path / "out"
    words = train_words(data, out, *SETTINGS)
    done = run([*words, "-m"] if sweep else words, tmp_path, before=small_files)
    folder = only_run(out)
    assert done.code == (1 if sweep else 74)
    text = f"{folder}/state-{STEPS:08d}.safetensors: File too large"
    if sweep:
        assert "Traceback" not in done.err
        assert "state-" in done.err
        assert "File too large" in done.err
    else:
        assert done.error == text
    assert read_status(folder)["state"] == "failed"
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))
    assert len([line for line in log_lines(folder) if "dev" in line]) == 2  # what was complete can be read
    assert all(state.load_tensors(path) for path in folder.glob("best-*"))
    done = run(words, tmp_path)  # there is space again
    assert done.code == 0, done.err
    assert numbers(folder) == numbers(undisturbed)


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full, a disk that is always full")
def test_log_on_a_full_disk_is_no_reason_to_stop(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / undisturbed.name
    folder.mkdir(parents=True)
    (folder / "log.txt").symlink_to("/dev/full")
    done = run(train_words(data, tmp_path / "out", *SETTINGS), tmp_path)
    assert done.code == 0
    assert "Traceback" not in done.err
    assert "Logging error" not in done.err
    assert numbers(folder) == numbers(undisturbed)


def test_refused_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for overrides, message in (
        (["trainer.precision=fp16", "trainer.device=cpu"], "trainer.precision=fp16 needs a GPU; expected fp32 or bf16"),
        (
            ["trainer.precision=tf32", "trainer.device=cpu"],
            "trainer.precision=tf32 needs a GPU of Nvidia; expected fp32",
        ),
        (["prompt.length=500"], "the longest text that fits is 12 tokens (task.max_length); the longest prompt"),
        (
            ["prompt.length=600"],
            "no text fits beside this prompt; the longest prompt beside this text is 494 tokens (prompt.length)",
        ),
        (["model.config.model_type=mamba"], "a mamba backbone has no keys and values for prompts: a state goes from"),
        (["model.config.model_type=bart"], "tiny: bart is an encoder-decoder; expected an encoder or a decoder"),
        (["method=prompt-tuning", "prompt.length=505"], "the longest text that fits is 7 tokens"),
    ):
        done = run(train_words(data, out, *overrides), tmp_path)
        assert done.code == 2
        assert message in done.error
        assert not out.exists()
    out.write_text("a file", encoding="utf-8")  # in the place of the folder; a read-only folder reads the same
    done = run(train_words(data, out), tmp_path)
    assert done.code == 2
    assert str(out) in done.error
    assert "expected a folder" in done.error
    assert out.read_text(encoding="utf-8") == "a file"


@pytest.mark.slow  # a minute for the compiler, more on a busy machine
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_command(data: Path, tmp_path: Path) -> None:
    words = train_words(data, tmp_path / "out", "model.compile=true", "trainer.max_steps=3", "trainer.batch_size=16")
    done = finish(python("-m", "ptv2", *words), seconds=1500)
    assert done.code == 0, done.err
    assert result_of(only_run(tmp_path / "out"))["steps"] == 3
