"""Large shapes on one GPU: the real trainer with each method, 16 seeds together, and PEFT under transformers' Trainer.

    python benchmarks/gpu_large.py [--models roberta-large,deberta-xlarge,glm-xlarge,glm-xxlarge] [--batch 16]
                                   [--length 256] [--prompt 20] [--steps 30] [--together 16]

Weights are random (sizes from `config:` in conf/model), texts too, of 3/4 to all of the length, so nothing is
downloaded. Frozen backbones are kept in bfloat16; fine-tuning keeps float32 weights; all compute under bf16 autocast.
ptv2's `Trainer` and transformers' make the same number of steps, each with its own batches, clipping, AdamW, schedule
and log, at the shapes' own dropout rates; the time is from one step to a later one, when the GPU has done both. What
does not fit is tried again with one text a pass and gradient checkpointing. Every measurement is a process of its own.
Operations are counted as `ptv2 plan` counts them, less what texts are shorter, and their share is of the bf16 matrix
product measured here.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.training.monitor import Silent

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from ptv2.config.schema import RunConfig
    from ptv2.data.encode import TextSet
    from ptv2.models.backbones import Backbone
    from ptv2.models.build import HeadSpec, PromptedModel

OURS, TOGETHER, PEFT = "p-tuning-v2", "p-tuning-v2, together", "peft prefix-tuning"
METHODS = ("fine-tuning", "prompt-tuning", OURS, TOGETHER, PEFT)
MODELS = "roberta-large,deberta-xlarge,glm-xlarge,glm-xxlarge"
WARM_UP = 5  # steps
GOAL = 0.2  # of the time of as many runs
Row = dict[str, Any]


def main() -> int:
    """Measure all models and methods and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=MODELS, help="names in conf/model, in the order of their size")
    parser.add_argument("--batch", type=int, default=16, help="texts a step (default: 16)")
    parser.add_argument("--length", type=int, default=256, help="tokens a text (default: 256)")
    parser.add_argument("--prompt", type=int, default=20, help="length of prompts (default: 20)")
    parser.add_argument("--steps", type=int, default=30, help="timed steps of one measurement (default: 30)")
    parser.add_argument("--together", type=int, default=16, help="seeds over one backbone (default: 16)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--checkpointing", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        model, _, method = options.measure.partition(" ")
        print(json.dumps(matrix_rate() if model == "rate" else measure(model, method, options)))
        return 0
    rate = alone("rate", options)
    rows = [attempt(model, method, options) for model in options.models.split(",") for method in METHODS]
    print(page(rows, rate, options))
    return 0


def attempt(model: str, method: str, options: argparse.Namespace) -> Row:
    """Measure at the batch asked for; if that does not fit, with one text in a pass and gradient checkpointing."""
    row = alone(f"{model} {method}", options)
    if row.get("failed") == "out of memory":
        row = alone(f"{model} {method}", options, "--batch=1", "--checkpointing")
    return {"model": model, "method": method, **row}


def alone(what: str, options: argparse.Namespace, *more: str) -> Row:
    """A measurement in a process of its own, since one that ran out of memory leaves its device in pieces."""
    given = [f"--{name}={getattr(options, name)}" for name in ("batch", "length", "prompt", "steps", "together")]
    words = [sys.executable, __file__, *given, *more, "--measure", what]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        full = done.returncode == -9 or "outofmemory" in last.lower().replace(" ", "")
        return {"failed": "out of memory" if full else last[:150]}
    return json.loads(done.stdout.splitlines()[-1])


def matrix_rate() -> Row:
    """Operations a second of the best of many bf16 products of large square matrices."""
    import torch

    device = where()
    size = 8192 if device.type == "cuda" else 256
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        left @ right
        wait(device)
        seconds.append(time.perf_counter() - started)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    total = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    return {"rate": 2 * size**3 / min(seconds), "device": name, "memory": total}


def measure(model: str, method: str, options: argparse.Namespace) -> Row:
    """Seconds, operations and peak bytes of one step of a method."""
    import torch

    device = where()
    config = configuration(model, method, options)
    train = {TOGETHER: several, PEFT: peft}.get(method, ours)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        watches, trained, tokens = train(config, options, Path(folder))
    begun, ended = (moment(watch.moments[i] for watch in watches) for i, moment in enumerate((min, max)))
    texts = options.batch * len(watches)
    counted = count(config, texts, options.length)
    return {
        "seconds": (ended - begun) / options.steps,
        "tokens": tokens,
        "trained": trained,
        "batch": texts,
        "checkpointing": options.checkpointing,
        "operations": counted.operations * tokens / options.length,
        "planned": counted.peak,
        "peak": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


class EnoughError(Exception):
    """The last step is timed: a training need not evaluate and save."""


class Stopwatch(Silent):
    """Notes the moments when the warm-up and the last step are done, by the device too; a monitor of ptv2's trainer."""

    def __init__(self, steps: int) -> None:
        self.last = WARM_UP + steps
        self.moments: list[float] = []

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """Look at the clock, and end the training after its last step."""
        if step in (WARM_UP, self.last):
            wait(where())
            self.moments.append(time.perf_counter())
        if step == self.last:
            raise EnoughError


def where() -> torch.device:
    """The GPU, or to try the script without one the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()


def texts(options: argparse.Namespace, pad_id: int) -> TextSet:
    """As many random texts as all steps need."""
    import numpy as np

    from ptv2.data.encode import TextSet
    from ptv2.data.tokens import Tokens

    draw, rows = np.random.default_rng(0), options.batch * (WARM_UP + options.steps)
    starts = np.cumsum([0, *draw.integers(options.length * 3 // 4, options.length + 1, rows)])
    ids = draw.integers(5, 1000, starts[-1]).astype(np.int32)
    return TextSet(Tokens(ids, None, starts, pad_id), draw.integers(0, 2, rows), width=1, truncated=0)


def configuration(model: str, method: str, options: argparse.Namespace) -> RunConfig:
    """The run that is measured; PEFT's prefix tuning is counted as the deep prompts that it is."""
    from ptv2.config.compose import compose

    method = OURS if method in (TOGETHER, PEFT) else method
    dtype = "float32" if method == "fine-tuning" else "bfloat16"
    checkpointing = str(options.checkpointing).lower()
    return compose(
        [
            f"model={model}",
            f"method={method}",
            f"prompt.length={options.prompt}",
            f"model.dtype={dtype}",
            f"model.gradient_checkpointing={checkpointing}",
            "trainer.precision=bf16",
            f"trainer.batch_size={options.batch}",
            "trainer.epochs=1",
            "trainer.checkpoint_minutes=10000",
        ]
    )


def ours(
    config: RunConfig, options: argparse.Namespace, folder: Path, backbone: Backbone | None = None
) -> tuple[list[Stopwatch], int, float]:
    """Train one of ptv2's methods: the clock, how many numbers are trained, and the mean length of texts."""
    from ptv2.models.build import HeadSpec, build_model, describe
    from ptv2.training.device import make_accelerator
    from ptv2.training.together import current_member
    from ptv2.training.trainer import Trainer

    accelerator: Accelerator = make_accelerator(config.trainer)
    head = HeadSpec("classification", 2)
    model = random_model(config, head) if backbone is None else build_model(config, head, backbone=backbone)
    if (member := current_member()) is not None:
        member.join(model, accelerator)
    examples, watch = texts(options, model.config.pad_token_id or 0), Stopwatch(options.steps)
    trainer = Trainer(
        model,
        examples,
        lambda check: {"accuracy": 0.0},
        "accuracy",
        config=config.trainer,
        optim=config.optim,
        seed=config.seed,
        folder=folder,
        accelerator=accelerator,
        monitor=watch,
    )
    try:
        trainer.fit()
    except EnoughError:
        return [watch], describe(model)["trained"], float(examples.lengths.mean())
    raise AssertionError("the last step was not seen")


def several(config: RunConfig, options: argparse.Namespace, folder: Path) -> tuple[list[Stopwatch], int, float]:
    """The same for as many seeds as `--together` says, over one backbone."""
    from ptv2.training.together import Group

    group = Group(print)
    done: list[tuple[list[Stopwatch], int, float]] = []

    def train(seed: int) -> None:
        of_seed = config.model_copy(update={"seed": seed})
        backbone = group.backbone(of_seed)
        if group.reason is not None:
            raise SystemExit(f"not together: {group.reason}")
        done.append(ours(of_seed, options, folder / str(seed), backbone))

    group.run([partial(train, seed) for seed in range(options.together)])
    return [watch for watches, *_ in done for watch in watches], sum(trained for _, trained, _ in done), done[0][2]


def random_model(config: RunConfig, head: HeadSpec) -> PromptedModel:
    """The model of `config` with random weights, made on the device."""
    import torch
    from transformers import AutoModel

    from ptv2.models.backbones import Identity, load_backbone
    from ptv2.models.build import build_model
    from ptv2.models.configs import attention_name, random_config

    torch.manual_seed(0)
    shape = random_config(config.model)
    with where():
        made = AutoModel.from_config(
            shape, attn_implementation=attention_name(shape, config.model), dtype=getattr(torch, config.model.dtype)
        )
    return build_model(
        config, head, backbone=load_backbone(config.model, config.seed, (made, Identity("random", None, ""), True))
    )


def peft(config: RunConfig, options: argparse.Namespace, folder: Path) -> tuple[list[Stopwatch], int, float]:
    """The same for PEFT's prefix tuning with transformers' own classification model and Trainer."""
    import torch
    from peft import PrefixTuningConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    from ptv2.models.configs import random_config

    shape = random_config(config.model)
    shape.num_labels = 2
    if shape.pad_token_id is None:
        shape.pad_token_id = shape.eos_token_id
    with where():
        base = AutoModelForSequenceClassification.from_config(shape, dtype=torch.bfloat16)
    if config.model.gradient_checkpointing:
        base.gradient_checkpointing_enable()
    model = get_peft_model(base, PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=config.prompt.length))
    examples, watch = texts(options, shape.pad_token_id), Stopwatch(options.steps)

    class Watching(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            watch.stepped(state.global_step, 0.0, 0.0)

    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=options.batch,
        learning_rate=config.optim.lr,
        bf16=True,
        logging_steps=10,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=where().type == "cpu",
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=range(len(examples)),
        data_collator=examples.batch,
        callbacks=[Watching()],
    )
    try:
        trainer.train()
    except EnoughError:
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        return [watch], trained, float(examples.lengths.mean())
    raise AssertionError("the last step was not seen")


def count(config: RunConfig, rows: int, length: int) -> Any:
    """What `ptv2 plan` says of the step."""
    import torch

    from ptv2.models.build import HeadSpec
    from ptv2.models.configs import random_config
    from ptv2.models.ledger import count_step, without_contents
    from ptv2.models.outline import outline

    with without_contents():
        model = outline(config, HeadSpec("classification", 2), random_config(config.model))
        ids = torch.zeros((rows, length), dtype=torch.long)
        labels = torch.zeros(rows, dtype=torch.long)
        return count_step(
            model, {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}, half=True
        )


def page(rows: list[Row], rate: Row, options: argparse.Namespace) -> str:
    """The measurements as Markdown."""
    from importlib.metadata import version

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    lines = [
        f"`{' '.join(['python', 'benchmarks/gpu_large.py', *sys.argv[1:]])}`",
        "",
        f"{rate['device']}, {rate['memory'] / 2**30:.0f} GiB; bf16 matrix product {rate['rate'] / 1e12:.1f} TFLOP/s; "
        f"python {platform.python_version()}, {versions}; random weights, texts of up to {options.length} tokens, "
        f"prompts of {options.prompt}; means of {options.steps} steps; together: {options.together} seeds",
        "",
        "| model | method | trained | texts a step | s a step | tokens/s | of the rate | peak GiB | planned GiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [line(row, rate["rate"]) for row in rows]
    for model in dict.fromkeys(row["model"] for row in rows):
        measured = [row for row in rows if row["model"] == model and not row.get("checkpointing", True)]
        seconds = {row["method"]: row["seconds"] / row["batch"] for row in measured}
        if {OURS, TOGETHER} <= seconds.keys():
            share = seconds[TOGETHER] / seconds[OURS]
            compared = f"{model}: {options.together} seeds together take {share:.2f} of the time of as many runs"
            lines += ["", f"{compared}; goal {GOAL}: {'' if share <= GOAL else 'not '}reached."]
    lines += ["", "The largest that each method trained:", ""]
    for method in METHODS:
        trained = [row for row in rows if row["method"] == method and "failed" not in row]
        lines.append(f"- {method}: {trained[-1]['model'] if trained else 'none'}")
    return "\n".join(lines)


def line(row: Row, rate: float) -> str:
    """A row of the table."""
    if "failed" in row:
        return f"| {row['model']} | {row['method']} | {row['failed']} | | | | | | |"
    batch = f"{row['batch']}, gradient checkpointing" if row["checkpointing"] else str(row["batch"])
    tokens = row["batch"] * row["tokens"] / row["seconds"]
    share = row["operations"] / row["seconds"] / rate
    peak = "" if row["peak"] is None else f"{row['peak'] / 2**30:.1f}"
    return (
        f"| {row['model']} | {row['method']} | {row['trained']:,} | {batch} | {row['seconds']:.3f} | {tokens:,.0f} | "
        f"{100 * share:.0f} % | {peak} | {row['planned'] / 2**30:.1f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
