"""GLM of 2021: the numbers of its published code, with both attention functions."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from published_glm import CASES, FOLDER, Case
from pydantic import ValidationError
from tiny import FAMILY_CONFIGS, gradients, mean_loss, run_config, tiny_batch, tiny_model
from torch import Tensor

from ptv2.errors import ConfigError, ModelError
from ptv2.models.attention import LayerPrompts, project
from ptv2.models.build import HeadSpec, PromptedModel, build_model, trainable_parameters
from ptv2.models.glm import Glm2021Config, block_positions

TOLERANCE = 2e-5
PLAIN = [name for name in CASES if "_lm_" in name]
HEADS = [name for name in CASES if "_lm_" not in name]
DEEP = [name for name in CASES if "_prefix_" in name]


def close(ours: Tensor, theirs: Tensor, name: str = "") -> None:
    torch.testing.assert_close(ours.detach(), theirs, atol=TOLERANCE, rtol=0, msg=lambda text: f"{name}: {text}")


def test_all_cases_are_here() -> None:
    assert (len(PLAIN), len(HEADS), len(DEEP)) == (4, 16, 7)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_model(name: str, attention: str) -> None:
    case = Case(name, attention)
    hidden = case.language_model()
    close(hidden, case.expected["last_hidden_state"])
    close(case.logits(hidden), case.expected["logits"])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_memory_is_a_prompt_for_each_row(attention: str) -> None:
    case = Case("glm_lm_memory", attention)
    states, mask = case.of("trace.")["hidden_states"][:-1], case.input["next_attention_mask"]  # [layers, B, M, hidden]
    for row in range(states.shape[1]):
        seen = mask[row, 0, 0, : states.shape[2]] == 1  # the first row's memory ends with padding
        memory = LayerPrompts(dict(enumerate(states[:, row, seen])), form="memory")
        hidden = case.language_model(memory, "next_", row)
        close(hidden, case.expected["next_last_hidden_state"][row, None])
        close(case.logits(hidden), case.expected["next_logits"][row, None])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", HEADS)
def test_scores_loss_and_gradients(name: str, attention: str) -> None:
    case = Case(name, attention)
    published, trained = case.published(), set(case.about["trainable_parameters"])
    if case.about["method"] == "none":  # these train all, one layer or the head, to keep the files small
        for key, parameters in published.items():
            for parameter in parameters:
                parameter.requires_grad_(key in trained)
    scores, loss = case.scores_and_loss()
    loss.backward()

    close(scores, case.expected["logits"])
    close(loss, case.expected["loss"])
    expected = case.of("grad.")
    assert {key for key, parameters in published.items() if parameters[0].grad is not None} == set(expected)
    for key, gradient in expected.items():
        for part, parameter in zip(gradient.chunk(len(published[key])), published[key], strict=True):
            assert parameter.grad is not None
            close(parameter.grad, case.arranged(key, part), key)


@pytest.mark.parametrize("name", [name for name in HEADS if "_pr" in name])
def test_what_is_trained_is_what_was_trained(name: str) -> None:
    case = Case(name)
    ours = set(trainable_parameters(case.model)["prompt"].values())
    assert {key for key, parts in case.published().items() if parts[0] in ours} == set(
        case.about["trainable_parameters"]
    )


@pytest.mark.parametrize("name", DEEP)
def test_keys_and_values_of_prompts(name: str) -> None:
    case = Case(name)
    trace = case.of("trace.")
    expected = trace["past_key_values"].unflatten(0, (-1, 2))  # [layers, 2, H, P, D]
    prompts = case.model.prompts
    for number, (layer, hidden) in enumerate(zip(case.model.backbone.layers, prompts.value(), strict=True)):
        heads, head_dim = expected.shape[2], expected.shape[-1]
        pair = project(layer.attention, hidden, torch.Size((1, heads, 1, head_dim)), prompts.form == "memory")
        close(torch.stack(pair), expected[number])
    batch = {"input_ids": case.input["input_ids"].flatten(0, -2), "attention_mask": case.real().flatten(0, -2)}
    given = case.model.backbone(**batch, prompts=LayerPrompts(dict(enumerate(expected)))).last_hidden_state
    seen = batch["attention_mask"].bool()
    close(given[seen], trace["last_hidden_state"].flatten(0, -3)[seen])


@pytest.mark.parametrize("name", DEEP)
def test_mistakes_give_the_other_known_losses(name: str) -> None:
    case = Case(name)
    known = case.about["alternatives"]
    case.model.positions = "shifted"
    assert case.scores_and_loss()[1].item() == pytest.approx(
        known["loss_if_positions_were_shifted_by_the_prompt_length"], abs=TOLERANCE
    )
    case.model.positions = "unshifted"
    memory = case.model.prompts.form == "memory"
    case.model.prompts.form = "hidden" if memory else "memory"
    other = known[f"loss_if_prompts_{'skip' if memory else 'pass'}_the_layer_norm"]
    assert case.scores_and_loss()[1].item() == pytest.approx(other, abs=TOLERANCE)


@pytest.mark.parametrize("name", HEADS)
def test_positions_come_from_the_tokens(name: str) -> None:
    case = Case(name)
    ids, real = case.input["input_ids"].flatten(0, -2), case.real().flatten(0, -2)
    assert torch.equal(block_positions(case.model.config, real, ids), case.input["position_ids"].flatten(0, -3))


def test_positions_of_the_published_templates() -> None:
    examples = json.loads((FOLDER / "glm_superglue_inputs.json").read_text())["examples"]
    rows = 0
    for example in examples:
        ids, given = (torch.tensor(example[name]) for name in ("input_ids", "position_ids"))
        context, piece = (torch.tensor(example[name]) for name in ("attention_mask", "logit_mask"))
        real = (torch.arange(ids.shape[-1]) < context[..., None]) | (piece == 1)
        flat = ids.reshape(-1, ids.shape[-1])
        assert torch.equal(block_positions(Glm2021Config(), real.reshape(flat.shape), flat).reshape(given.shape), given)
        rows += len(flat)
    assert len(examples) == 36 < rows


def glm(
    method: str = "p-tuning-v2", spec: HeadSpec | None = None, prompt: Any = None, **settings: Any
) -> PromptedModel:
    return tiny_model("glm-2021", method, spec, prompt, **settings)


def with_piece(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A [MASK] in every text and a piece of two tokens as its last real ones."""
    ids, lengths = batch["input_ids"].clone(), batch["attention_mask"].sum(-1)
    rows = torch.arange(len(ids))
    ids[rows, 1] = FAMILY_CONFIGS["glm-2021"]["mask_token_ids"][0]
    ids[rows, lengths - 2] = FAMILY_CONFIGS["glm-2021"]["sop_token_id"]
    return {**batch, "input_ids": ids}


