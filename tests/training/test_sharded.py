"""A backbone spread over two processes gives the numbers of one, and each holds half of it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from accelerate import Accelerator
from commandline import (
    TIMEOUT,
    ended,
    log_lines,
    only_run,
    result_of,
    run,
    start_two,
    train_words,
)
from torch.torch_version import TorchVersion

from ptv2.errors import ConfigError, ModelError
from ptv2.models.build import PromptedModel
from ptv2.training import shard
from ptv2.training.shard import build_spread

takes_shards = pytest.mark.skipif(torch.__version__ < shard.FIRST_TORCH, reason="trainer.shard needs a newer torch")

# 70 examples in batches of 23, 40 dev examples in batches of 16: the processes have unequal numbers of batches.
SETTINGS = (
    "+model.config.initializer_range=0.3",
    "trainer.batch_size=23",
    "trainer.eval_batch_size=16",
    "trainer.epochs=4",
    *("model.hidden_dropout=0", "model.attention_dropout=0", "prompt.dropout=0", "head.dropout=0"),
)


@takes_shards
@pytest.mark.parametrize(
    "settings",
    [
        ("method=p-tuning-v2", "model.gradient_checkpointing=true"),
        ("method=prompt-tuning",),
        ("method=lora", "lora.bias=all"),
    ],
)
def test_two_processes_with_half_of_the_backbone_each_are_one(
    settings: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    words = (*SETTINGS, *settings)
    launched = start_two(train_words(data, tmp_path / "two", *words, "trainer.shard=true"), tmp_path)
    alone = run(train_words(data, tmp_path / "one", *words), tmp_path)
    assert [done.code for done in (alone, *ended(launched))] == [0, 0, 0], alone.err
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert one.name == two.name
    first, second = result_of(one), result_of(two)
    for key in ("dev", "dev_last", "test", "best_step", "steps", "evaluations", "parameters"):
        assert first[key] == second[key], key
    for split in ("dev", "test"):
        assert probabilities(two, split) == pytest.approx(probabilities(one, split), abs=1e-5)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    replicated = 4 * (first["parameters"]["trained"] + POOLER)
    backbone = first["memory"]["weights"] - replicated
    assert second["memory"]["weights"] - replicated == pytest.approx(backbone / 2, rel=0.01)
    # Prompts and head are whole on every process, so the artifact of the sharded run is one of an unsharded one.
    evaluated = run(["evaluate", str(two)], tmp_path)
    assert evaluated.code == 0, evaluated.err
    # What was trained on several processes since none can hold it is scored and used on several too.
    spread = ended(start_two(["evaluate", str(two)], tmp_path))
    assert [done.code for done in spread] == [0, 0], spread[0].err
    assert "".join(done.out for done in spread) == evaluated.out
    answers = tmp_path / "answers.jsonl"
    asked = ["predict", str(two), "--input", str(data / "test.jsonl"), "--output", str(answers)]
    predicted = ended(start_two(asked, tmp_path))
    assert [done.code for done in predicted] == [0, 0], predicted[0].err
    assert "".join(done.err for done in predicted).count("25 predictions written") == 1
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    found = [number for row in rows for number in row["probabilities"].values()]
    assert found == pytest.approx(probabilities(one, "test"), abs=1e-5)


POOLER = 32 * 32 + 32  # of the tiny backbone; random, and read through, so it is kept whole too


def probabilities(folder: Path, split: str) -> list[float]:
    lines = (folder / f"predictions-{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [number for line in lines for number in json.loads(line)["probabilities"].values()]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in log_lines(folder) if "loss" in line]


@pytest.mark.parametrize("machines", [[3], [2, 1]])
def test_the_processes_of_a_machine_load_one_after_another(machines: list[int]) -> None:
    """Whole checkpoints beside each other would not fit; and one that fails does not keep the others waiting."""
    together = threading.Barrier(sum(machines), timeout=TIMEOUT)
    loading = [0] * len(machines)
    most = [0] * len(machines)

    def load(machine: int, index: int) -> str:
        accelerator = SimpleNamespace(
            local_process_index=index, num_processes=sum(machines), wait_for_everyone=together.wait
        )

        def build() -> PromptedModel:
            loading[machine] += 1
            most[machine] = max(most[machine], loading[machine])
            time.sleep(0.05)
            loading[machine] -= 1
            if index == 0:
                raise ModelError("cannot be loaded")
            return cast(PromptedModel, None)

        try:
            build_spread(build, False, cast(Accelerator, accelerator))
        except ModelError:
            return "failed"
        return "loaded"

    places = [(machine, index) for machine, count in enumerate(machines) for index in range(count)]
    with ThreadPoolExecutor(len(places)) as pool:
        ended = list(pool.map(lambda place: load(*place), places))
    assert ended == ["failed" if index == 0 else "loaded" for _, index in places]
    assert most == [1] * len(machines)


@takes_shards
def test_one_process_has_nobody_to_share_with(data: Path, tmp_path: Path) -> None:
    done = run(train_words(data, tmp_path / "out", "trainer.shard=true"), tmp_path)
    assert done.code == 2
    assert "trainer.shard=true spreads the backbone over processes, and there is one" in done.error


@pytest.mark.parametrize(("version", "takes"), [("2.6.0+cu124", False), ("2.7.0", True), ("2.13.0+cpu", True)])
def test_a_torch_that_cannot_leave_parameters_whole_is_refused_before_anything_is_built(
    version: str, takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard.torch, "__version__", TorchVersion(version))
    accelerator = cast(Accelerator, SimpleNamespace(num_processes=1))
    with pytest.raises(ConfigError) as refusal:
        build_spread(pytest.fail, True, accelerator)
    expected = "and there is one" if takes else f"needs torch 2.7 or later, and this is {version}"
    assert expected in str(refusal.value)
