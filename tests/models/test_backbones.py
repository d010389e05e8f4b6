"""Loading: embedded, random and local backbones, their identity, their tokenizers, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from model_folders import write_model
from tiny import FAMILY_CONFIGS, NO_HIDDEN_DROPOUT, POSITIONS
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from transformers import AutoConfig, AutoModel, BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast

from ptv2.config.schema import ModelConfig
from ptv2.errors import ConfigError, ModelError
from ptv2.models.backbones import load_backbone
from ptv2.models.checkpoints import hash_weights
from ptv2.models.families import FAMILIES, family_of
from ptv2.models.fingerprint import fingerprint
from ptv2.models.positions import position_ids
from ptv2.models.tokenizers import load_tokenizer, vocabulary_tokens

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
KEPT_RATES = ("attention_dropout", "dropout", "rate")  # names of rates in modules that drop by a function
POSITION_MODULES = ("position_embeddings", "wpe", "embed_positions", "rotary_emb")
BERT: dict[str, Any] = {"model_type": "bert", **FAMILY_CONFIGS["bert"]}


def model_config(path: str, **settings: Any) -> ModelConfig:
    return ModelConfig(name="m", path=path, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    BertModel(BertConfig(**FAMILY_CONFIGS["bert"])).save_pretrained(folder)
    return folder


def test_the_embedded_backbone() -> None:
    cfg = model_config("embedded:minilm", sha256=MINILM)
    backbone = load_backbone(cfg, seed=1)
    assert backbone.identity.sha256 == MINILM == fingerprint(cfg)
    assert backbone.identity.name == "embedded:minilm"
    assert backbone.pooler_origin == "checkpoint"
    assert (backbone.shape.layers, backbone.shape.hidden, backbone.shape.kv_heads, backbone.shape.head_dim) == (
        6,
        384,
        12,
        32,
    )
    assert backbone.model.pooler is None
    ids = load_tokenizer(cfg)("A cat sat.", return_tensors="pt")
    with torch.no_grad():
        hidden = backbone.model.eval()(**ids).last_hidden_state
    assert hidden.dtype == torch.float32
    assert hidden.std() > 0.1


def test_other_weights_than_expected_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=f"SHA-256 {MINILM}, expected {'0' * 64}"):
        load_backbone(model_config("embedded:minilm", sha256="0" * 64), seed=1)


def test_a_local_folder(folder: Path) -> None:
    cfg = model_config(str(folder))
    backbone = load_backbone(cfg, seed=1)
    saved = BertModel.from_pretrained(folder)
    for name, tensor in backbone.model.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name]), name
    assert torch.equal(backbone.pooler.dense.weight, saved.pooler.dense.weight)
    assert backbone.identity.name == folder.name, "no path of this machine"
    assert fingerprint(cfg) == f"{backbone.identity.sha256} {backbone.identity.config_sha256}"


def test_a_checkpoint_without_pooler_gets_a_random_one_from_the_seed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(**FAMILY_CONFIGS["bert"])).save_pretrained(tmp_path)
    one, same, other = (load_backbone(model_config(str(tmp_path)), seed) for seed in (1, 1, 2))
    assert one.pooler_origin == "random"
    assert one.pooler.dense.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not one.pooler.dense.bias.any()
    assert torch.equal(one.pooler.dense.weight, same.pooler.dense.weight)
    assert not torch.equal(one.pooler.dense.weight, other.pooler.dense.weight)


def test_a_checkpoint_with_missing_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    config = BertConfig(**{**FAMILY_CONFIGS["bert"], "num_hidden_layers": 4})
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks weights of the backbone: encoder\.layer\.3"):
        load_backbone(model_config(str(tmp_path)), seed=1)


@pytest.mark.parametrize("damage", ["no weights", "torn", "no config"])
def test_a_folder_that_is_no_checkpoint(folder: Path, tmp_path: Path, damage: str) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    if damage == "no weights":
        torch.save({}, tmp_path / "pytorch_model.bin")
    else:
        (tmp_path / "model.safetensors").write_bytes(weights[:1000] if damage == "torn" else weights)
    if damage != "no config":
        (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelError, match="safetensors" if damage == "no weights" else "cannot be loaded") as caught:
        load_backbone(model_config(str(tmp_path)), seed=1)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_a_token_for_what_is_unknown(tmp_path: Path) -> None:
    backend = Tokenizer(WordPiece({"the": 0}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    BertConfig(**FAMILY_CONFIGS["bert"]).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"its tokenizer cannot be loaded: .*UNK"):
        load_tokenizer(model_config(str(tmp_path)))


def test_random_backbones_follow_the_seed_and_leave_the_generator_alone() -> None:
    cfg = model_config("config:", config=BERT)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = load_backbone(cfg, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    same, other = load_backbone(cfg, seed=1), load_backbone(cfg, seed=2)
    assert one.identity == same.identity
    assert one.identity.sha256 != other.identity.sha256
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, same.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**BERT, "model_type": "squeezebert", "embedding_size": 8}, r"no squeezebert backbone can be made of it"),
        ({**BERT, "model_type": "brt"}, r"unknown model\.config\.model_type 'brt'; did you mean"),
        ({**BERT, "hidden_size": 17}, r"no bert backbone can be made of it.*17"),
        ({**BERT, "hidden_size": "wide"}, r"no bert backbone can be made of it"),
        ({"hidden_size": 16}, r"unknown model\.config\.model_type '\(none\)'"),
    ],
)
def test_a_configuration_that_makes_no_model(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_backbone(model_config("config:", config=config), seed=1)
    assert "\n" not in str(caught.value)


def test_an_unknown_embedded_backbone_names_the_known() -> None:
    with pytest.raises(ConfigError, match="unknown embedded backbone 'minlm'; did you mean minilm"):
        load_backbone(model_config("embedded:minlm"), seed=1)


def test_an_encoder_decoder_is_refused() -> None:
    with pytest.raises(ModelError, match="m: t5 is an encoder-decoder; expected an encoder or a decoder"):
        load_backbone(
            model_config("config:", config={"model_type": "t5", "d_model": 16, "d_ff": 8, "num_layers": 1}), 1
        )


@pytest.mark.parametrize("model_type", ["vit", "clip", "wav2vec2", "gemma3"])
def test_a_model_of_images_or_sounds_is_refused(model_type: str) -> None:
    message = f"m: {model_type} is no model of texts alone; expected an encoder or a decoder of texts as backbone"
    with pytest.raises(ModelError, match=message):
        load_backbone(model_config("config:", config={"model_type": model_type}), seed=1)


def test_dropout_is_set_under_the_names_of_the_family() -> None:
    for family in FAMILY_CONFIGS:
        config = {"model_type": family, **FAMILY_CONFIGS[family]}
        hidden = None if family in NO_HIDDEN_DROPOUT else 0.25
        cfg = model_config("config:", config=config, hidden_dropout=hidden, attention_dropout=0.125)
        modules = list(load_backbone(cfg, 1).model.modules())
        rates = {m.p for m in modules if isinstance(m, torch.nn.Dropout) and m.p}
        # Where no module does it, attention and hidden states are dropped by a rate that the layer keeps.
        rates |= {getattr(m, name, 0.0) for m in modules for name in KEPT_RATES if name in vars(m)}
        assert rates - {0.0} == {0.25, 0.125} - {0.25 if hidden is None else None}, family
    llama = {"model_type": "llama", **FAMILY_CONFIGS["bert"]}
    with pytest.raises(ModelError, match=r"model\.hidden_dropout=0\.1: a llama backbone has no such dropout"):
        load_backbone(model_config("config:", config=llama, hidden_dropout=0.1), 1)


def test_tokenizers() -> None:
    tiny = load_tokenizer(model_config("config:", config={**BERT, "vocab_size": 30522}))
    assert tiny("a cat")["input_ids"] == [101, 1037, 4937, 102]
    with pytest.raises(ConfigError, match=r"vocab_size=60.*needs 30522"):
        load_tokenizer(model_config("config:", config=BERT))
    tokens = vocabulary_tokens(tiny, 20, seed=1)
    assert torch.equal(tokens, vocabulary_tokens(tiny, 20, seed=1))
    assert not torch.equal(tokens, vocabulary_tokens(tiny, 20, seed=2))
    assert len(set(tokens.tolist())) == 20
    words = tiny.convert_ids_to_tokens(vocabulary_tokens(tiny, 20000, seed=1).tolist())
    assert not [word for word in words if word.startswith("[") and word.endswith("]")]
    with pytest.raises(ConfigError, match=r"prompt\.length=40000"):
        vocabulary_tokens(tiny, 40000, seed=1)


def test_a_folder_without_a_tokenizer_says_so(folder: Path) -> None:
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_tokenizer(model_config(str(folder)))


@pytest.mark.parametrize("family", sorted(name for name in FAMILY_CONFIGS if FAMILIES[name].positions != "blocks"))
def test_positions_without_a_shift_are_the_models_own(family: str) -> None:
    """And with one, they are the model's own for a text with that many more tokens in front."""
    config = AutoConfig.for_model(family, **FAMILY_CONFIGS[family])
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    row = family_of(family)
    mask = torch.tensor([[1] * 9, [1] * 6 + [0] * 3])
    ids = torch.where(mask == 1, torch.randint(5, 60, (2, 9)), config.pad_token_id or 0)
    seen: list[torch.Tensor] = []

    def look(_: Any, given: tuple[Any, ...], named: dict[str, Any], __: Any) -> None:
        numbers = next(
            t for t in (*named.values(), *given) if isinstance(t, torch.Tensor) and not t.is_floating_point()
        )
        if not seen or seen[-1].shape[1] != numbers.shape[1]:  # once a pass, not once a kind of layer
            seen.append(numbers.expand(2, -1))

    table = next(m for n, m in model.named_modules() if n.endswith(POSITION_MODULES))
    table.register_forward_hook(look, with_kwargs=True)
    model(input_ids=ids, attention_mask=mask)
    longer = torch.cat((torch.full((2, 3), 7), ids), dim=1)
    model(input_ids=longer, attention_mask=torch.cat((torch.ones(2, 3), mask), dim=1))
    for shift, own in ((0, seen[0]), (3, seen[1][:, 3:])):
        ours = position_ids(row, config, mask, shift)
        assert ours is not None
        # Decoders count on over the padding, which nothing looks at.
        compared = mask > 0 if row.positions == "real" else mask >= 0
        assert torch.equal(ours.expand(2, -1)[compared], own[compared])
    assert int(position_ids(row, config, mask, POSITIONS).max()) > POSITIONS  # type: ignore[union-attr]


