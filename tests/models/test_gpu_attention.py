"""The attention kernels of GPUs, on a CPU: flex as torch computes it there, flash by a kernel written in torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from commandline import run, train_words, write_backbone, write_sentences
from tiny import FAMILY_CONFIGS, NO_HIDDEN_DROPOUT, run_config, tiny_batch, tiny_model
from torch import Tensor
from transformers import MODEL_MAPPING, AttentionInterface, AttentionMaskInterface, AutoConfig
from transformers import modeling_flash_attention_utils as flash_utils
from transformers.masking_utils import flash_attention_mask, flex_attention_mask

from ptv2.errors import ConfigError, ModelError
from ptv2.experiment.open import is_installed
from ptv2.models import gpu_attention
from ptv2.models.attention import with_prompts
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.families import FAMILIES

KERNELS = {
    "flash_attention_2": (with_prompts(gpu_attention.whole(gpu_attention.flash_attention), gpu_attention.show_keys)),
    "flex_attention": with_prompts(gpu_attention.flex_attention, gpu_attention.show_blocks),
}
MASKS = {"flash_attention_2": flash_attention_mask, "flex_attention": flex_attention_mask}
METHODS = ["p-tuning-v2", "prompt-tuning", "fine-tuning"]


def flash_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    deterministic: bool = False,
) -> Tensor:
    """`flash_attn_func` of flash-attn 2.8: `[B, T, heads, D]`; causal masks and windows end at the last key."""
    groups = q.shape[2] // k.shape[2]
    scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k.repeat_interleave(groups, 2)) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    ahead = torch.arange(k.shape[1]) - torch.arange(q.shape[1])[:, None] - (k.shape[1] - q.shape[1])
    before, after = window_size
    hidden = (ahead > 0) if causal else torch.zeros_like(ahead, dtype=torch.bool)
    hidden |= (ahead > after) & (after >= 0) | (ahead < -before) & (before >= 0)
    weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v.repeat_interleave(groups, 2))


def flash_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    deterministic: bool = False,
) -> Tensor:
    """`flash_attn_varlen_func` of flash-attn 2.8: texts of all rows one after another."""
    options = (dropout_p, softmax_scale, causal, window_size, softcap, deterministic)
    assert int(cu_seqlens_q.diff().max()) == max_seqlen_q
    assert int(cu_seqlens_k.diff().max()) == max_seqlen_k
    rows = [
        flash_func(q[i:j][None], k[m:n][None], v[m:n][None], *options)[0]
        for i, j, m, n in zip(cu_seqlens_q, cu_seqlens_q[1:], cu_seqlens_k, cu_seqlens_k[1:], strict=False)
    ]
    return torch.cat(rows)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kernels under their names for CPU tensors too; nothing is compiled."""
    functions = (flash_func, flash_varlen_func, None, flash_utils._pad_input, flash_utils._unpad_input)
    monkeypatch.setattr(flash_utils, "_lazy_imports", lambda *_, **__: functions)
    monkeypatch.setattr(flash_utils, "_loaded_implementation", None)
    for name, kernel in KERNELS.items():
        AttentionInterface.register(f"kernel {name}", kernel)
        AttentionMaskInterface.register(f"kernel {name}", MASKS[name])
    with torch.compiler.set_stance("force_eager"):
        yield


def use_kernel(model: PromptedModel, name: str) -> None:
    """Let `model` attend by the kernel `name`, past what stands in for it on a CPU."""
    model.backbone.config._attn_implementation = f"kernel {name}"  # type: ignore[union-attr]


def scores_of_text(model: PromptedModel, batch: dict[str, Tensor]) -> Tensor:
    """The scores of all tokens that are no padding, one after another."""
    with torch.no_grad():
        return model(batch)["scores"][batch.get("attention_mask", torch.ones_like(batch["input_ids"])) == 1]


