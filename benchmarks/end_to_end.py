"""From the command to the score: `ptv2 train` beside a plain transformers Trainer with PEFT's prefix tuning.

    python benchmarks/end_to_end.py [--train 1200] [--dev 280] [--epochs 3] [--batch 32] [--prompt 20] [--rounds 3]
    python benchmarks/end_to_end.py --rte DIR    # the first examples of RTE's own train.jsonl and val.jsonl

Same backbone (the embedded one), examples, batch size, epochs, rate, length of prompts and number of threads. The
Trainer is what its documentation shows: a tokenized `datasets.Dataset`, an evaluation and a saved checkpoint after
every epoch, the best one loaded at the end. It runs twice: each batch padded to its longest text, and all padded to 128
tokens as the published code does. Without --rte the examples are made up (median 61 tokens, one in ten longer than 128,
which all three cut).

Each command is a process of its own. They take turns, so that whatever else the machine does slows all of them; what
counts are the ratios. Times are wall and CPU seconds of the whole process, Python's start included, and nothing is kept
from one round to the next. Tokens are those of all training batches with their padding: their ratio is what padding
alone makes of the times.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

WAYS = ("ptv2", "Trainer, longest", "Trainer, 128")
LONGEST = 128  # tokens of a pair
GOALS = {"Trainer, longest": 1.3, "Trainer, 128": 2.5}
WORDS = (  # noqa: SIM905 - as a text it can be read
    "the old new small large quiet early late man woman child teacher river road house garden market letter ship train "
    "said wrote found saw built bought sold opened closed near under over beside before after with without and or but"
).split()


def main() -> int:
    """Measure all ways in turns and print the page; 1 if a ratio of CPU time is below its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=1200, help="training examples")
    parser.add_argument("--dev", type=int, default=280)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rte", type=Path, metavar="DIR", help="the folder of the official files")
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--trainer", choices=["longest", "128"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trainer:
        print(json.dumps(train(options)))
        return 0
    measured: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as work:
        (write_rte if options.rte else write_examples)(Path(work) / "data", options)
        for number in range(options.rounds):
            for way in WAYS:
                measured[way].append(run(way, Path(work), number, options))
    text, reached = page(measured, options)
    print(text)
    return 0 if reached else 1


def write_examples(folder: Path, options: argparse.Namespace) -> None:
    """Pairs of sentences, of two classes that a word tells apart, with lengths like RTE's."""
    folder.mkdir()
    draw = random.Random(1)
    for split, count in (("train", options.train), ("dev", options.dev)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(count):
                length = min(220, max(12, int(draw.lognormvariate(3.9, 0.55))))
                premise = draw.choices(WORDS, k=length)
                label = number % 2
                hypothesis = [*draw.choices(WORDS, k=9), "indeed" if label else "never"]
                pair = {"premise": " ".join(premise), "hypothesis": " ".join(hypothesis), "label": str(label)}
                file.write(json.dumps(pair) + "\n")


def write_rte(folder: Path, options: argparse.Namespace) -> None:
    """The first examples of RTE, its labels as 0 and 1."""
    folder.mkdir()
    for split, name, count in (("train", "train", options.train), ("dev", "val", options.dev)):
        lines = (options.rte / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        rows = [json.loads(line) for line in lines]
        pairs = [{key: row[key] for key in ("premise", "hypothesis")} for row in rows]
        labels = [str(int(row["label"] == "entailment")) for row in rows]
        texts = [json.dumps({**pair, "label": label}) + "\n" for pair, label in zip(pairs, labels, strict=True)]
        (folder / f"{split}.jsonl").write_text("".join(texts), encoding="utf-8")


def run(way: str, work: Path, number: int, options: argparse.Namespace) -> dict[str, float]:
    """Wall and CPU seconds and the accuracy of one way, in a process of its own."""
    out = work / f"{way.replace(', ', '-')}-{number}"
    shared = [f"--{name}={getattr(options, name)}" for name in ("train", "dev", "epochs", "batch", "prompt")]
    if way == "ptv2":
        settings = ["task=classification", "task.name=pairs", "task.text=[premise,hypothesis]", "recipe=none"]
        settings += [f"data.dir={work / 'data'}", f"task.max_length={LONGEST}", f"prompt.length={options.prompt}"]
        settings += [f"trainer.epochs={options.epochs}", f"trainer.batch_size={options.batch}", "optim.lr=1e-2"]
        words = ["-m", "ptv2", "train", *settings, f"out={out}"]
    else:
        words = [__file__, *shared, f"--data={work / 'data'}", f"--trainer={way.rpartition(' ')[2]}"]
    surroundings = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.threads),
        "PTV2_CACHE": str(out / "cache"),
        "HF_HOME": str(out / "hub"),
        "HF_HUB_OFFLINE": "1",
    }
    out.mkdir()
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, env=surroundings, cwd=out
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr[-2000:]}")
    if way == "ptv2":
        (record,) = out.glob("*/result.json")
        accuracy = json.loads(record.read_text(encoding="utf-8"))["dev"]["accuracy"]
        trained = {"accuracy": accuracy, "tokens": count_tokens(work / "data", options)}
    else:
        trained = json.loads(done.stdout.splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, **trained}