def test_the_table_of_families_is_sorted_and_complete() -> None:
    assert list(FAMILIES) == sorted(FAMILIES)
    assert {"albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"} <= FAMILIES.keys()
    assert family_of("something").positions == "own"


@pytest.mark.parametrize("family", sorted(FAMILY_CONFIGS))
def test_the_table_knows_which_families_are_causal(family: str) -> None:
    """By what the first token's hidden state makes of another last token."""
    model = load_backbone(model_config("config:", config={"model_type": family, **FAMILY_CONFIGS[family]}), 1).model
    ids = torch.tensor([[5, 6, 7], [5, 6, 8]])
    with torch.no_grad():
        hidden = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert torch.equal(hidden[0, 0], hidden[1, 0]) == FAMILIES[family].causal


def test_a_type_without_a_row_is_looked_at() -> None:
    decoder = {**FAMILY_CONFIGS["llama"], "model_type": "mistral", "eos_token_id": [9, 8]}
    backbone = load_backbone(model_config("config:", config=decoder), 1)
    assert (backbone.family.causal, backbone.family.positions) == (True, "real")
    assert backbone.config.pad_token_id == 9, "the first of several tokens that end a text"


@pytest.mark.parametrize(
    ("family", "causal", "positions"),
    [
        ("megatron-bert", False, "own"),
        ("bert-generation", False, "own"),
        ("gte", False, "own"),
        ("bloom", True, "own"),
        ("doge", True, "real"),
        ("xglm", True, "real"),
    ],
)
def test_whether_a_type_without_a_row_is_causal(family: str, causal: bool, positions: str) -> None:
    """By what the first token's hidden state makes of another last token; some decoders' modules do not say it."""
    config = {**FAMILY_CONFIGS["bert"], "model_type": family}
    backbone = load_backbone(model_config("config:", config=config), 1)
    ids = torch.tensor([[5, 6, 7], [5, 6, 8]])
    with torch.no_grad():
        hidden = backbone.model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert torch.equal(hidden[0, 0], hidden[1, 0]) == causal
    assert (backbone.family.causal, backbone.family.positions) == (causal, positions)


def test_positions_of_a_text_padded_in_front() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0]])
    found = position_ids(family_of("gpt2"), AutoConfig.for_model("gpt2"), mask, 3)
    assert found is not None
    assert found[mask > 0].tolist() == [3, 4, 5, 3, 4, 5, 6]
    assert found.min() == 3, "padding stays inside of the table"


def test_weights_are_hashed_once_and_again_when_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run asks for the hash before and after it is opened, a sweep for every job."""
    write_model(tmp_path)
    opened: list[Path] = []
    original = hashlib.file_digest

    def digest(stream: Any, name: str) -> Any:
        opened.append(Path(stream.name))
        return original(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    first = hash_weights(tmp_path, "mine")
    assert hash_weights(tmp_path, "mine") == first
    assert len(opened) == 1
    file = tmp_path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # the same size
    file.write_bytes(content)
    assert hash_weights(tmp_path, "mine") == hashlib.sha256(content).hexdigest() != first
