"""Dropout and attention with it: rate, scale, gradients, and the same numbers as written out with the same mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ptv2.models.dropout import Dropout, attention_with_dropout, dropout, keep_mask, use_compact_dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_met_and_the_mean_kept(rate: float) -> None:
    torch.manual_seed(0)
    values = dropout(torch.ones(1000, 1001), rate)  # an odd number: the last word is cut
    assert (values == 0).float().mean().item() == pytest.approx(rate, abs=0.002)
    assert values.mean().item() == pytest.approx(1.0, abs=0.01)


def test_the_gradient_goes_where_the_values_went() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 7, requires_grad=True)
    out = dropout(x, 0.3)
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (out != 0).float() / 0.7)


def test_the_seed_decides() -> None:
    torch.manual_seed(3)
    first = keep_mask(torch.Size((10, 10)), 0.5)
    second = keep_mask(torch.Size((10, 10)), 0.5)
    torch.manual_seed(3)
    assert torch.equal(keep_mask(torch.Size((10, 10)), 0.5), first)
    assert not torch.equal(first, second)


def test_modules_drop_in_training_only_and_keep_their_kind() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5, inplace=True), nn.Dropout1d(0.5))
    use_compact_dropout(model)
    assert [type(part) for part in model] == [Dropout, nn.Dropout, nn.Dropout1d]
    x = torch.ones(100)
    assert torch.equal(model[0].eval()(x), x)
    assert set(model[0].train()(x).tolist()) == {0.0, 2.0}
    assert str(model[0]) == "Dropout(p=0.5, inplace=False)"


MASKS = {
    "none": None,
    "row": torch.tensor([0.0, 0.0, float("-inf"), 0.0, 0.0, -1e4]).view(1, 1, 1, 6).expand(2, -1, 4, -1),
    "boolean": torch.tensor([[True] * 6, [True] * 5 + [False]]).view(2, 1, 1, 6),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_attention_equals_attention_written_out_with_the_same_mask(mask: Tensor | None) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 4, 3, 8, dtype=torch.float64).transpose(1, 2)  # [2, 3, 4, 8] as the library gives it
    key, value = torch.randn(2, 2, 3, 6, 8, dtype=torch.float64).unbind(0)
    inputs = [x.clone().requires_grad_() for x in (query, key, value)]
    explicit = [x.clone().requires_grad_() for x in (query, key, value)]
    torch.manual_seed(1)
    out = attention_with_dropout(inputs[0], inputs[1], inputs[2], mask, 0.3, 0.4)
    torch.manual_seed(1)
    keep = keep_mask(torch.Size((2, 3, 4, 6)), 0.4)
    scores = explicit[0] @ explicit[1].transpose(-1, -2) * 0.3
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e300) if mask.dtype == torch.bool else scores + mask
    expected = (scores.softmax(-1) * keep / 0.6) @ explicit[2]
    torch.testing.assert_close(out, expected)
    direction = torch.randn_like(out)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    for got, wanted in zip(inputs, explicit, strict=True):
        torch.testing.assert_close(got.grad, wanted.grad)


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 3, 4, 6), (2, 1, 1, 6)])
def test_a_mask_that_is_computed_gets_its_gradient(shape: tuple[int, ...]) -> None:
    """As relative-position biases are."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, length, 8, dtype=torch.float64) for length in (4, 6, 6))
    mask = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    explicit = mask.detach().clone().requires_grad_()
    torch.manual_seed(1)
    out = attention_with_dropout(query, key, value, mask, 0.3, 0.4)
    torch.manual_seed(1)
    keep = keep_mask(torch.Size((2, 3, 4, 6)), 0.4)
    expected = ((query @ key.transpose(-1, -2) * 0.3 + explicit).softmax(-1) * keep / 0.6) @ value
    direction = torch.randn_like(out)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(mask.grad, explicit.grad)


def test_attention_in_half_precision_stays_there() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 3, 4, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        out = attention_with_dropout(query, key, value, None, 0.5, 0.1)
    out.sum().backward()
    assert out.dtype == torch.bfloat16
    assert query.grad is not None
    assert query.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("autocast", [True, False])
def test_attention_takes_what_a_rotation_in_float32_leaves(autocast: bool) -> None:
    """Under autocast query and key may be float32 beside a value in bfloat16; stock attention takes these too."""
    query, key, value = (torch.randn(2, 2, 5, 4) for _ in range(3))
    value = value.bfloat16()
    dtype = torch.bfloat16 if autocast else torch.float32
    with torch.autocast("cpu", enabled=autocast, dtype=torch.bfloat16):
        out = attention_with_dropout(query, key, value, None, 0.5, 1e-9)
    assert out.dtype == dtype
    expected = nn.functional.scaled_dot_product_attention(query.to(dtype), key.to(dtype), value.to(dtype))
    torch.testing.assert_close(out, expected, rtol=0.05, atol=0.05)
