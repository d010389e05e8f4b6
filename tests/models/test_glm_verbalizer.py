"""The verbalizer head on a GLM: the published cloze over labels of one token, through the whole model."""

from __future__ import annotations

import pytest
import torch
from published_glm import CASES, TOKENS, Case

from ptv2.data.cloze import LabelWords
from ptv2.models.build import HeadSpec

TOLERANCE = 2e-5
SINGLE = [name for name in CASES if "cloze-single" in name and "_prompt_" not in name]


@pytest.mark.parametrize("name", SINGLE)
def test_the_published_loss_and_gradients(name: str) -> None:
    targets = Case(name).input["target_ids"]
    assert bool((targets == targets[0]).all()), "words stand for labels, whatever the example"
    tokens = tuple((int(number),) for number in targets[0])
    words = LabelWords("piece", tokens, tuple(range(len(tokens))), start=(TOKENS["sop_token_id"],))
    case = Case(name, spec=HeadSpec("verbalizer", len(tokens), words))
    batch = {"input_ids": case.input["input_ids"], "attention_mask": case.real(), "labels": case.input["labels"]}
    output = case.model(batch)
    loss = output["loss_sum"] / output["count"]
    loss.backward()

    torch.testing.assert_close(loss.detach(), case.expected["loss"], atol=TOLERANCE, rtol=0)
    # Ours are log probabilities over the vocabulary, theirs logits: the same up to a constant for each row.
    shift = output["scores"].detach() - case.expected["logits"]
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=TOLERANCE, rtol=0)
    for key, gradient in case.of("grad.").items():
        parameters = case.published()[key]
        for part, parameter in zip(gradient.chunk(len(parameters)), parameters, strict=True):
            torch.testing.assert_close(parameter.grad, case.arranged(key, part), atol=TOLERANCE, rtol=0)
    assert len(case.of("grad.")) >= 1


def test_all_cases_are_here() -> None:
    assert len(SINGLE) == 6