@pytest.mark.parametrize("method", ["fine-tuning", "prompt-tuning", "p-tuning-v2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_not_seen(method: str, side: str) -> None:
    model, batch = glm(method, HeadSpec("tagging", 3)), with_piece(tiny_batch(length=11))
    batch.pop("labels")
    if side == "left":
        lengths = batch["attention_mask"].sum(-1).tolist()
        batch = {
            name: torch.stack([row.roll(-length) for row, length in zip(values, lengths, strict=True)])
            for name, values in batch.items()
        }
    together = model(batch)["scores"]
    for row in range(3):
        real = batch["attention_mask"][row] == 1
        alone = {name: batch[name][row, real][None] for name in ("input_ids", "attention_mask")}
        close(model(alone)["scores"][0], together[row, real].detach())


@pytest.mark.parametrize("method", ["fine-tuning", "prompt-tuning", "p-tuning-v2"])
def test_context_sees_all_of_itself_and_nothing_of_the_piece(method: str) -> None:
    model, batch = glm(method, HeadSpec("tagging", 3)), with_piece(tiny_batch(rows=1, length=11))
    before = model(batch)["scores"][0]
    ids = batch["input_ids"].clone()
    ids[0, -1] += 1
    after = model({**batch, "input_ids": ids})["scores"][0]
    close(after[:-1], before[:-1].detach())
    assert (after[-1] - before[-1]).abs().max() > 1e-3
    ids[0, 4] = 7 if ids[0, 4] != 7 else 8
    assert ((model({**batch, "input_ids": ids})["scores"][0] - after).abs().amax(-1) > 1e-4).all()


@pytest.mark.parametrize("form", ["key-value", "hidden", "memory"])
def test_gradient_checkpointing_changes_nothing(form: str) -> None:
    found = []
    for checkpointing in (False, True):
        model = glm(prompt={"form": form}, gradient_checkpointing=checkpointing).train()
        loss = mean_loss(model, tiny_batch())
        loss.backward()
        found.append((loss, gradients(model)))
    (loss, plain), (other, checkpointed) = found
    close(loss, other.detach())
    assert set(plain) == set(checkpointed)
    for name, gradient in plain.items():
        close(checkpointed[name], gradient, name)


def test_bfloat16_is_near() -> None:
    model, batch = glm(prompt={"form": "memory"}), tiny_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = model(batch)["scores"]
    torch.testing.assert_close(near, model(batch)["scores"], atol=0.15, rtol=0.1)


@pytest.mark.parametrize("kind", ["glm-mlp", "glm-lstm"])
@pytest.mark.parametrize("method", ["prompt-tuning", "p-tuning-v2"])
def test_folding_keeps_scores(kind: str, method: str) -> None:
    model = glm(method, prompt={"form": "hidden", "reparameterization": kind})
    batch = tiny_batch()
    before = model(batch)["scores"]
    model.prompts.fold()
    close(model(batch)["scores"], before.detach())
    assert model.prompts.encoder is None


def test_an_encoder_starts_as_published() -> None:
    settings = {"form": "memory", "reparameterization": "glm-lstm", "init_std": 1.0, "length": 50}
    config = {"model_type": "glm-2021", **FAMILY_CONFIGS["glm-2021"]}
    encoder = build_model(run_config(config, prompt=settings), HeadSpec("classification", 2)).prompts.encoder
    assert 0.9 < encoder.embedding.std().item() < 1.1
    for name, parameter in encoder.named_parameters():
        if name != "embedding":
            width = 32 if name.startswith("mlp.0") else 16  # the first linear map reads both directions
            assert 0.5 * width**-0.5 < parameter.abs().max() <= width**-0.5, name


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ({"form": "key-value", "reparameterization": "glm-mlp"}, "prompt.form=hidden or memory"),
        ({"form": "memory", "init": "vocabulary"}, "prompt.form=hidden"),
        ({"form": "hidden", "reparameterization": "glm-mlp", "init": "vocabulary"}, "prompt.init=normal"),
    ],
)
def test_what_does_not_fit_is_refused(prompt: dict[str, str], said: str) -> None:
    with pytest.raises((ConfigError, ValidationError), match=said):
        glm(prompt=prompt)


def test_memory_needs_the_norm_inside() -> None:
    with pytest.raises(ModelError, match="glm-2021"):
        tiny_model("bert", prompt={"form": "memory"})


def test_prompts_from_the_vocabulary_agree_in_both_forms() -> None:
    config = {"model_type": "glm-2021", **FAMILY_CONFIGS["glm-2021"]}
    scores = []
    for form in ("key-value", "hidden"):
        cfg = run_config(config, prompt={"form": form, "init": "vocabulary"})
        scores.append(build_model(cfg, HeadSpec("classification", 3), torch.tensor([9, 8, 7, 6])).eval()(tiny_batch()))
    close(scores[0]["scores"], scores[1]["scores"].detach())
