"""The mathematics of the published code: its logits, losses and gradients, with both attention functions.

The values in tests/reference were computed by that code (README there); float32 against float64 is within 5e-6.
"""

from __future__ import annotations

import pytest
import torch
from published import FOLDER, Case

from ptv2.models.build import trainable_parameters

TOLERANCE = 2e-5
PREFIX = sorted(path.stem for path in FOLDER.glob("*_prefix_*.json"))
SHALLOW = sorted(path.stem for path in FOLDER.glob("*_prompt_*.json"))


def test_all_cases_are_here() -> None:
    assert len(PREFIX) == 37
    assert len(SHALLOW) == 4


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", PREFIX + SHALLOW)
def test_logits_loss_and_gradients(name: str, attention: str) -> None:
    case = Case(name, attention)
    published = case.published()
    assert set(published) == {key for key in case.of("state.") if not key.endswith("position_ids")}

    output = case.model(case.of("input."))
    loss = output["loss_sum"] / output["count"]
    loss.backward()

    expected = case.of("output.")
    scores = output["scores"].detach()
    if "start_logits" in expected:
        expected["logits"] = torch.stack((expected["start_logits"], expected["end_logits"]), dim=-1)
    torch.testing.assert_close(scores, expected["logits"], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(loss.detach(), expected["loss"], atol=TOLERANCE, rtol=0)
    gradients = case.of("grad.")
    assert {key for key, parameter in published.items() if parameter.grad is not None} == set(gradients)
    for key, gradient in gradients.items():
        torch.testing.assert_close(published[key].grad, case.arranged(key, gradient), atol=TOLERANCE, rtol=0, msg=key)


@pytest.mark.parametrize("name", PREFIX + SHALLOW)
def test_what_is_trained_is_what_was_trained(name: str) -> None:
    case = Case(name)
    ours = {p for group in trainable_parameters(case.model).values() for p in group.values()}
    assert {key for key, p in case.published().items() if p in ours} == set(case.about["trainable_parameters"])


@pytest.mark.parametrize("name", [name for name in PREFIX if "seqcls_prefix_len5_noproj" in name])
def test_unshifted_positions_give_the_other_known_loss(name: str) -> None:
    case = Case(name)
    case.model.positions = "unshifted"
    output = case.model(case.of("input."))
    shifted = case.of("output.")["loss"].item()
    has_positions = case.about["config"].get("position_biased_input", True)  # released deberta has distances only
    expected = case.about["token_positions"]["loss_if_positions_were_not_shifted"] if has_positions else shifted
    assert (output["loss_sum"] / output["count"]).item() == pytest.approx(expected, abs=TOLERANCE)
    assert (abs(expected - shifted) > 1e-3) == has_positions
