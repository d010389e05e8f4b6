"""Model folders that somebody else made: broken ones get one line that names the file, never a traceback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commandline import Done, only_run, result_of, run, write_sentences
from model_folders import WORDS, write_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast, T5Config

from ptv2.errors import ModelError
from ptv2.models.checkpoints import hash_weights


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "whole")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"), train=8, dev=4, test=4)


def train(model: Path, data: Path, folder: Path, *more: str) -> Done:
    words = ["train", "task=classification", f"data.dir={data}", f"model.path={model}", f"out={folder / 'out'}"]
    return run([*words, "trainer.max_steps=1", "prompt.length=2", *more], folder)


def put(name: str, content: Any) -> Callable[[Path], None]:
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    damage.__name__ = f"{name}={str(text)[:20]!r}"
    return damage


def change(name: str, **values: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tree = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**tree, **values}), encoding="utf-8")

    damage.__name__ = f"{name}:{values}"[:60]
    return damage


def rename(start: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        save_file({start + name: weight for name, weight in weights.items()}, folder / "model.safetensors")

    return damage


def halve(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    damage.__name__ = f"half of {name}"
    return damage


DEEP = "[" * 20_000
DAMAGES = [
    *(
        put(name, content)
        for name in ("config.json", "tokenizer.json")
        for content in ([], "text", "", DEEP, b"\xff\xfe")
    ),
    *(put("config.json", content) for content in ("null", "1", {}, {"model_type": "bert", "hidden_size": "x"})),
    *(put("tokenizer_config.json", content) for content in ([], "null", "{", {"tokenizer_class": 3})),
    *(halve(name) for name in ("config.json", "tokenizer.json", "model.safetensors")),
    *(put("tokenizer.json", content) for content in ({}, {"model": {}}, {"model": {"type": "WordPiece", "vocab": []}})),
    *(
        change("config.json", **{key: value})
        for key in ("vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads", "max_position_embeddings")
        for value in ("x", None, -1, [1], 1e30)
    ),
    *(change("config.json", model_type=value) for value in (None, 5, "no-such-type", ["bert"])),
    change("config.json", transformers_weights="other.safetensors"),
    put("model.safetensors", b""),
    put("model.safetensors", b"\xff" * 100),
    put("adapter_config.json", {"base_model_name_or_path": "elsewhere/model"}),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_broken_folder_gets_one_line(damage: Callable[[Path], None], whole: Path, data: Path, tmp_path: Path) -> None:
    model = shutil.copytree(whole, tmp_path / "model")
    damage(model)
    done = train(model, data, tmp_path)
    assert done.code == 2
    assert str(model) in done.error or "model" in done.error
    assert len(done.error) <= 300 + len(str(model))
    assert not (tmp_path / "out").exists()


def test_a_whole_folder_is_trained(whole: Path, data: Path, tmp_path: Path) -> None:
    done = train(whole, data, tmp_path)
    assert done.code == 0, done.err
    assert result_of(only_run(tmp_path / "out"))["steps"] == 1


@pytest.mark.parametrize("below", ["checkpoint-500", "0_Transformer", "snapshots/0123abc"])
def test_weights_in_a_folder_below_are_named(below: str, whole: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(whole, model / below)
    with pytest.raises(ModelError, match=rf"a folder below has them: model\.path={re.escape(str(model / below))}"):
        hash_weights(model, "m")


@pytest.mark.parametrize("name", ["model-q4.gguf", "tf_model.h5", "onnx/model.onnx"])
def test_weights_of_another_format_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(ModelError, match=rf"in other formats are not read \({Path(name).name}\)"):
        hash_weights(tmp_path, "m")


@pytest.mark.parametrize("encoder_decoder", [True, False])
def test_an_encoder_decoder_is_named_before_its_tokenizer_is_read(
    encoder_decoder: bool, whole: Path, data: Path, tmp_path: Path
) -> None:
    """Also where a folder has the encoder alone."""
    model = shutil.copytree(whole, tmp_path / "model")
    T5Config(is_encoder_decoder=encoder_decoder).save_pretrained(model)
    if encoder_decoder:
        (model / "tokenizer.json").write_text("{}", encoding="utf-8")
    done = train(model, data, tmp_path)
    assert done.code == 2
    assert "is an encoder-decoder; expected an encoder or a decoder as backbone" in done.error


@pytest.mark.parametrize("settings", [[], ["prompt.init=vocabulary"], ["method=fine-tuning"], ["method=prompt-tuning"]])
def test_tokens_beyond_the_embeddings_are_refused(settings: list[str], data: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", more_tokens=30)
    (texts := tmp_path / "texts").mkdir()
    for split in ("train", "dev"):
        rows = [{"sentence": f"the river was word{number}", "label": number % 2} for number in range(20, 28)]
        (texts / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = train(model, texts, tmp_path, *settings)
    assert done.code == 2
    assert "the tokenizer gives token number" in done.error
    assert f"the backbone has embeddings for 0 to {len(WORDS) - 1}" in done.error


def test_a_padding_token_without_an_embedding_is_refused(data: Path, tmp_path: Path) -> None:
    """What people do to a llama: add [PAD] to the tokenizer and not to the model."""
    model = write_model(tmp_path / "model")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    tokenizer.add_special_tokens({"pad_token": "<padding>"})
    tokenizer.save_pretrained(model)
    done = train(model, data, tmp_path)
    assert done.code == 2
    assert f"token number {len(WORDS)}" in done.error


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            change("config.json", position_embedding_type="relative_key"),
            "position_embedding_type=relative_key in its conf",
        ),
        (change("config.json", is_decoder=True), "would see no other; expected is_decoder=false"),
        (rename("module."), ", or has them under names that begin with 'module.': embeddings.LayerNorm.bias"),
    ],
)
def test_a_model_that_would_be_read_as_another_is_refused(
    damage: Callable[[Path], None], message: str, whole: Path, data: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(whole, tmp_path / "model")
    damage(model)
    done = train(model, data, tmp_path)
    assert done.code == 2
    assert message in done.error


def test_the_form_of_outputs_that_a_folder_asks_for_is_not_ours(whole: Path, data: Path, tmp_path: Path) -> None:
    model = shutil.copytree(whole, tmp_path / "whole")
    change("config.json", return_dict=False, output_hidden_states=True, output_attentions=True)(model)
    assert train(model, data, tmp_path).code == 0
    assert train(whole, data, tmp_path / "other").code == 0
    of_both = [result_of(only_run(out)) for out in (tmp_path / "out", tmp_path / "other" / "out")]
    assert of_both[0]["dev"] == of_both[1]["dev"]


def test_weights_of_layers_that_are_not_read_are_counted(whole: Path, data: Path, tmp_path: Path) -> None:
    model = shutil.copytree(whole, tmp_path / "model")
    change("config.json", num_hidden_layers=1)(model)
    done = train(model, data, tmp_path)
    assert done.code == 0, done.err
    told = "16 weights of layers are in the checkpoint that the backbone of its config.json has not, and are not read"
    assert f"{model}: {told}: encoder.layer.1." in done.err
    assert "weights of layers" not in train(whole, data, tmp_path / "other").err


def test_a_tokenizer_that_puts_nothing_before_a_text_is_named(whole: Path, data: Path, tmp_path: Path) -> None:
    model = shutil.copytree(whole, tmp_path / "model")
    change("tokenizer.json", post_processor=None)(model)
    done = train(model, data, tmp_path)
    assert done.code == 0, done.err
    assert f"{model}: its tokenizer does not put [CLS] before a text (post_processor in tokenizer.json)" in done.err


def test_a_tokenizer_without_special_tokens_is_named(whole: Path, data: Path, tmp_path: Path) -> None:
    model = shutil.copytree(whole, tmp_path / "model")
    change("tokenizer.json", post_processor=None)(model)
    change("tokenizer_config.json", cls_token=None, sep_token=None)(model)
    done = train(model, data, tmp_path)
    assert done.code == 0, done.err
    assert "puts no token before a text, as bert is trained with; the score of a text is read at its first" in done.err
    assert "first word, and nothing separates two texts" in done.err


# Checkpoints in several files


def write_index(folder: Path, files: dict[str, list[str]]) -> None:
    weight_map = {weight: name for name, weights in files.items() for weight in weights}
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.fixture
def sharded(whole: Path, tmp_path: Path) -> Path:
    """The tiny BERT in two files, whose names do not begin with `model-`."""
    folder = shutil.copytree(whole, tmp_path / "sharded")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"first.safetensors": names[::2], "second.safetensors": names[1::2]}
    for name, part in parts.items():
        save_file({weight: weights[weight] for weight in part}, folder / name, metadata={"format": "pt"})
    write_index(folder, parts)
    return folder


def test_the_hash_is_of_what_is_loaded(sharded: Path, data: Path, tmp_path: Path) -> None:
    done = train(sharded, data, tmp_path)
    assert done.code == 0, done.err
    before = hash_weights(sharded, "m")
    assert result_of(only_run(tmp_path / "out"))["backbone"]["sha256"] == before
    (sharded / "model-00001-of-00009.safetensors").write_bytes(b"what the index does not name is not loaded")
    assert hash_weights(sharded, "m") == before
    weights = load_file(sharded / "second.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, sharded / "second.safetensors", {"format": "pt"})
    assert hash_weights(sharded, "m") != before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../out.bin", "expected safetensors files in the same folder"),
        ("../out.safetensors", "expected safetensors files in the same folder"),
        ("sub/out.safetensors", "expected safetensors files in the same folder"),
        ("first.bin", "expected safetensors files in the same folder"),
        ("third.safetensors", "names third.safetensors, which is not there"),
    ],
)
def test_an_index_names_files_of_its_folder_only(name: str, message: str, sharded: Path) -> None:
    write_index(sharded, {"first.safetensors": ["a"], name: ["b"]})
    with pytest.raises(ModelError, match=message):
        hash_weights(sharded, "m")


def test_an_absolute_name_in_an_index(sharded: Path, tmp_path: Path) -> None:
    write_index(sharded, {str(tmp_path / "elsewhere.safetensors"): ["a"]})
    with pytest.raises(ModelError, match="expected safetensors files in the same folder"):
        hash_weights(sharded, "m")


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "{", ""])
def test_an_index_that_is_none(index: str, sharded: Path, data: Path, tmp_path: Path) -> None:
    (sharded / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    done = train(sharded, data, tmp_path)
    assert done.code == 2
    assert "model.safetensors.index.json" in done.error


def test_shards_without_their_index_are_refused(sharded: Path) -> None:
    (sharded / "first.safetensors").rename(sharded / "model-00001-of-00001.safetensors")
    (sharded / "model.safetensors.index.json").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        hash_weights(sharded, "m")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(
    value: float, dtype: str, whole: Path, sharded: Path, data: Path, tmp_path: Path
) -> None:
    for model in (whole, sharded):
        damaged = shutil.copytree(model, tmp_path / "damaged" / model.name)
        file = sorted(damaged.glob("*.safetensors"))[-1]
        weights = load_file(file)
        name = sorted(weights)[-1]
        weights[name].view(-1)[-1] = value
        save_file(weights, file, {"format": "pt"})
        done = train(damaged, data, tmp_path, f"model.dtype={dtype}")
        assert done.code == 2
        assert done.error.startswith(f"{file}: ")
        assert done.error.endswith(f"{name} has values that are NaN or infinite; expected finite weights")
        assert not (tmp_path / "out").exists()
