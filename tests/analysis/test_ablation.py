"""Taking prompts away after training equals a model that was built without them."""

from __future__ import annotations

import pytest
import torch
from tiny import LAYERS, tiny_batch, tiny_model
from torch import Tensor

from ptv2.analysis.ablation import Ablation, ablate, count_scores
from ptv2.models.build import PromptedModel


def ablated(model: PromptedModel) -> tuple[Ablation, list[Tensor]]:
    """What `ablate` gives when the metric is the number of the call, and the scores at each call."""
    batch = tiny_batch(pad=model.config.pad_token_id)
    seen: list[Tensor] = []

    def score() -> dict[str, float]:
        with torch.no_grad():
            seen.append(model(batch)["scores"])
        return {"call": len(seen) - 1}

    return ablate(model, score), seen


def scores_with(family: str, layers: list[int]) -> Tensor:
    """Of a model that has prompts at these layers only, with the weights of the whole one."""
    whole, part = tiny_model(family), tiny_model(family, prompt={"layers": layers})
    part.load_state_dict(
        {name: tensor for name, tensor in whole.state_dict().items() if "prompts" not in name}, strict=False
    )
    with torch.no_grad():
        part.prompts.prompt.copy_(whole.prompts.prompt[layers])
        return part(tiny_batch(pad=part.config.pad_token_id))["scores"]


@pytest.mark.parametrize("family", ["bert", "albert", "roberta", "deberta", "mpnet", "gpt2", "glm-2021", "qwen3"])
def test_removing_layers_equals_a_model_without_them(family: str) -> None:
    model = tiny_model(family)
    prompt = model.prompts.prompt
    found, seen = ablated(model)
    assert len(seen) == count_scores(model) == 2 + 2 * LAYERS
    for layer in range(LAYERS):
        others = [other for other in range(LAYERS) if other != layer]
        torch.testing.assert_close(seen[int(found.without[layer]["call"])], scores_with(family, others))
        torch.testing.assert_close(seen[int(found.only[layer]["call"])], scores_with(family, [layer]))
    assert model.prompts.prompt is prompt
    assert model.prompts.layers == tuple(range(LAYERS))
    with torch.no_grad():
        again = model(tiny_batch(pad=model.config.pad_token_id))["scores"]
        model.prompts = None  # the text stays where it was
        bare = model(tiny_batch(pad=model.config.pad_token_id))["scores"]
    torch.testing.assert_close(seen[int(found.whole["call"])], again, atol=0, rtol=0)
    torch.testing.assert_close(seen[int(found.none["call"])], bare)


@pytest.mark.parametrize("embedding", ["once", "published"])
def test_shallow_prompts_are_there_or_not(embedding: str) -> None:
    model = tiny_model("bert", "prompt-tuning", prompt={"embedding": embedding})
    prompts, prompt = model.prompts, model.prompts.prompt
    found, seen = ablated(model)
    assert (found.without, found.only) == ({}, {})
    assert (seen[0] - seen[1]).abs().max() > 1e-3
    assert model.prompts is prompts
    assert prompts.prompt is prompt
    if embedding == "once":
        model.prompts = None
        with torch.no_grad():
            torch.testing.assert_close(seen[1], model(tiny_batch())["scores"])
