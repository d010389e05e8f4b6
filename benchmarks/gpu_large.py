"""Large shapes on one GPU: time, rate and memory of a step for the three methods and PEFT, and what each can train.

    python benchmarks/gpu_large.py [--models roberta-large,deberta-xlarge,glm-xlarge,glm-xxlarge] [--batch 16]
                                   [--length 256] [--prompt 20] [--steps 10]

Weights are random (sizes from `config:` in conf/model), tokens too, so nothing is downloaded; half of the rows are
padded. Frozen backbones are kept in bfloat16; fine-tuning keeps float32 weights and computes under bf16 autocast. A
step is forward, backward, clipping and AdamW, at the shapes' own dropout rates. What does not fit is tried again with
one text a pass and gradient checkpointing. Every measurement is a process of its own. Operations are counted as `ptv2
plan` counts them, and their share is of the bf16 matrix product measured here.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from ptv2.config.schema import RunConfig
    from ptv2.models.build import PromptedModel

METHODS = ("fine-tuning", "prompt-tuning", "p-tuning-v2", "peft prefix-tuning")
MODELS = "roberta-large,deberta-xlarge,glm-xlarge,glm-xxlarge"
WARM_UP = 3
Row = dict[str, Any]


def main() -> int:
    """Measure all models and methods and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=MODELS, help="names in conf/model, in the order of their size")
    parser.add_argument("--batch", type=int, default=16, help="texts a step (default: 16)")
    parser.add_argument("--length", type=int, default=256, help="tokens a text (default: 256)")
    parser.add_argument("--prompt", type=int, default=20, help="length of prompts (default: 20)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of one measurement (default: 10)")
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
    given = [f"--{name}={getattr(options, name)}" for name in ("batch", "length", "prompt", "steps")]
    words = [sys.executable, __file__, *given, *more, "--measure", what]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return {"failed": "out of memory" if "OutOfMemory" in last or done.returncode == -9 else last[:150]}
    return json.loads(done.stdout.splitlines()[-1])


