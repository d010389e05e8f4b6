"""How fast this machine multiplies matrices in a precision, measured in a moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from ptv2.config.schema import Precision

# A layer of a small backbone reading a small batch: rows, inputs, outputs.
SIZES = (512, 384, 1536)
OPERATIONS = 2 * SIZES[0] * SIZES[1] * SIZES[2]
SECONDS = 0.1  # of measuring, after one product to warm up
# Share of a training step's time that products take (results/step_time.md has a profile); the rest is attention's
# softmax, norms and the optimizer.
IN_PRODUCTS = 0.7
# A precision is called slow from this factor on: less is noise.
SLOWER = 1.5
TYPES = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # in torch


@cache
def product_rate(precision: Precision, device: str) -> float:
    """Floating-point operations a second of matrix products on `device` (cpu, cuda); measured once in a process."""
    import torch

    kind = getattr(torch, TYPES[precision])
    rows, inputs, outputs = SIZES
    left = torch.ones(rows, inputs, dtype=kind, device=device)
    right = torch.ones(outputs, inputs, dtype=kind, device=device)

    def multiply() -> None:
        torch.nn.functional.linear(left, right)
        if device != "cpu":
            torch.cuda.synchronize()

    with torch.inference_mode(), _products_of(precision):
        multiply()
        times: list[float] = []
        while sum(times) < SECONDS:
            started = time.perf_counter()
            multiply()
            times.append(time.perf_counter() - started)
    return OPERATIONS / min(times)  # the fastest: others share the machine, and only make it slower


@contextmanager
def _products_of(precision: Precision) -> Iterator[None]:
    """Let products of float32 numbers be those of a precision, as a training does, while the context is open."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def training_seconds(operations: float, precision: Precision, device: str) -> float:
    """About how long a training takes that is counted as so many operations."""
    return operations * IN_PRODUCTS**-1 / product_rate(precision, device)


def training_device(setting: str) -> str:
    """The device that `trainer.device` (auto, cpu) means here: cpu or cuda."""
    import torch

    return "cuda" if setting == "auto" and torch.cuda.is_available() else "cpu"


def slow_precision(precision: Precision, device: str) -> str | None:
    """What to say of a precision that this device is slower in than in fp32; None where it is not."""
    if precision == "fp32" or device != "cpu":
        return None
    factor = product_rate("fp32", device) / product_rate(precision, device)
    if factor < SLOWER:
        return None
    return (
        f"trainer.precision={precision}: this processor has no units for it and is {factor:.1f} times slower than in "
        "fp32 (measured on one product); trainer.precision=fp32 is faster here"
    )
