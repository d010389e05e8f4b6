"""Step time and peak memory of the three methods, of stock torch and of PEFT: same backbone, batch and lengths.

    python benchmarks/step_time.py [--precision fp32|bf16] [--dropout off|on] [--batch 32] [--length 64] [--rounds 3]
    python benchmarks/step_time.py --instructions avx2        # as on a processor that has no AVX-512
    python benchmarks/step_time.py --profile p-tuning-v2      # where the time of one method's steps goes

`p-tuning-v2 in stock torch` is the same model without our own products, dropout and attention on a CPU.

The methods take turns, step by step, in one process a round, so that whatever else the machine does slows all of them;
what counts are the ratios within one run. A step is forward, backward, clipping and AdamW on random tokens. Memory is
what a step has allocated at its peak (activations, gradients) and what the optimizer keeps, without the weights: on a
CPU counted exactly, from the allocator's events of one further step. `--dropout on` leaves the backbone's own dropouts
at the checkpoint's rates, and puts 0.1 on the prompts, which PEFT does not have.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

STOCK, PEFT = "p-tuning-v2 in stock torch", "peft prefix-tuning"
METHODS = ("fine-tuning", "prompt-tuning", "p-tuning-v2", STOCK, PEFT)
# What torch, oneDNN and MKL read to use no newer instructions than these.
INSTRUCTIONS = {
    "native": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
WARM_UP = 3


def main() -> int:
    """Run all measurements and print the table; exit 1 if the goals of p-tuning-v2 are missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--dropout", choices=["off", "on"], default="off")
    parser.add_argument("--instructions", choices=INSTRUCTIONS, default="native", help="of the processor, at most")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each method")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--profile", choices=METHODS, help="print the operations of three steps of this method")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    options = parser.parse_args()
    if options.one_round:
        print(json.dumps(measure(options)))
        return 0
    if options.profile:
        print(profile(options.profile, options))
        return 0
    rounds = []
    for _ in range(options.rounds):
        words = [sys.executable, __file__, *sys.argv[1:], "--one-round"]
        surroundings = {**os.environ, **INSTRUCTIONS[options.instructions]}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=surroundings)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        for line in done.stderr.splitlines():
            if line.startswith("left out"):
                print(line, file=sys.stderr)
        rounds.append(json.loads(done.stdout.splitlines()[-1]))
    measurements = {method: [one[method] for one in rounds] for method in rounds[0]}
    if options.json:
        print(json.dumps(measurements))
    return report(measurements, options)


def prepare(method: str, options: argparse.Namespace) -> tuple[Callable[[], None], Any, Any]:
    """A function that makes one step, the optimizer and the device."""
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loss, parameters, vocabulary = MAKERS[method](method, options, device)
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0, fused=device.type == "cpu" or None)
    ids = torch.randint(1000, vocabulary - 1, (options.batch, options.length), device=device)
    mask = torch.ones_like(ids)
    mask[::2, options.length * 3 // 4 :] = 0  # half of the rows are padded, as in a real batch
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(0, 2, (options.batch,), device=device)}

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            value = loss(batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step, optimizer, device


def profile(method: str, options: argparse.Namespace) -> str:
    """The operations that three steps spend most time in, each counted without what it calls."""
    import torch

    step, _, _ = prepare(method, options)
    for _ in range(WARM_UP):
        step()
    with torch.profiler.profile() as found:
        for _ in range(3):
            step()
    return str(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=15))


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """For each method the median seconds of a step, and bytes of memory above the loaded weights."""
    import torch

    prepared = {}
    for method in METHODS:
        try:
            prepared[method] = prepare(method, options)
            prepared[method][0]()
        except ValueError as error:
            if method != PEFT:
                raise
            print(f"left out: {method}: {error}", file=sys.stderr)  # PEFT refuses it with transformers 5.24
            prepared.pop(method, None)
    methods = tuple(prepared)
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    for turn in range(WARM_UP + options.steps):
        first = turn % len(methods)
        for method in methods[first:] + methods[:first]:
            started = time.perf_counter()
            prepared[method][0]()
            if turn >= WARM_UP:
                seconds[method].append(time.perf_counter() - started)
    found = {}
    for method, (step, optimizer, device) in prepared.items():
        state = sum(t.nbytes for group in optimizer.state.values() for t in group.values() if torch.is_tensor(t))
        found[method] = {"seconds": statistics.median(seconds[method]), "bytes": peak(step, device) + state}
    return found


