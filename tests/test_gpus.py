"""Jobs side by side on several GPUs, told by a stand-in for `nvidia-smi`."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ptv2 import gpus
from ptv2.config.compose import compose
from ptv2.config.schema import TrainerConfig
from ptv2.errors import has_no_memory
from ptv2.reproduce.jobs import children, feasible
from ptv2.training.device import make_accelerator


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def forget() -> None:
        for function in (gpus.ask, gpus.take_by_worker, feasible.available):
            function.cache_clear()

    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    forget()
    yield
    forget()


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU of 24 and one of 16 GiB."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    whole = "echo 0, GPU-ab12, 24576; echo 1, GPU-cd34, 16384"
    tool.write_text(f'#!/bin/sh\ncase "$1" in *memory*) {whole};; *) echo 0; echo 1;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("two_gpus")
def test_a_job_gets_the_gpu_that_fewest_have(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus.visible_gpus() == ["0", "1"]
    assert gpus.least_used([]) == "0"
    assert gpus.least_used(["0"]) == "1"
    assert gpus.least_used(["0", "1", "1"]) == "0"
    monkeypatch.setenv(gpus.VISIBLE, "3, 5,GPU-ab12")
    assert gpus.visible_gpus() == ["3", "5", "GPU-ab12"]
    assert gpus.least_used(["3"]) == "5"
    for hidden in ("", "1"):  # nothing to choose from
        monkeypatch.setenv(gpus.VISIBLE, hidden)
        assert gpus.least_used([]) is None


def test_without_a_gpu_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible_gpus() == []
    assert gpus.least_used([]) is None
    broken = tmp_path / "nvidia-smi"
    broken.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    broken.chmod(0o755)
    gpus.ask.cache_clear()
    assert gpus.visible_gpus() == []


@pytest.mark.usefixtures("two_gpus")
def test_commands_side_by_side_see_a_gpu_each(tmp_path: Path) -> None:
    show = [sys.executable, "-c", f"import json, os; print(json.dumps(os.environ.get({gpus.VISIBLE!r})))"]

    def seen(workers: int, count: int) -> list[str | None]:
        running: list[children.Child] = []
        for number in range(count):
            running.append(children.start(show, tmp_path / f"{workers}-{number}.log", workers, running))
        for child in running:
            child.process.wait()
            child.output.close()
        return [json.loads(child.log.read_text()) for child in running]

    assert seen(2, 3) == ["0", "1", "0"]
    assert seen(1, 1) == [None], "a command alone may take what it wants"


@pytest.mark.usefixtures("two_gpus")
def test_workers_of_joblib_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("LokyProcess-1", "LokyProcess-2", "LokyProcess-3", "MainProcess"):
        monkeypatch.setattr(multiprocessing, "current_process", lambda name=name: SimpleNamespace(name=name))
        monkeypatch.delenv(gpus.VISIBLE, raising=False)
        gpus.take_by_worker.cache_clear()
        gpus.take_by_worker()
        taken.append(os.environ.get(gpus.VISIBLE))
    assert taken == ["0", "1", "0", None]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("shown", "sizes"),
    [("0", [24576]), ("1", [16384]), ("GPU-cd", [16384]), ("1,0", [24576, 16384]), ("", []), ("-1", [])],
)
def test_the_memory_of_a_gpu_that_is_hidden_does_not_count(
    shown: str, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.VISIBLE, shown)
    assert gpus.visible_memory() == sizes
    monkeypatch.setenv(gpus.VISIBLE, "MIG-1f2e")
    assert gpus.visible_memory() == [24576, 16384]


@pytest.mark.usefixtures("two_gpus")
def test_each_run_has_its_share_of_the_memory() -> None:
    whole, where = feasible.share("auto", 2)
    assert (whole, where) == (16 * feasible.GIB - feasible.OTHERS, "this GPU"), "one on each, the smaller counts"
    half, where = feasible.share("auto", 4)
    assert half == whole / 2
    assert where == "each of 2 runs at a time on this GPU"
    config = compose(["task=rte", "model=roberta-large", "method=fine-tuning", "trainer.batch_size=1"])
    assert feasible.why_hopeless(config, workers=2) is None
    message = feasible.why_hopeless(config, workers=8)
    assert message is not None
    assert message.startswith("too large: needs at least 5.3 GiB, each of 4 runs at a time on this GPU has 3.6")


def test_the_runs_of_a_process_may_have_different_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("cpu", "auto", "cpu"):
        config = TrainerConfig(device=device)  # type: ignore[arg-type]
        expected = "cpu" if device == "cpu" or not torch.accelerator.is_available() else "accelerator"
        assert (make_accelerator(config).device.type == "cpu") == (expected == "cpu")


def test_what_cublas_says_is_a_lack_of_memory() -> None:
    assert has_no_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert has_no_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, max allowed: 9.07 GB)"))
    assert not has_no_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))
