"""Accelerate's entry point, and what a device's memory says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, GradientAccumulationPlugin
from torch import nn

from ptv2.config.schema import TrainerConfig
from ptv2.errors import ConfigError, NetworkError, TrainingError, first_line, has_no_memory
from ptv2.variables import fault_of_variable


def make_accelerator(config: TrainerConfig, *, idle_heads: bool = False) -> Accelerator:
    """An `Accelerator` for device and precision of `config`; a sweep makes one for every run in turn.

    Args:
        idle_heads: whether a step may leave some of the trained parameters without a gradient.

    Raises:
        ConfigError: fp16 without a GPU, or variables of the environment that Accelerate does not take.
        NetworkError: the processes do not meet.
    """
    # A sweep's runs may differ in precision and device; accelerate keeps the first ones otherwise.
    AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", "1")) == 1)
    precision = {"fp32": "no", "tf32": "no"}.get(config.precision, config.precision)
    # Said outright, or accelerate would take several processes on a CPU for so many runs of one.
    cpu = _is_on_cpu(config)
    if needs_other_precision(config):
        gpu = {"fp16": "a GPU", "tf32": "a GPU of Nvidia"}[config.precision]
        raise ConfigError(f"trainer.precision={config.precision} needs {gpu}; expected fp32 or bf16 on a CPU")
    # For every run of a sweep anew; "highest" is torch's default.
    torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)] if idle_heads else None
    try:
        return Accelerator(
            cpu=cpu,
            mixed_precision=precision,
            # Said outright, or variables that `accelerate launch` sets would scale the gradients or compile the model.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            dynamo_backend="no",
            kwargs_handlers=handlers,
        )
    except (ValueError, ImportError, RuntimeError) as error:  # of variables that torchrun and accelerate set
        if (fault := fault_of_variable(error)) is not None:
            raise ConfigError(fault) from error
        if isinstance(error, torch.distributed.DistError):
            address = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
            raise NetworkError(f"the processes do not meet at {address} (MASTER_ADDR): {first_line(error)}") from error
        if isinstance(error, RuntimeError):
            raise
        raise ConfigError(f"the environment (WORLD_SIZE, LOCAL_RANK, ACCELERATE_...): {first_line(error)}") from error


def needs_other_precision(config: TrainerConfig) -> bool:
    """Whether the precision of `config` is one of GPUs alone, and there is none to be used."""
    return config.precision in ("fp16", "tf32") and (_is_on_cpu(config) or not torch.cuda.is_available())


def _is_on_cpu(config: TrainerConfig) -> bool:
    return config.device == "cpu" or not torch.accelerator.is_available()


_trainings = count()  # in this process


class MemoryMeter:
    """The peak memory of one training: allocated on a GPU, else resident memory of the process.

    The latter is a peak since the process began. After another training in the same process, as in a sweep, it says
    nothing about this one.
    """

    def __init__(self, device: torch.device) -> None:
        """Begin to measure, when the model is built and not yet trained."""
        self._device = device
        self._earlier = next(_trainings)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._before = self._peak()

    def record(self) -> dict[str, Any]:
        """Bytes at the peak and before the training, and what they are of; None where they are not known."""
        if self._device.type == "cuda":
            return {"peak": self._peak(), "before_training": self._before, "what": "allocated on the GPU"}
        if self._earlier:
            what = f"not measured: trainings before it in the same process: {self._earlier}"
            return {"peak": None, "before_training": None, "what": what}
        what = "resident memory of the process"
        return {"peak": self._peak(), "before_training": self._before, "what": what}

    def _peak(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return peak_memory()


def peak_memory() -> int:
    """The most bytes of memory that this process had at once."""
    import psutil

    with suppress(ImportError):  # Windows
        import resource

        if sys.platform != "win32":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1024
    about = psutil.Process().memory_info()
    return int(getattr(about, "peak_wset", about.rss))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python means that memory ran out."""
    return isinstance(error, torch.OutOfMemoryError) or has_no_memory(error)


def accelerator_kind() -> str | None:
    """What computes here besides the CPU: `cuda` (also AMD's), `mps` (Apple's), `xpu` (Intel's); None: nothing."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return None if device is None else device.type


def empty_cache() -> None:
    """Give a GPU's free memory back to it, so that it can be cut into other pieces."""
    if (kind := accelerator_kind()) is not None:
        torch.get_device_module(kind).empty_cache()


@contextmanager
def naming_memory(config: TrainerConfig) -> Iterator[None]:
    """Turn memory that runs out into a `TrainingError` that names the settings it depends on."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"out of memory (trainer.batch_size={config.batch_size}, trainer.accumulation={config.accumulation}, "
            f"trainer.eval_batch_size={config.eval_batch_size}, trainer.precision={config.precision}); "
            "to go on from here make trainer.eval_batch_size smaller, or add trainer.halve_on_oom=true or "
            "model.gradient_checkpointing=true"
        ) from error


def release(model: nn.Module) -> None:
    """Take off what Accelerate puts on a model for mixed precision, once it is not used any more.

    That `forward` refers to the model itself, which would keep a whole backbone in memory until Python looks for
    cycles, while the next run of a sweep loads its own.
    """
    for name in ("forward", "_original_forward"):
        model.__dict__.pop(name, None)
