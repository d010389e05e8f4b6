"""The speed of this machine, and what is said of a precision that it emulates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from ptv2.models import speed


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    speed.product_rate.cache_clear()
    yield
    speed.product_rate.cache_clear()


def rates(monkeypatch: pytest.MonkeyPatch, **known: float) -> None:
    monkeypatch.setattr(speed, "product_rate", lambda precision, device: known[precision])


def test_a_rate_is_what_a_product_takes() -> None:
    """Within a wide range, since the machine may be busy: no processor is outside of it."""
    assert 1e8 < speed.product_rate("fp32", "cpu") < 1e15
    assert speed.training_seconds(1e12, "fp32", "cpu") == pytest.approx(
        1e12 / speed.IN_PRODUCTS / speed.product_rate("fp32", "cpu")
    )


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_rate_is_measured_with_the_products_of_the_precision(
    precision: speed.Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[tuple[str, torch.dtype]] = set()
    linear = torch.nn.functional.linear

    def note(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        used.add((torch.get_float32_matmul_precision(), left.dtype))
        return linear(left, right)

    monkeypatch.setattr(torch.nn.functional, "linear", note)
    speed.product_rate(precision, "cpu")
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    assert used == {("high" if precision == "tf32" else "highest", kind)}
    assert torch.get_float32_matmul_precision() == "highest"


def test_twice_the_work_takes_twice_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rates(monkeypatch, fp32=70e9, bf16=7e9)
    assert speed.training_seconds(70e9 * speed.IN_PRODUCTS, "fp32", "cpu") == pytest.approx(1.0)
    assert speed.training_seconds(140e9 * speed.IN_PRODUCTS, "bf16", "cpu") == pytest.approx(20.0)


def test_an_emulated_precision_is_said_with_its_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    rates(monkeypatch, fp32=70e9, bf16=7e9)
    warning = speed.slow_precision("bf16", "cpu")
    assert warning is not None
    assert "10.0 times slower" in warning
    assert "trainer.precision=fp32" in warning
    assert len(warning) < 300


@pytest.mark.parametrize(
    ("precision", "device", "half"), [("fp32", "cpu", 7e9), ("bf16", "cuda", 7e9), ("bf16", "cpu", 140e9)]
)
def test_nothing_is_said_where_it_is_no_slower(
    precision: speed.Precision, device: str, half: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates(monkeypatch, fp32=70e9, bf16=half)
    assert speed.slow_precision(precision, device) is None


def test_cpu_is_taken_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (speed.training_device("auto"), speed.training_device("cpu")) == ("cuda", "cpu")
