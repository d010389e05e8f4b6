"""The verbalizer head: scores as transformers' own language models give them, what is trained, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import BERT_LIKE, FAMILY_CONFIGS, gradients, mean_loss, run_config, tiny_model
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
)

from ptv2.config.schema import ModelConfig, OptimConfig
from ptv2.data.cloze import LabelWords
from ptv2.errors import ConfigError, ModelError
from ptv2.models.artifact import load_artifact, save_artifact
from ptv2.models.backbones import load_backbone
from ptv2.models.build import HeadSpec, PromptedModel, build_model, describe, trainable_parameters
from ptv2.models.heads import VerbalizerHead
from ptv2.models.language_model import auto_class, reading_of
from ptv2.training.optim import build_optimizer

MASK, START = 6, 1
ONE = ((7,), (8,))
SEVERAL = ((7, 9), (8,), (10,))  # the last two stand for the same label
TEXTS = [([11, 12], [13, 14, 15, 16]), ([17, 18, 19], [20, 21]), ([22, 23, 24, 25, 26], [])]
METHODS = ["fine-tuning", "lora", "prompt-tuning", "p-tuning-v2"]


def spec_of(family: str, tokens: tuple[tuple[int, ...], ...]) -> HeadSpec:
    reading = reading_of(AutoConfig.for_model(family))
    start = (START,) if reading == "piece" else ()
    words = LabelWords(reading, tokens, (0, 1, 1)[: len(tokens)], MASK if reading == "mask" else -1, start)
    return HeadSpec("verbalizer", 2, words)


def sequence(words: LabelWords, text: tuple[list[int], list[int]], word: tuple[int, ...]) -> tuple[list[int], int]:
    """The tokens in which `word` is looked for, and the place where its first token is read."""
    left, right = text
    if words.reading == "mask":
        return [*left, *[MASK] * words.longest, *right], len(left)
    context = left if words.reading == "next" else [*left, MASK, *right, START]
    return [*context, *word[:-1]], len(context) - 1


def clozes(words: LabelWords, pad: int) -> dict[str, Tensor]:
    """The batch of `TEXTS`."""
    rows = [sequence(words, text, word)[0] for text in TEXTS for word in words.tokens[: words.sequences]]
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (length - len(row))] for row in rows])
    mask = torch.tensor([[int(i < len(row)) for i in range(length)] for row in rows])
    shape = (3, length) if words.sequences == 1 else (3, words.sequences, length)
    return {"input_ids": ids.view(shape), "attention_mask": mask.view(shape), "labels": torch.tensor([0, 1, 1])}


def whole_model(model: PromptedModel) -> nn.Module:
    """transformers' language model with the weights of ours."""
    full = auto_class(model.config, language_model=True).from_config(model.config, attn_implementation="ptv2_eager")
    full.base_model.load_state_dict(model.backbone.state_dict())
    assert isinstance(model.head, VerbalizerHead)
    assert not full.load_state_dict(model.head.language_model.model.state_dict(), strict=False).unexpected_keys
    return full.eval()


