"""What cases of several campaigns use: a model folder, finished runs on it, an exported adapter. Made once a folder."""

from __future__ import annotations

from pathlib import Path

from commandline import only_run, write_sentences
from model_folders import write_model
from sequences import write_entities, write_questions

from torture.frame import call

SMALL = ["trainer.max_steps=1", "trainer.batch_size=4", "prompt.length=2", "method=p-tuning-v2"]


def sentences(common: Path) -> Path:
    """JSON lines of two classes."""
    folder = common / "sentences"
    return folder if folder.exists() else write_sentences(folder, 12, 6, 4)


def model_folder(common: Path) -> Path:
    """A tiny BERT with a tokenizer."""
    folder = common / "model"
    return folder if folder.exists() else write_model(folder)


def finished_run(common: Path, task: str = "classification") -> Path:
    """A finished run of a task, on the model folder."""
    out = common / f"runs-{task}"
    if not out.exists():
        write = {"classification": lambda _: sentences(common), "ner": write_entities, "squad": write_questions}[task]
        data = write(common / f"data-{task}")
        words = ["train", f"task={task}", "data.source=files", f"data.dir={data}", f"model.path={model_folder(common)}"]
        _done([*words, *SMALL, f"out={out}"], common)
    return only_run(out)


def adapter(common: Path) -> Path:
    """An adapter for PEFT of the finished run."""
    folder = common / "adapter"
    if not folder.exists():
        _done(["export", str(finished_run(common)), "--to", "peft", "--output", str(folder)], common)
    return folder


def _done(words: list[str], folder: Path) -> None:
    done = call(words, folder)
    assert done.code == 0, done.err