def count_tokens(data: Path, options: argparse.Namespace) -> int:
    """The tokens of all training batches of ptv2, with their padding."""
    import numpy as np
    from tokenizers import Tokenizer

    from ptv2.data.batches import epoch_batches
    from ptv2.models.checkpoints import embedded_folder

    tokenizer = Tokenizer.from_file(str(embedded_folder("minilm") / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    encoded = tokenizer.encode_batch([(row["premise"], row["hypothesis"]) for row in rows])
    lengths = np.array([len(one.ids) for one in encoded])
    epochs = [epoch_batches(lengths, options.batch, 11, epoch) for epoch in range(options.epochs)]
    return sum(len(batch) * int(lengths[batch].max()) for batches in epochs for batch in batches)


def train(options: argparse.Namespace) -> dict[str, float]:
    """The same training as transformers and PEFT document it; returns the best accuracy."""
    import numpy as np
    from datasets import load_dataset
    from peft import PrefixTuningConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from ptv2.models.checkpoints import embedded_folder

    backbone = embedded_folder("minilm")
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    files = {"train": str(options.data / "train.jsonl"), "dev": str(options.data / "dev.jsonl")}
    padding = "max_length" if options.trainer == "128" else False

    def encode(rows: dict[str, list[str]]) -> Any:
        encoded = tokenizer(rows["premise"], rows["hypothesis"], truncation=True, max_length=LONGEST, padding=padding)
        return {**encoded, "labels": [int(label) for label in rows["label"]]}

    data = load_dataset("json", data_files=files).map(
        encode, batched=True, remove_columns=["premise", "hypothesis", "label"]
    )
    base = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=2)
    model = get_peft_model(base, PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=options.prompt))
    arguments = TrainingArguments(
        output_dir="trainer",
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        per_device_eval_batch_size=64,
        learning_rate=1e-2,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        report_to="none",
        seed=11,
        use_cpu=True,
    )
    tokens = 0

    class Counting(DataCollatorWithPadding):
        def __call__(self, features: list[dict[str, Any]]) -> Any:
            nonlocal tokens
            batch = super().__call__(features)
            tokens += batch["input_ids"].numel() if model.training else 0
            return batch

    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=data["train"],
        eval_dataset=data["dev"],
        processing_class=tokenizer,
        data_collator=Counting(tokenizer),
        compute_metrics=lambda rows: {"accuracy": 100.0 * float(np.mean(rows[0].argmax(-1) == rows[1]))},
    )
    trainer.train()
    return {"accuracy": trainer.evaluate()["eval_accuracy"], "tokens": tokens}


def page(measured: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> tuple[str, bool]:
    """The measurements as Markdown, and whether all goals are reached."""

    def middle(way: str, what: str) -> float:
        return statistics.median(row[what] for row in measured[way])

    def times(way: str, what: str) -> list[float]:
        return [row[what] / own[what] for row, own in zip(measured[way], measured["ptv2"], strict=True)]

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "datasets"))
    lines = [
        f"`{' '.join(['python', 'benchmarks/end_to_end.py', *sys.argv[1:]])}`",
        "",
        f"{platform.machine()}, {options.threads} threads; python {platform.python_version()}, {versions}; medians of "
        f"{options.rounds} rounds; ratios are of the same round, with the smallest and largest behind",
        "",
        "| | wall s | CPU s | wall, times ptv2 | CPU, times ptv2 | tokens, times ptv2 | dev accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    reached = True
    for way in WAYS:
        ratios = [""] * 3
        if way in GOALS:
            both = [times(way, what) for what in ("wall", "cpu")]
            ratios = [f"{statistics.median(r):.2f} ({min(r):.2f}-{max(r):.2f})" for r in both]
            ratios.append(f"{middle(way, 'tokens') / middle('ptv2', 'tokens'):.2f}")
            reached = reached and statistics.median(both[1]) >= GOALS[way]
        seconds = [f"{middle(way, what):.1f}" for what in ("wall", "cpu")]
        lines.append(f"| {way} | {' | '.join([*seconds, *ratios])} | {middle(way, 'accuracy'):.1f} |")
    goals = "; ".join(f"{way} {goal}" for way, goal in GOALS.items())
    lines += ["", f"Goals, times the CPU of ptv2: {goals}. {'Reached' if reached else 'Not reached'}."]
    return "\n".join(lines), reached


if __name__ == "__main__":
    sys.exit(main())
