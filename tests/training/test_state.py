"""Training state on disk: what is torn or altered is recognised, and the state before is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ptv2.training import state


def tensors(value: float = 1.0) -> dict[str, Tensor]:
    """Some of every kind that a state holds."""
    return {
        "model.prompt": torch.full((2, 3), value),
        "model.half": torch.full((2,), value, dtype=torch.bfloat16),
        "optim.0.step": torch.tensor(7.0),
        "random.0.cpu": torch.arange(5, dtype=torch.uint8),
        "empty": torch.zeros(0, 4),
    }


def save(folder: Path, step: int, best_file: str | None = None) -> Path:
    state.save_state(folder, step, tensors(step), {"step": step, "best_file": best_file})
    return folder / f"state-{step:08d}.safetensors"


def steps_on_disk(folder: Path, kind: str = "state") -> list[int]:
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob(f"{kind}-*.safetensors"))


def step_of(found: tuple[dict[str, Tensor], dict[str, Any]] | None) -> int | None:
    return None if found is None else found[1]["step"]


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


# One file


def test_equal_contents_are_equal_files(tmp_path: Path) -> None:
    for name in range(8):
        state.save_tensors(tmp_path / str(name), tensors(), {"step": 3, "note": "ü"})
    assert len({(tmp_path / str(name)).read_bytes() for name in range(8)}) == 1


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    record = {"step": 3, "best": {"accuracy": 61.25}, "note": "ü \n {"}
    state.save_tensors(tmp_path / "a", tensors(), record)
    found = state.load_tensors(tmp_path / "a")
    assert found is not None
    assert equal(found[0], tensors())
    assert found[1] == record
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_view_of_a_larger_tensor_is_saved_as_itself(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4).requires_grad_()
    state.save_tensors(tmp_path / "a", {"view": whole[:, 1], "transposed": whole.T}, {})
    found = state.load_tensors(tmp_path / "a")
    assert found is not None
    assert equal(found[0], {"view": whole[:, 1].detach(), "transposed": whole.T.detach()})


def test_every_altered_byte_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte of the file in turn, header and data; a change that alters nothing that is read may pass."""
    monkeypatch.setattr("os.fsync", lambda handle: None)  # a thousand times it would take long
    path = tmp_path / "state-00000001.safetensors"
    state.save_state(tmp_path, 1, tensors(), {"step": 1, "best_file": None})
    content = path.read_bytes()
    passed = 0
    for place in range(len(content)):
        for mask in (1, 0x20, 0x80):
            path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
            found = state.load_tensors(path)
            assert found is None or (equal(found[0], tensors()) and found[1] == {"step": 1, "best_file": None})
            passed += found is not None
        state.save_best(tmp_path, "best-00000002.safetensors", {}, {})  # looks into it as well
    assert passed < 20  # such as one kind of white space for another


def test_every_torn_file_is_recognised(tmp_path: Path) -> None:
    state.save_tensors(tmp_path / "a", tensors(), {"step": 1})
    content = (tmp_path / "a").read_bytes()
    for length in range(len(content)):
        (tmp_path / "a").write_bytes(content[:length])
        assert state.load_tensors(tmp_path / "a") is None, length
    (tmp_path / "a").write_bytes(content + b"\0")
    assert state.load_tensors(tmp_path / "a") is None
    assert state.load_tensors(tmp_path / "missing") is None


# The states of a run


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


SPOIL = pytest.mark.parametrize("spoil", [truncate, flip, empty, Path.unlink])


def test_only_the_last_two_states_are_kept(tmp_path: Path) -> None:
    assert state.latest_state(tmp_path) is None
    for step in (5, 10, 20, 100):
        save(tmp_path, step)
        assert step_of(state.latest_state(tmp_path)) == step
    assert steps_on_disk(tmp_path) == [20, 100]
    save(tmp_path, 100)  # the last is written again at the end
    assert steps_on_disk(tmp_path) == [20, 100]


@SPOIL
def test_the_state_before_is_used(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    save(tmp_path, 10)
    spoil(save(tmp_path, 20))
    found = state.latest_state(tmp_path)
    assert step_of(found) == 10
    assert found is not None
    assert equal(found[0], tensors(10))
    save(tmp_path, 15)  # the run goes on from there
    assert step_of(state.latest_state(tmp_path)) == 15
    spoil(tmp_path / "state-00000015.safetensors")
    assert step_of(state.latest_state(tmp_path)) in (10, None)


@SPOIL
def test_a_state_without_its_best_weights_is_not_used(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    for step in (10, 20):
        state.save_best(tmp_path, f"best-{step:08d}.safetensors", tensors(step), {"step": step})
        save(tmp_path, step, best_file=f"best-{step:08d}.safetensors")
    spoil(tmp_path / "best-00000020.safetensors")
    assert step_of(state.latest_state(tmp_path)) == 10


def test_best_weights_stay_as_long_as_a_state_needs_them(tmp_path: Path) -> None:
    def best(step: int) -> str:
        name = f"best-{step:08d}.safetensors"
        state.save_best(tmp_path, name, tensors(step), {"step": step})
        return name

    first = best(10)
    save(tmp_path, 10, first)
    second = best(20)
    save(tmp_path, 20, second)
    assert steps_on_disk(tmp_path, "best") == [10, 20]
    third = best(30)  # not in a state yet: a kill now goes on from 20 with the best of 20, or from 10 with that of 10
    assert steps_on_disk(tmp_path, "best") == [10, 20, 30]
    save(tmp_path, 30, third)
    best(40)
    assert steps_on_disk(tmp_path, "best") == [20, 30, 40]


# What is in a state


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.rand(4, 3)).square().sum().backward()
        optimizer.step()


def test_optimizer_and_random_states_go_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    train(model, optimizer, 3)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state.save_state(tmp_path, 3, {**state.optimizer_tensors(optimizer), **state.random_state()}, {"step": 3})
    train(model, optimizer, 3)

    again = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 2))
    again.load_state_dict(weights)
    fresh = torch.optim.AdamW(again.parameters(), lr=0.1)
    found = state.latest_state(tmp_path)
    assert found is not None
    state.restore_optimizer(fresh, found[0])
    state.restore_random_state(found[0])
    train(again, fresh, 3)
    assert equal(dict(again.state_dict()), dict(model.state_dict()))


class Device:
    """What torch has for one kind of GPU."""

    def __init__(self) -> None:
        self.state = torch.arange(4, dtype=torch.uint8)

    def get_rng_state(self) -> Tensor:
        return self.state

    def set_rng_state(self, state: Tensor) -> None:
        self.state = state


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_the_random_state_of_any_gpu_is_kept(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))
    monkeypatch.setattr(torch, "get_device_module", {kind: device}.__getitem__)
    kept = state.random_state()
    device.state = torch.zeros(4, dtype=torch.uint8)
    state.restore_random_state(kept)
    assert device.state.tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    state.restore_random_state(kept)  # begun on a GPU, gone on with without
    assert state.random_state().keys() == {"cpu"}


def test_the_scale_of_losses_goes_on_as_if_nothing_had_been() -> None:
    """Its kernels refuse a fraction where they count steps."""

    def step(scaler: torch.amp.GradScaler) -> None:
        weight = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        scaler.scale(weight.sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    usual, again = (torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3) for _ in range(2))
    step(usual)
    state.restore_scaler(again, state.scaler_tensors(usual))
    for _ in range(4):
        step(usual)
        step(again)
        assert again.state_dict() == usual.state_dict()
    assert usual.get_scale() == 16.0
    state.restore_scaler(again, {})  # a state of a run in another precision