@pytest.mark.parametrize("tokens", [ONE, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize("family", sorted(FAMILY_CONFIGS))
def test_scores_are_those_of_the_language_model(family: str, tokens: tuple[tuple[int, ...], ...]) -> None:
    """Each word alone, without padding, in the plain model; the sum over its tokens, the mean over a label's words."""
    spec = spec_of(family, tokens)
    assert spec.words is not None
    model = tiny_model(family, "fine-tuning", spec)
    full = whole_model(model)
    by_word = torch.zeros(3, len(tokens))
    for row, text in enumerate(TEXTS):
        for number, word in enumerate(tokens):
            ids, place = sequence(spec.words, text, word)
            chances = full(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
            by_word[row, number] = sum(chances[place + i, token] for i, token in enumerate(word))
    expected = torch.stack((by_word[:, 0], by_word[:, 1:].mean(1)), dim=1)
    batch = clozes(spec.words, model.config.pad_token_id)
    output = model(batch)
    assert output["scores"].dtype == torch.float32
    torch.testing.assert_close(output["scores"], expected, atol=1e-4, rtol=1e-5)
    loss = functional.cross_entropy(expected, batch["labels"])
    torch.testing.assert_close(output["loss_sum"] / output["count"], loss, atol=1e-4, rtol=1e-5)
    assert set(model({name: batch[name] for name in ("input_ids", "attention_mask")})) == {"scores"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["bert", "electra", "gpt2", "llama", "glm-2021"])
def test_a_step_moves_what_is_trained_and_nothing_else(family: str, method: str) -> None:
    model = tiny_model(family, method, spec_of(family, SEVERAL)).train()
    assert model.spec.words is not None
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    groups = trainable_parameters(model)
    trained = {name for group in groups.values() for name in group}
    optimizer = build_optimizer(model, OptimConfig(lr=0.1))
    mean_loss(model, clozes(model.spec.words, model.config.pad_token_id)).backward()
    assert set(gradients(model)) == trained
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    if method == "fine-tuning":
        assert set(groups) == {"backbone"}
        assert trained == {name for name, _ in model.named_parameters()}
        assert trained <= moved
    else:
        (group,) = groups
        assert group == ("backbone" if method == "lora" else "prompt")
        assert moved == trained
        assert describe(model)["trained"] == sum(p.numel() for p in groups[group].values())


def test_shared_weights_stay_shared() -> None:
    model = tiny_model("bert", "fine-tuning", spec_of("bert", ONE))
    decoder = model.head.language_model.model.cls.predictions.decoder
    assert decoder.weight is model.backbone.embeddings.word_embeddings.weight
    assert not any("language_model.model.bert" in name for name in model.state_dict())


def test_words_are_read_behind_shallow_prompts() -> None:
    """The prompt stands before the text, and places count from the text on."""
    spec = spec_of("bert", ONE)
    assert spec.words is not None
    cfg = run_config({"model_type": "bert", **BERT_LIKE}, "prompt-tuning", {"init": "vocabulary"})
    tokens = torch.tensor([9, 17, 33, 41])
    model = build_model(cfg, spec, init_token_ids=tokens).eval()
    batch = clozes(spec.words, 0)
    scores = model(batch)["scores"]
    longer = {
        "input_ids": torch.cat((tokens.expand(3, -1), batch["input_ids"]), dim=1),
        "attention_mask": torch.cat((torch.ones(3, 4, dtype=torch.long), batch["attention_mask"]), dim=1),
    }
    model.prompts, model.prompt_length = None, 0
    torch.testing.assert_close(scores, model(longer)["scores"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("legacy", [None, True, False])
def test_a_checkpoint_brings_its_head(legacy: bool | None, tmp_path: Path) -> None:
    """BERT's, and both forms that DeBERTa's has: of transformers, and as released."""
    sizes = {name: value for name, value in FAMILY_CONFIGS["deberta-v2"].items() if name != "model_type"}
    if legacy is None:
        full = AutoModelForMaskedLM.from_config(BertConfig(**BERT_LIKE))
    else:
        full = DebertaV2ForMaskedLM(DebertaV2Config(**sizes, legacy=legacy))
    with torch.no_grad():
        for parameter in full.parameters():
            parameter.normal_(0.0, 0.3)
    full.config.legacy = True  # what published configurations leave unsaid
    full.save_pretrained(tmp_path)
    cfg = ModelConfig(name="m", path=str(tmp_path))
    backbone = load_backbone(cfg, seed=1, language_model=True)
    assert backbone.language_model is not None
    states = torch.randn(2, 3, 16)
    words = backbone.model.get_input_embeddings()  # type: ignore[operator]
    head = full.lm_predictions if legacy is False else full.cls
    expected = head(states, words) if legacy is False else head(states)
    torch.testing.assert_close(backbone.language_model(states), expected)
    plain = load_backbone(cfg, seed=1)
    assert plain.language_model is None
    assert all(torch.equal(backbone.model.state_dict()[name], t) for name, t in plain.model.state_dict().items())


def test_a_checkpoint_without_a_head_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(**BERT_LIKE)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks the language-model head .* cls\.predictions.*; use head\.kind=linear"):
        load_backbone(ModelConfig(name="m", path=str(tmp_path)), seed=1, language_model=True)


@pytest.mark.parametrize("family", ["mamba", "mixtral"])
def test_language_models_that_hand_on_more_than_states(family: str) -> None:
    """Caches and routers' scores, which a stand-in for the backbone has not."""
    config = {**FAMILY_CONFIGS["llama"], "model_type": family, "num_local_experts": 2}
    cfg = ModelConfig(name="m", path="config:", config=config)
    torch.manual_seed(1)
    full = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).eval()
    backbone = load_backbone(cfg, seed=1, language_model=True)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        states = backbone.model.eval()(input_ids=ids).last_hidden_state
        assert backbone.language_model is not None
        torch.testing.assert_close(backbone.language_model(states), full(input_ids=ids).logits)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ModelError, match="no language model on a clip_text_model backbone"):
        reading_of(AutoConfig.for_model("clip_text_model"))
    with pytest.raises(ConfigError, match="needs label words"):
        build_model(run_config({"model_type": "bert", **BERT_LIKE}), HeadSpec("verbalizer", 2))
    cfg = run_config(path="a/folder", quantization="8bit")
    with pytest.raises(ConfigError, match=r"cannot be quantized; expected none, or head\.kind=linear"):
        build_model(cfg, spec_of("bert", ONE))


def test_an_artifact_belongs_to_its_words(tmp_path: Path) -> None:
    cfg = run_config({"model_type": "bert", **BERT_LIKE})
    model = build_model(cfg, spec_of("bert", ONE)).eval()
    nn.init.normal_(model.get_parameter("prompts.prompt"))
    assert model.spec.words is not None
    batch = clozes(model.spec.words, 0)
    scores = model(batch)["scores"]
    save_artifact(model, tmp_path, {})
    again = build_model(cfg, spec_of("bert", ONE)).eval()
    load_artifact(again, tmp_path)
    assert torch.equal(again(batch)["scores"], scores)
    with pytest.raises(ModelError, match="another head: words is"):
        load_artifact(build_model(cfg, spec_of("bert", ((7,), (9,)))), tmp_path)


def test_bfloat16_is_near() -> None:
    spec = spec_of("bert", SEVERAL)
    assert spec.words is not None
    batch = clozes(spec.words, 0)
    exact, half = (
        build_model(run_config({"model_type": "bert", **BERT_LIKE}, dtype=d), spec) for d in ("float32", "bfloat16")
    )
    scores = half.eval()(batch)["scores"]
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact.eval()(batch)["scores"], atol=0.05, rtol=0)