def matrix_rate() -> Row:
    """Operations a second of the best of many bf16 products of large square matrices."""
    import torch

    device = where()
    size = 8192 if device.type == "cuda" else 256
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = timed(lambda: left @ right, 20, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    total = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    return {"rate": 2 * size**3 / min(seconds), "device": name, "memory": total}


def measure(model: str, method: str, options: argparse.Namespace) -> Row:
    """Seconds, operations and peak bytes of one step of a method."""
    import torch

    device = where()
    torch.manual_seed(0)
    config = configuration(model, method, options)
    loss, parameters = (peft if method.startswith("peft") else ours)(config, device)
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
    shape = (options.batch, options.length)
    ids = torch.randint(5, 1000, shape, device=device)
    mask = torch.ones_like(ids)
    mask[1::2, options.length * 3 // 4 :] = 0
    labels = torch.randint(0, 2, (options.batch,), device=device)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            value = loss(batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(step, options.steps, device)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    counted = count(config, options)
    return {
        "seconds": statistics.median(seconds),
        "spread": max(seconds) - min(seconds),
        "trained": sum(p.numel() for p in parameters),
        "batch": options.batch,
        "checkpointing": options.checkpointing,
        "operations": counted.operations,
        "planned": counted.peak,
        "peak": peak,
    }


def where() -> torch.device:
    """The GPU, or to try the script without one the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def timed(step: Callable[[], Any], count: int, device: torch.device) -> list[float]:
    """Seconds of `count` calls, each waited for, after some to warm up."""
    import torch

    seconds = []
    for _ in range(WARM_UP + count):
        started = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return seconds[WARM_UP:]


def configuration(model: str, method: str, options: argparse.Namespace) -> RunConfig:
    """The run that is measured; PEFT's prefix tuning is counted as the deep prompts that it is."""
    from ptv2.config.compose import compose

    method = "p-tuning-v2" if method.startswith("peft") else method
    dtype = "float32" if method == "fine-tuning" else "bfloat16"
    checkpointing = str(options.checkpointing).lower()
    return compose(
        [
            f"model={model}",
            f"method={method}",
            f"prompt.length={options.prompt}",
            f"model.dtype={dtype}",
            f"model.gradient_checkpointing={checkpointing}",
        ]
    )


def ours(config: RunConfig, device: torch.device) -> tuple[Callable[[Any], Any], list[Any]]:
    """Loss function and trained parameters of one of ptv2's methods, its random backbone made on the device."""
    from ptv2.models.build import trainable_parameters

    model = random_model(config, device)

    def loss(batch: Any) -> Any:
        out = model(batch)
        return out["loss_sum"] / out["count"]

    return loss, [p for group in trainable_parameters(model).values() for p in group.values()]


def random_model(config: RunConfig, device: torch.device) -> PromptedModel:
    """The model of `config` with random weights."""
    import torch
    from transformers import AutoModel

    from ptv2.models.backbones import Identity, load_backbone
    from ptv2.models.build import HeadSpec, build_model
    from ptv2.models.configs import attention_name, random_config

    shape = random_config(config.model)
    with device:
        made = AutoModel.from_config(
            shape, attn_implementation=attention_name(shape, config.model), dtype=getattr(torch, config.model.dtype)
        )
    backbone = load_backbone(config.model, config.seed, (made, Identity("random", None, ""), True))
    return build_model(config, HeadSpec("classification", 2), backbone=backbone).to(device).train()


def peft(config: RunConfig, device: torch.device) -> tuple[Callable[[Any], Any], list[Any]]:
    """The same for PEFT's prefix tuning with transformers' own classification model."""
    import torch
    from peft import PrefixTuningConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    from ptv2.models.configs import random_config

    shape = random_config(config.model)
    shape.num_labels = 2
    if shape.pad_token_id is None:
        shape.pad_token_id = shape.eos_token_id
    with device:
        base = AutoModelForSequenceClassification.from_config(shape, dtype=torch.bfloat16)
    if config.model.gradient_checkpointing:
        base.gradient_checkpointing_enable()
    model = get_peft_model(base, PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=config.prompt.length))
    model.to(device).train()
    return lambda batch: model(**batch).loss, [p for p in model.parameters() if p.requires_grad]


def count(config: RunConfig, options: argparse.Namespace) -> Any:
    """What `ptv2 plan` says of the step."""
    import torch

    from ptv2.models.build import HeadSpec
    from ptv2.models.configs import random_config
    from ptv2.models.ledger import count_step, without_contents
    from ptv2.models.outline import outline

    with without_contents():
        model = outline(config, HeadSpec("classification", 2), random_config(config.model))
        ids = torch.zeros((options.batch, options.length), dtype=torch.long)
        labels = torch.zeros(options.batch, dtype=torch.long)
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
        f"python {platform.python_version()}, {versions}; random weights, {options.length} tokens a text, prompts of "
        f"{options.prompt}; medians of {options.steps} steps",
        "",
        "| model | method | trained | batch | s a step | tokens/s | of the matrix rate | peak GiB | planned GiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [line(row, rate["rate"], options.length) for row in rows]
    lines += ["", "The largest that each method trained:", ""]
    for method in METHODS:
        trained = [row for row in rows if row["method"] == method and "failed" not in row]
        lines.append(f"- {method}: {trained[-1]['model'] if trained else 'none'}")
    return "\n".join(lines)


def line(row: Row, rate: float, length: int) -> str:
    """A row of the table."""
    if "failed" in row:
        return f"| {row['model']} | {row['method']} | {row['failed']} | | | | | | |"
    batch = f"{row['batch']}, gradient checkpointing" if row["checkpointing"] else str(row["batch"])
    tokens = row["batch"] * length / row["seconds"]
    share = row["operations"] / row["seconds"] / rate
    peak = "" if row["peak"] is None else f"{row['peak'] / 2**30:.1f}"
    return (
        f"| {row['model']} | {row['method']} | {row['trained']:,} | {batch} | {row['seconds']:.3f} | {tokens:,.0f} | "
        f"{100 * share:.0f} % | {peak} | {row['planned'] / 2**30:.1f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
