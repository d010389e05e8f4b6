"""Training state on disk: one self-checking safetensors file, written whole.

It holds everything an interrupted run needs to end like an uninterrupted one: trained weights, optimizer, position,
random states and the best so far. A torn or altered file is recognised by its checksum, and the one before it is used.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ptv2.tensor_files import DamagedFileError, read_tensors, write_tensors
from ptv2.training.device import accelerator_kind

STATE = re.compile(r"state-(\d+)\.safetensors")
RECORD = "record"  # key of the JSON record in a file's metadata
KEPT = 2  # states on disk: the newest, and the one to fall back to


def save_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON record into one file with a checksum over both."""
    write_tensors(path, tensors, RECORD, json.dumps(header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read such a file; None if it is missing, torn or altered.

    Raises:
        OSError: the file is there but cannot be opened now, which says nothing about its content.
    """
    try:
        text, tensors = read_tensors(path, RECORD)
    except (DamagedFileError, FileNotFoundError):
        return None
    return tensors, json.loads(text)


def save_state(folder: Path, step: int, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write the state after `step`, then drop the states before the last `KEPT`."""
    save_tensors(folder / f"state-{step:08d}.safetensors", tensors, header)
    for path in _states(folder)[KEPT:]:
        path.unlink(missing_ok=True)


def save_best(folder: Path, name: str, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write the best weights so far as best-STEP.safetensors; drop those that no state on disk refers to."""
    save_tensors(folder / name, tensors, header)
    needed = {name} | {_best_of(path) for path in _states(folder)}
    for path in folder.glob("best-*.safetensors"):
        if path.name not in needed:
            path.unlink(missing_ok=True)


def latest_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest whole state whose best weights are there too; None if the run has to start from the beginning."""
    for path in _states(folder):
        state = load_tensors(path)
        if state is None:
            continue
        best = state[1].get("best_file")
        if best is None or load_tensors(folder / best) is not None:
            return state
    return None


def drop_states_after(folder: Path, step: int) -> list[str]:
    """Remove the states after `step`, which a run that goes on from there cannot use; returns their names.

    Left on disk they would count as the newest: every state that the run saves until it has passed them would be
    dropped at once, and one whose best weights are written again would become valid in the middle of another course.
    """
    unusable = [path for path in _states(folder) if _step_of(path) > step]
    for path in unusable:
        path.unlink(missing_ok=True)
    return [path.name for path in unusable]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as named tensors `optim.<parameter>.<key>`."""
    state = optimizer.state_dict()["state"]
    return {f"optim.{i}.{key}": torch.as_tensor(value) for i, entry in state.items() for key, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put `optimizer_tensors` back; learning rates are set by the schedule at every step."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optim."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensor.clone()  # not a part of the file, which goes before it does
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def scaler_tensors(scaler: torch.amp.GradScaler) -> dict[str, Tensor]:
    """The state of fp16's loss scaling, as `scaler.<key>`."""
    return {f"scaler.{key}": torch.tensor(value, dtype=torch.float64) for key, value in scaler.state_dict().items()}


def restore_scaler(scaler: torch.amp.GradScaler, tensors: dict[str, Tensor]) -> None:
    """Put what `scaler_tensors` gave back, whole numbers as such, which its kernels need."""
    values = {
        key: type(value)(tensors[f"scaler.{key}"].item())
        for key, value in scaler.state_dict().items()
        if f"scaler.{key}" in tensors
    }
    if values:
        scaler.load_state_dict(values)


def random_state() -> dict[str, Tensor]:
    """The random states of this process, which dropout draws from."""
    state = {"cpu": torch.get_rng_state()}
    if (kind := accelerator_kind()) is not None:
        state[kind] = torch.get_device_module(kind).get_rng_state()
    return state


def restore_random_state(state: dict[str, Tensor]) -> None:
    """Put `random_state` back."""
    torch.set_rng_state(state["cpu"])
    if (kind := accelerator_kind()) in state:
        torch.get_device_module(kind).set_rng_state(state[kind])


def _states(folder: Path) -> list[Path]:
    states = (path for path in folder.glob("state-*.safetensors") if STATE.fullmatch(path.name))
    return sorted(states, key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def _best_of(path: Path) -> str | None:
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get(RECORD, "{}")).get("best_file")
    except (SafetensorError, OSError, ValueError, AttributeError):  # torn or altered: it will not be used
        return None
