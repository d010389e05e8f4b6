"""Frozen linear maps: the same numbers as torch's, only where nothing of them is trained."""

from __future__ import annotations

import pytest
import torch
from tiny import gradients, mean_loss, tiny_batch, tiny_model
from torch import nn

from ptv2.models import linear
from ptv2.models.linear import FrozenLinear, use_frozen_linear


@pytest.fixture(autouse=True)
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use oneDNN's product on whatever processor the tests run."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(linear, "is_faster", lambda: True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 8), (1, 8)])
def test_output_and_gradient_are_those_of_a_plain_linear(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(8, 12, bias=bias).requires_grad_(False)
    frozen = nn.Sequential(nn.Linear(8, 12, bias=bias)).requires_grad_(False)
    frozen[0].load_state_dict(plain.state_dict())
    use_frozen_linear(frozen)
    assert type(frozen[0]) is FrozenLinear
    x = torch.randn(*shape[:-1], 16)[..., ::2]  # not contiguous
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = torch.randn(*shape[:-1], 12)
    (plain(one) * weights).sum().backward()
    (frozen(other) * weights).sum().backward()
    torch.testing.assert_close(frozen(x), plain(x), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(other.grad, one.grad, atol=1e-6, rtol=1e-5)
    assert set(frozen.state_dict()) == {f"0.{name}" for name in plain.state_dict()}


@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 8)])
def test_the_output_can_be_changed_in_place(shape: tuple[int, ...]) -> None:
    """As Longformer does with its queries."""
    frozen = nn.Sequential(nn.Linear(8, 12)).requires_grad_(False)
    expected, x = frozen(torch.ones(shape)) / 2, torch.ones(shape, requires_grad=True)
    use_frozen_linear(frozen)
    output = frozen(x)
    output /= 2
    output.sum().backward()
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(x.grad, (frozen[0].weight.sum(0) / 2).expand(shape))


def test_trained_maps_stay_as_they_are() -> None:
    model = nn.ModuleDict({"frozen": nn.Linear(4, 4).requires_grad_(False), "trained": nn.Linear(4, 4)})
    use_frozen_linear(model)
    assert type(model["frozen"]) is FrozenLinear
    assert type(model["trained"]) is nn.Linear


def test_a_map_that_is_trained_later_gets_its_gradient() -> None:
    model = nn.Sequential(nn.Linear(4, 4)).requires_grad_(False)
    use_frozen_linear(model)
    model.requires_grad_(True)
    model(torch.randn(2, 4)).sum().backward()
    assert model[0].weight.grad is not None


def test_autocast_gives_the_lower_precision() -> None:
    model = nn.Sequential(nn.Linear(4, 4)).requires_grad_(False)
    use_frozen_linear(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(torch.randn(2, 4)).dtype == torch.bfloat16


def test_a_weight_that_is_changed_is_used() -> None:
    """As loading an artifact or a checkpoint into a model that has been trained does."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3)).requires_grad_(False)
    use_frozen_linear(model)

    def gradient() -> torch.Tensor:
        x = torch.ones(1, 4, requires_grad=True)
        model(x).sum().backward()
        assert x.grad is not None
        return x.grad

    first = gradient()
    with torch.no_grad():
        model[0].weight.mul_(2)
    torch.testing.assert_close(gradient(), 2 * first)
    model[0].weight = nn.Parameter(model[0].weight.detach() * 2, requires_grad=False)
    torch.testing.assert_close(gradient(), 4 * first)


@pytest.mark.parametrize("capability", ["AVX2", "DEFAULT", "SVE256"])
def test_other_processors_keep_the_product_of_torch(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    model = nn.Sequential(nn.Linear(4, 3)).requires_grad_(False)
    use_frozen_linear(model)
    assert type(model[0]) is nn.Linear


def test_maps_below_lora_are_frozen_and_lora_is_trained_as_without() -> None:
    found = []
    for wanted in (nn.Linear, FrozenLinear):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(linear, "is_faster", lambda wanted=wanted: wanted is FrozenLinear)
            model = tiny_model("bert", "lora").train()
        layer = model.backbone.get_submodule("encoder.layer.1.attention.self.query")
        assert type(layer.base_layer) is wanted
        assert type(layer.lora_A["default"]) is nn.Linear  # type: ignore[index]
        mean_loss(model, tiny_batch()).backward()
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)
