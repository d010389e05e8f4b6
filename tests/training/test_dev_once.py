"""At the end of a run dev is scored again only where its best weights are not those that were scored last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commandline import result_of, train_words, write_sentences

import ptv2
from ptv2.experiment.data import EncodedData
from ptv2.training.trainer import Trainer


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The splits that were scored, in order."""
    splits: list[str] = []
    score = EncodedData.predictions

    def note(data: EncodedData, split: str, *more: Any, **others: Any) -> Any:
        splits.append(split)
        return score(data, split, *more, **others)

    monkeypatch.setattr(EncodedData, "predictions", note)
    return splits


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir() if "-dev." in path.name or "-test." in path.name}


def test_last_weights_are_the_best(scored: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are those of a run that was killed after its last evaluation, and scores dev again when it goes on."""
    words = [*train_words(write_sentences(tmp_path / "data", 16, 8, 8), tmp_path / "runs")[1:], "trainer.max_steps=1"]
    once = ptv2.train(words)
    assert scored == ["dev", "test"]
    scored.clear()

    load_best = Trainer._load_best

    def die(trainer: Trainer) -> None:
        raise KeyboardInterrupt

    words.append(f"out={tmp_path}/killed")
    monkeypatch.setattr(Trainer, "_load_best", die)
    with pytest.raises(KeyboardInterrupt):
        ptv2.train(words)
    monkeypatch.setattr(Trainer, "_load_best", load_best)
    again = ptv2.train(words)
    assert scored == ["dev", "dev", "test"]
    assert result_of(again.path)["runtime"]["resumed"] == 1
    assert files(once.path) == files(again.path)


def test_last_weights_are_not_the_best(scored: list[str], tmp_path: Path) -> None:
    words = train_words(write_sentences(tmp_path / "data", 16, 8, 8), tmp_path / "runs")[1:]
    run = ptv2.train([*words, "optim.lr=1e-12", "trainer.evaluate_every=1", "trainer.max_steps=2"])
    assert result_of(run.path)["best_step"] == 1
    assert scored == ["dev", "dev", "dev", "test"]
