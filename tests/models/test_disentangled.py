"""DeBERTa v1, v2 and v3: without prompts the library's, with prompts the scores written out in float64."""

from __future__ import annotations

import io
import math
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import BERT_LIKE, HEADS, HIDDEN, LAYERS, POSITIONS, enlarge, gradients, mean_loss, run_config, tiny_batch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, DebertaConfig, DebertaForMaskedLM, DebertaV2Config, DebertaV2ForMaskedLM

from ptv2.config.schema import ModelConfig
from ptv2.errors import ModelError
from ptv2.models import sentence_pieces
from ptv2.models.backbones import load_backbone
from ptv2.models.build import HeadSpec, PromptedModel, build_model, describe, trainable_parameters
from ptv2.models.disentangled import PromptedAttention, Surroundings
from ptv2.models.prompts import DeepPrompts
from ptv2.models.tokenizers import load_tokenizer

D = HIDDEN // HEADS
RELATIVE: dict[str, Any] = {**BERT_LIKE, "relative_attention": True, "pos_att_type": "c2p|p2c", "type_vocab_size": 0}
RELEASED = {**RELATIVE, "position_biased_input": False}
V2 = {**RELEASED, "model_type": "deberta-v2"}
V3 = {**V2, "share_att_key": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm"}
KINDS: dict[str, dict[str, Any]] = {
    "v1": {**RELEASED, "model_type": "deberta"},
    "v1-near": {**RELEASED, "model_type": "deberta", "max_relative_positions": 4, "pos_att_type": "c2p"},
    "v1-positions": {**RELATIVE, "model_type": "deberta", "pos_att_type": "p2c"},
    "v1-plain": {**BERT_LIKE, "model_type": "deberta"},
    "v2": {**V2, "max_relative_positions": 5},
    "v2-c2p": {**V2, "pos_att_type": "c2p", "position_buckets": 8},
    "v2-xxlarge": {**V3, "conv_kernel_size": 3, "conv_act": "gelu"},
    "v3": V3,
}
PROMPTED = [name for name in KINDS if name != "v1-plain"]
TAGGING = HeadSpec("tagging", 5)


def build(kind: str, method: str = "p-tuning-v2", prompt: Any = None, **settings: Any) -> PromptedModel:
    model = build_model(run_config(KINDS[kind], method, prompt, **settings), TAGGING)
    enlarge(model)
    return model.eval()


def texts(rows: int = 3, length: int = 9) -> dict[str, Tensor]:
    batch = tiny_batch(rows, length)
    batch["labels"] = torch.where(batch["attention_mask"] == 1, batch["input_ids"] % 5, -100)
    return batch


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_without_prompts_it_is_the_librarys(kind: str, attention: str) -> None:
    """Names, weights, hidden states and gradients, for distances in and beyond the table."""
    ours = build(kind, "fine-tuning", attention=attention).double()
    theirs = AutoModel.from_config(ours.config).double().eval()
    assert type(ours.backbone) is not type(theirs)
    theirs.load_state_dict(ours.backbone.state_dict())
    batch = texts(length=POSITIONS - 10)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    real = batch["attention_mask"] == 1
    mine, stock = (model(**inputs, output_hidden_states=True) for model in (ours.backbone, theirs))
    assert len(mine.hidden_states) == LAYERS + 1
    for one, other in zip(mine.hidden_states, stock.hidden_states, strict=True):
        torch.testing.assert_close(one[real], other[real], atol=1e-5, rtol=1e-5)
    direction = torch.randn(int(real.sum()), HIDDEN, generator=torch.Generator().manual_seed(1))
    for output in (mine, stock):
        (output.last_hidden_state[real] * direction).sum().backward()
    for name, parameter in theirs.named_parameters():
        gradient = ours.backbone.get_parameter(name).grad
        expected = parameter.grad
        assert expected is not None
        scale = max(1.0, float(expected.abs().max()))  # v1's norms are float32 in any case
        torch.testing.assert_close(gradient, expected, atol=1e-5 * scale, rtol=0, msg=name)


# Attention with prompts, one score at a time


def row_of(distance: int, config: Any, half: int) -> int:
    """The row of the table for query minus key. DeBERTa, appendix A.2; v2: logarithmic buckets for far ones.

    The code of both libraries takes the row of (query, key) for both terms, where equation 4 has (key, query) in p2c.
    """
    buckets = getattr(config, "position_buckets", -1)
    middle = buckets // 2
    if buckets > 0 and abs(distance) > middle:
        furthest = (
            config.max_relative_positions if config.max_relative_positions > 0 else config.max_position_embeddings
        )
        share = math.log(abs(distance) / middle) / math.log((furthest - 1) / middle)
        distance = int(math.copysign(math.ceil(share * (middle - 1)) + middle, distance))
    return min(max(distance + half, 0), 2 * half - 1)


def maps(module: Any, hidden: Tensor) -> list[Tensor]:
    """Queries, keys and values `[..., T, H, D]`."""
    if hasattr(module, "in_proj"):
        weight = module.in_proj.weight.view(HEADS, 3, D, HIDDEN)
        query, key, value = (torch.einsum("...i,hdi->...hd", hidden, weight[:, part]) for part in range(3))
        return [query + module.q_bias.view(HEADS, D), key, value + module.v_bias.view(HEADS, D)]
    linears = (module.query_proj, module.key_proj, module.value_proj)
    return [functional.linear(hidden, x.weight, x.bias).unflatten(-1, (HEADS, D)) for x in linears]


def by_hand(module: Any, config: Any, table: Tensor, hidden: Tensor, mask: Tensor, prompt: Tensor) -> Tensor:
    """One layer: `hidden` `[B, T, hidden]` with the prompt `[2, H, P, D]` before it, to `[B, T, hidden]`."""
    query, key, value = maps(module, hidden)  # [B, T, H, D]
    half = table.shape[0] // 2
    length = hidden.shape[1]
    rows = torch.tensor([[row_of(q - k, config, half) for k in range(length)] for q in range(length)])
    scores = torch.einsum("bqhd,bkhd->bhqk", query, key)
    terms = config.pos_att_type
    keys: Any
    queries: Any
    if getattr(module, "share_att_key", False):
        queries, keys, _ = maps(module, table)
    elif hasattr(module, "in_proj"):
        keys = module.pos_proj(table).view(-1, HEADS, D) if "c2p" in terms else None
        queries = module.pos_q_proj(table).view(-1, HEADS, D) if "p2c" in terms else None
    else:
        keys = module.pos_key_proj(table).view(-1, HEADS, D) if "c2p" in terms else None
        queries = module.pos_query_proj(table).view(-1, HEADS, D) if "p2c" in terms else None
    if "c2p" in terms:
        scores = scores + torch.einsum("bqhd,qkhd->bhqk", query, keys[rows])
    if "p2c" in terms:
        scores = scores + torch.einsum("bkhd,qkhd->bhqk", key, queries[rows])
    scores = scores.masked_fill((mask == 0)[:, None, None], float("-inf"))
    prompt_scores = torch.einsum("bqhd,hpd->bhqp", query, prompt[0])
    weights = (torch.cat((prompt_scores, scores), -1) / math.sqrt(D * (1 + len(terms)))).softmax(-1)
    length_of_prompt = prompt.shape[2]
    out = torch.einsum("bhqp,hpd->bqhd", weights[..., :length_of_prompt], prompt[1])
    out = out + torch.einsum("bhqk,bkhd->bqhd", weights[..., length_of_prompt:], value)
    return out.flatten(2) * (mask != 0)[..., None]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("form", ["key-value", "hidden"])
@pytest.mark.parametrize("kind", PROMPTED)
def test_prompts_against_the_scores_written_out(
    kind: str, form: str, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padded queries and their scores included, as in the published code."""
    model = build(kind, prompt={"form": form, "layers": [0, 2]}, attention=attention).double()
    batch = texts(length=13)
    output = model(batch)["scores"]
    assert isinstance(model.prompts, DeepPrompts)
    values = dict(zip((0, 2), model.prompts.value(), strict=True))
    encoder: Any = model.backbone.encoder
    table = encoder.rel_embeddings.weight
    if KINDS[kind].get("norm_rel_ebd") == "layer_norm":
        table = encoder.LayerNorm(table)

    def hand(module: Any, hidden: Tensor, around: Surroundings, *_: Any, **__: Any) -> tuple[Tensor, None]:
        prompt = values.get(module.layer_idx, torch.empty(2, HEADS, 0, D, dtype=torch.double))
        if form == "hidden" and module.layer_idx in values:
            prompt = torch.stack([part.transpose(0, 1) for part in maps(module, prompt)[1:]])
        return by_hand(module, model.config, table, hidden, around.mask, prompt), None

    monkeypatch.setattr(PromptedAttention, "forward", hand)
    torch.testing.assert_close(output, model(batch)["scores"], atol=2e-5, rtol=1e-6)


@pytest.mark.parametrize("kind", ["v1", "v2", "v3"])
def test_gradients_through_the_bias_survive_dropout(kind: str) -> None:
    """Our attention for dropout on a CPU against torch's functions, with the same mask drawn."""
    found = []
    for attention in ("sdpa", "eager"):
        model = build(kind, attention=attention, attention_dropout=0.3).train()
        torch.manual_seed(1)
        mean_loss(model, texts()).backward()
        found.append(gradients(model))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("form", ["key-value", "hidden"])
@pytest.mark.parametrize("kind", ["v1", "v2-xxlarge"])
def test_vocabulary_prompts_act_like_their_text(kind: str, form: str) -> None:
    tokens = torch.tensor([9, 17, 33, 41])
    cfg = run_config(KINDS[kind], prompt={"init": "vocabulary", "form": form, "layers": [0, 2]})
    model = build_model(cfg, TAGGING, init_token_ids=tokens)
    assert isinstance(model.prompts, DeepPrompts)
    with torch.no_grad():
        states = model.backbone(input_ids=tokens[None], output_hidden_states=True).hidden_states
        modules = [part for part in model.backbone.modules() if isinstance(part, PromptedAttention)]
        for number, layer in enumerate((0, 2)):
            expected = states[layer][0]
            if form == "key-value":
                expected = torch.stack([part.transpose(0, 1) for part in maps(modules[layer], expected)[1:]])
            torch.testing.assert_close(model.prompts.value()[number], expected, atol=1e-6, rtol=0)


# Around the attention


@pytest.mark.parametrize("method", ["fine-tuning", "p-tuning-v2", "prompt-tuning"])
@pytest.mark.parametrize("setting", ["published", "trained", "none"])
def test_the_pooler_is_new_and_trained(method: str, setting: str) -> None:
    """As `ContextPooler` of the published classes: first token, dropout, dense, gelu."""
    cfg = run_config(KINDS["v1"] | {"pooler_dropout": 0.2}, method, pooler=setting)
    model = build_model(cfg, HeadSpec("classification", 3)).eval()
    assert not model.has_random_frozen_pooler
    if setting == "none":
        assert model.pooler is None
        return
    assert model.pooler is not None
    owner = "backbone" if method == "fine-tuning" else "head"
    assert {"pooler.dense.weight", "pooler.dense.bias"} <= trainable_parameters(model)[owner].keys()
    assert describe(model)["pooler"] == "random"
    state = torch.randn(2, HIDDEN)
    dense = model.pooler.dense
    expected = functional.gelu(state @ dense.weight.T + dense.bias)
    torch.testing.assert_close(model.pooler(state), expected)
    assert not torch.equal(model.pooler.train()(state), expected), "pooler_dropout is the configuration's"


@pytest.mark.parametrize("method", ["fine-tuning", "p-tuning-v2", "prompt-tuning"])
def test_distances_know_no_longest_text(method: str) -> None:
    released, with_positions = build("v3", method), build("v1-positions", method)
    assert released.max_text_length is None
    long = {"input_ids": torch.full((1, 2 * POSITIONS), 7)}
    assert released(long)["scores"].isfinite().all()
    assert with_positions.max_text_length == POSITIONS - (0 if method == "fine-tuning" else 4)
    with pytest.raises((IndexError, RuntimeError)):
        with_positions(long)


@pytest.mark.parametrize("kind", ["v1", "v3"])
def test_a_checkpoint_with_its_language_model_head_is_read(kind: str, tmp_path: Path) -> None:
    settings = {name: value for name, value in KINDS[kind].items() if name != "model_type"}
    torch.manual_seed(0)
    full: nn.Module
    if kind == "v1":
        full = DebertaForMaskedLM(DebertaConfig(**settings))
    else:
        full = DebertaV2ForMaskedLM(DebertaV2Config(**settings))
    full.save_pretrained(tmp_path)
    backbone = load_backbone(ModelConfig(name="m", path=str(tmp_path)), seed=1)
    assert backbone.pooler_origin == "random"
    stored = {name.removeprefix("deberta."): t for name, t in full.state_dict().items() if name.startswith("deberta.")}
    loaded = backbone.model.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())


@pytest.mark.parametrize("there", ["is_sentencepiece_available", "is_protobuf_available"])
def test_a_tokenizer_of_v3_names_the_extra_that_it_needs(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spm.model").write_bytes(b"")
    for name in ("is_sentencepiece_available", "is_protobuf_available"):
        monkeypatch.setattr(sentence_pieces, name, lambda found=name == there: found)
    with pytest.raises(ModelError, match=r"SentencePiece file; pip install 'ptv2\[sentencepiece\]', or"):
        load_tokenizer(ModelConfig(name="m", path=str(tmp_path)))


def test_a_tokenizer_of_v3_reads_as_sentencepiece_does(tmp_path: Path) -> None:
    """A folder like the released one: spm.model and no tokenizer.json."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="needs the extra sentencepiece")
    pytest.importorskip("google.protobuf", reason="needs the extra sentencepiece")
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the river was warm", "a garden was cold", "the letter was torn"] * 20),
        model_writer=written,
        vocab_size=25,
        pad_id=0,
        pad_piece="[PAD]",
        bos_id=1,
        bos_piece="[CLS]",
        eos_id=2,
        eos_piece="[SEP]",
        unk_id=3,
        unk_piece="[UNK]",
        minloglevel=2,
    )
    (tmp_path / "spm.model").write_bytes(written.getvalue())
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}', encoding="utf-8")
    DebertaV2Config(vocab_size=26).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelConfig(name="m", path=str(tmp_path)), split_words=True)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    assert tokenizer.mask_token_id == len(pieces) == 25
    for text in ("the garden was warm", "A river!"):
        assert tokenizer(text)["input_ids"] == [1, *pieces.encode(text), 2]
    words = tokenizer(["the", "garden", "was"], is_split_into_words=True)
    assert words["input_ids"] == tokenizer("the garden was")["input_ids"]
    assert {number for number in words.word_ids() if number is not None} == {0, 1, 2}


def test_states_of_earlier_layers_are_not_kept_where_nobody_asks_for_them() -> None:
    """Evaluating a large backbone would hold one for each of its layers."""
    model = build_model(run_config({**KINDS["v2-xxlarge"], "num_hidden_layers": 4}), TAGGING).eval()
    made: list[weakref.ref[Tensor]] = []
    kept: list[int] = []

    def count(_: nn.Module, __: Any, output: Any) -> None:
        kept.append(sum(state() is not None for state in made))
        made.append(weakref.ref(output[0]))

    for layer in model.backbone.encoder.layer:  # type: ignore[union-attr]
        layer.register_forward_hook(count)
    with torch.no_grad():
        model(texts())
    assert kept == [0, 0, 1, 1], "but what the layer reads; the first one's is replaced by the convolution's"


def test_talking_heads_are_refused() -> None:
    config = AutoConfig.for_model("deberta", **RELEASED, talking_head=True)
    assert config.talking_head
    with pytest.raises(ModelError, match="talking_head"):
        build_model(run_config(KINDS["v1"] | {"talking_head": True}), TAGGING)