def ours(method: str, options: argparse.Namespace, device: Any) -> tuple[Callable[[Any], Any], list[Any], int]:
    """Loss function, trained parameters and vocabulary size of one of ptv2's methods."""
    from ptv2.config.compose import compose
    from ptv2.models.build import HeadSpec, build_model, trainable_parameters

    words = [f"model={options.model}", f"method={method.split()[0]}", f"prompt.length={options.prompt}"]
    if options.dropout == "off":
        words += ["model.hidden_dropout=0", "model.attention_dropout=0", "prompt.dropout=0", "head.dropout=0"]
    config = compose(words)
    products = stock_torch if method == STOCK else contextlib.nullcontext
    with products():
        model = build_model(config, HeadSpec("classification", 2)).to(device).train()

    def loss(batch: Any) -> Any:
        with products():
            out = model(batch)
        return out["loss_sum"] / out["count"]

    groups = trainable_parameters(model).values()
    return loss, [p for group in groups for p in group.values()], model.backbone.config.vocab_size


@contextlib.contextmanager
def stock_torch() -> Iterator[None]:
    """Leave torch's own products, dropout and attention in models that are built, and run, within this context."""
    from ptv2.models import attention, build, dropout

    def leave(module: Any) -> None:
        """Change nothing."""

    with (
        mock.patch.object(build, "use_frozen_linear", leave),
        mock.patch.object(build, "use_compact_dropout", leave),
        mock.patch.object(attention, "drop", dropout.functional.dropout),
        mock.patch.object(attention, "attention_with_dropout", stock_attention),
    ):
        yield


def stock_attention(query: Any, key: Any, value: Any, mask: Any, scaling: float, rate: float) -> Any:
    """`attention_with_dropout` as torch has it."""
    from torch.nn.functional import scaled_dot_product_attention

    return scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate, scale=scaling)


def peft(method: str, options: argparse.Namespace, device: Any) -> tuple[Callable[[Any], Any], list[Any], int]:
    """The same for PEFT's prefix tuning with transformers' own classification model."""
    from peft import PrefixTuningConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    from ptv2.config.compose import compose
    from ptv2.models.checkpoints import resolve

    folder, _ = resolve(compose([f"model={options.model}"]).model)
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} if options.dropout == "off" else {}
    base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, **rates)
    model = get_peft_model(base, PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=options.prompt))
    model.to(device).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    return lambda batch: model(**batch).loss, parameters, base.config.vocab_size


MAKERS = dict.fromkeys(METHODS[:4], ours) | {PEFT: peft}


def peak(step: Callable[[], None], device: Any) -> int:
    """Bytes that one step has allocated at its peak, beyond what there was before it."""
    import torch

    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() - before
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        step()
    events = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    level = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        most = max(most, level)
    return most


def used_instructions(options: argparse.Namespace) -> str:
    """What torch says that it uses."""
    words = [sys.executable, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())"]
    surroundings = {**os.environ, **INSTRUCTIONS[options.instructions]}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=surroundings).stdout.strip()


def report(measurements: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> int:
    """Print the table as Markdown, with the goals that p-tuning-v2 has to reach."""
    from importlib.metadata import version

    from ptv2.run_folders.environment import environment

    machine = environment()
    seconds = {method: statistics.median(m["seconds"] for m in rows) for method, rows in measurements.items()}
    space = {method: statistics.median(m["bytes"] for m in rows) for method, rows in measurements.items()}
    base = METHODS[0]
    print(f"`{' '.join(['python', 'benchmarks/step_time.py', *sys.argv[1:]])}`\n")
    print(
        f"{options.model}, {options.precision}, dropout {options.dropout}, batch {options.batch} x {options.length} "
        f"tokens, prompt {options.prompt}, "
        f"{options.threads} threads, instructions {options.instructions} ({used_instructions(options)}); "
        f"{machine['processor']}, python {platform.python_version()}, "
        f"torch {version('torch')}, transformers {version('transformers')}, peft {version('peft')}; "
        f"medians of {options.rounds} rounds x {options.steps} steps\n"
    )
    print("| method | s a step | steps/s against fine-tuning | MiB beside the weights | memory against fine-tuning |")
    print("|---|---|---|---|---|")
    for method in measurements:
        speed, share = seconds[base] / seconds[method], space[method] / space[base]
        print(f"| {method} | {seconds[method]:.3f} | {speed:.2f} | {space[method] / 2**20:.0f} | {share:.2f} |")
    goals = {
        "not slower than stock torch": seconds["p-tuning-v2"] <= seconds[STOCK],
        "at most half of fine-tuning's memory": space["p-tuning-v2"] <= space[base] / 2,
    }
    if PEFT in seconds:
        goals["not slower than PEFT"] = seconds["p-tuning-v2"] <= seconds[PEFT]
    print()
    for goal, reached in goals.items():
        print(f"- p-tuning-v2 {goal}: {'yes' if reached else 'NO'}")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