def batches(model: PromptedModel, *, causal: bool) -> dict[str, dict[str, Tensor]]:
    """Padded texts, texts of one length, with a mask and without, one text, and for decoders padding in front."""
    padded = {k: v for k, v in tiny_batch(pad=model.config.pad_token_id).items() if k != "labels"}
    whole = {"input_ids": padded["input_ids"][:, :5], "attention_mask": torch.ones(3, 5, dtype=torch.long)}
    found = {"padded": padded, "whole": whole, "one": {name: tensor[:1] for name, tensor in whole.items()}}
    found["no mask"] = {"input_ids": whole["input_ids"]}
    if causal:
        order = padded["attention_mask"].argsort(dim=-1, stable=True)
        found["in front"] = {name: tensor.gather(-1, order) for name, tensor in padded.items()}
    return found


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("family", "kernel", "method"),
    [
        (row.model_type, kernel, method)
        for row in FAMILIES.values()
        for kernel in row.kernels
        for method in METHODS
        if method != "prompt-tuning" or row.model_type in ("roberta", "modernbert", "llama")
    ],
)
def test_a_kernel_gives_the_scores_of_eager_attention(family: str, kernel: str, method: str) -> None:
    model = tiny_model(family, method, HeadSpec("tagging", 5), attention="eager")
    given = batches(model, causal=FAMILIES[family].causal)
    expected = {name: scores_of_text(model, batch) for name, batch in given.items()}
    use_kernel(model, kernel)
    if kernel == "flash_attention_2" and FAMILIES[family].windows and method == "p-tuning-v2":
        with pytest.raises(ModelError, match="flash_attention_2 cannot show prompts at layers to every token where"):
            scores_of_text(model, given["padded"])
        return
    for name, batch in given.items():
        torch.testing.assert_close(scores_of_text(model, batch), expected[name], atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("method", METHODS[:2])
@pytest.mark.parametrize("family", ["bert", "albert", "llama"])
def test_flash_gives_the_gradients_of_eager_attention(family: str, method: str) -> None:
    model = tiny_model(family, method, attention="eager", prompt={"layers": [0, 2]})
    batch, found = tiny_batch(pad=model.config.pad_token_id), []
    for name in (None, "flash_attention_2"):
        if name is not None:
            use_kernel(model, name)
        model.zero_grad()
        model(batch)["loss_sum"].backward()
        assert model.prompts is not None
        found.append([p.grad.clone() for p in model.prompts.parameters() if p.grad is not None])
    assert found[0]
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("kernels")
def test_blocks_are_made_once_for_layers_that_share_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """modernbert has two masks, one for its windows, and changes between them from layer to layer."""
    made: list[Any] = []
    monkeypatch.setattr(gpu_attention, "create_block_mask", lambda *a, **k: made.append(a) or create(*a, **k))
    create = torch.nn.attention.flex_attention.create_block_mask
    for family, masks in (("bert", 1), ("modernbert", 2)):
        model = tiny_model(family, attention="eager")
        use_kernel(model, "flex_attention")
        made.clear()
        with torch.no_grad():
            model(tiny_batch())
        assert len(made) == masks


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("family", ["bert", "modernbert", "llama"])
@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_a_gpu_gives_the_scores_and_gradients_of_eager_attention(family: str, kernel: str) -> None:
    device, found = torch.device("cuda"), []
    try:
        gpu_attention.check_gpu(kernel, device)  # type: ignore[arg-type]
    except ConfigError as error:
        pytest.skip(str(error))
    if FAMILIES[family].windows and kernel == "flash_attention_2":
        pytest.skip("takes no prompts at layers")
    config = {"model_type": family, **FAMILY_CONFIGS[family], "hidden_size": 64}
    hidden = {"hidden_dropout": None} if family in NO_HIDDEN_DROPOUT else {}
    for attention in ("eager", kernel):
        cfg = run_config(config, attention=attention, dtype="bfloat16", **hidden)
        model = build_model(cfg, HeadSpec("classification", 3)).to(device).train()
        batch = {name: tensor.to(device) for name, tensor in tiny_batch(pad=model.config.pad_token_id).items()}
        output = model(batch)
        output["loss_sum"].backward()
        assert model.prompts is not None
        found.append([output["scores"], *(p.grad for p in model.prompts.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[1], found[0], atol=2e-2, rtol=2e-2)


# Who takes which


def refusal(family: str, attention: str, **settings: Any) -> str:
    config = {"model_type": family, **FAMILY_CONFIGS[family], **settings.pop("config", {})}
    if family in NO_HIDDEN_DROPOUT:
        settings.setdefault("hidden_dropout", None)
    cfg = run_config(config, attention=attention, dtype="bfloat16", **settings)
    with pytest.raises(ModelError) as caught:
        build_model(cfg, HeadSpec("classification", 3))
    return str(caught.value)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_table_says_what_transformers_offers(family: str) -> None:
    row = FAMILIES[family]
    known = MODEL_MAPPING.get(type(AutoConfig.for_model(family)), None)
    if row.kernels:
        assert row.kernels == tuple(kernel for kernel, flag in gpu_attention.FLAGS.items() if getattr(known, flag))
    config = AutoConfig.for_model(family, **FAMILY_CONFIGS[family])
    assert ("sliding_attention" in (getattr(config, "layer_types", None) or [])) == row.windows
    for kernel in set(KERNELS) - set(row.kernels):
        assert refusal(family, kernel) in (
            f"model.attention={kernel}: ptv2 computes attention of {family} by its own code, and the kernel does not "
            "know that; expected sdpa or eager",
            f"model.attention={kernel}: transformers does not offer it for {family}; expected sdpa or eager",
        )


def test_what_a_kernel_does_not_know_is_refused() -> None:
    assert refusal("bert", "flex_attention", config={"hidden_size": 64}, attention_dropout=0.1) == (
        "model.attention=flex_attention knows no dropout of attention; expected model.attention_dropout=0 too"
    )
    assert "not know that" in refusal("mpnet", "flex_attention", attention_dropout=0.1)
    assert refusal("bert", "flex_attention", config={"hidden_size": 32, "num_attention_heads": 4}) == (
        "model.attention=flex_attention: it has no kernel for heads of size 8 (at least 16); expected sdpa or eager"
    )
    assert "heads of size 512 (at most 256)" in refusal("bert", "flash_attention_2", config={"hidden_size": 1024})


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_on_a_cpu_the_scores_are_those_of_sdpa(kernel: str) -> None:
    """A run that a GPU has trained is used on a CPU: loaded, verified and evaluated."""
    shape = {"hidden_size": 64}
    config = {"model_type": "modernbert" if kernel == "flex_attention" else "bert"}
    config |= {**FAMILY_CONFIGS[str(config["model_type"])], **shape}
    scores = []
    for attention in ("sdpa", kernel):
        cfg = run_config(config, attention=attention, dtype="bfloat16")
        scores.append(build_model(cfg, HeadSpec("classification", 3)).eval()(tiny_batch())["scores"])
    assert torch.equal(*scores)


def test_training_needs_a_gpu() -> None:
    for kernel in KERNELS:
        with pytest.raises(ConfigError, match=rf"model\.attention={kernel} trains on a GPU only \(here: cpu\)"):
            gpu_attention.check_gpu(kernel, torch.device("cpu"))  # type: ignore[arg-type]
    for attention in ("sdpa", "eager"):
        gpu_attention.check_gpu(attention, torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    data, backbone = write_sentences(tmp_path / "data"), write_backbone(tmp_path / "backbone")
    words = [*train_words(data, tmp_path / "out"), f"model.path={backbone}"]
    flash, flex = (f"model.attention={kernel}" for kernel in ("flash_attention_2", "flex_attention"))
    cases = {
        (flash,): f"{flash} computes in half precision only; expected trainer.precision=bf16",
        (flash, "trainer.precision=tf32"): f"{flash} computes in half precision only; expected trainer.precision=bf16",
        (flex,): f"{flex} trains on a GPU only (here: cpu); expected sdpa",
        (flex, "trainer.device=cpu"): f"{flex} trains on a GPU only; expected sdpa, or trainer.device=auto",
    }
    if not any(map(is_installed, ("flash_attn", "kernels"))):
        cases[flash, "trainer.precision=bf16"] = f"{flash} needs a GPU, and flash-attn or kernels; pip install"
    for settings, message in cases.items():
        done = run([*words, *settings], tmp_path)
        assert (done.code, message in done.err, done.err.count("\n")) == (2, True, 1), done.err
