"""Load a backbone's tokenizer, and give decoders' ones what they lack: a token to pad with, one between two texts."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from tokenizers.processors import Sequence, TemplateProcessing
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ptv2.config.schema import ModelConfig, RunConfig
from ptv2.data.words import mark_word_starts
from ptv2.errors import ConfigError, ModelError, quote
from ptv2.models.checkpoints import embedded_folder, resolve
from ptv2.models.families import FAMILIES
from ptv2.models.foreign import naming_fault, read_object
from ptv2.models.glm import is_glm_tokenizer, load_glm_tokenizer
from ptv2.models.seeding import seeded
from ptv2.models.sentence_pieces import check_read_right, check_readable

log = logging.getLogger(__name__)
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


def load_tokenizer(cfg: ModelConfig, split_words: bool = False) -> PreTrainedTokenizerBase:
    """The fast tokenizer of `cfg`. Random backbones (`config:`) read with the embedded one.

    `split_words` is for text that comes as words: byte-level tokenizers then read a blank before each of them.
    """
    if cfg.path == "config:":
        tokenizer = AutoTokenizer.from_pretrained(embedded_folder("minilm"), use_fast=True)
        size = cfg.config.get("vocab_size", 0)
        if not isinstance(size, int) or size < len(tokenizer):
            raise ConfigError(
                f"model.config.vocab_size={quote(size)}: random backbones read with the tokenizer of "
                f"minilm, which needs {len(tokenizer)}"
            )
        return tokenizer
    folder, _ = resolve(cfg)
    if not any(file for pattern in _TOKENIZER_FILES for file in folder.glob(pattern)):
        # transformers would make up a tokenizer without words
        raise ModelError(f"{cfg.path}: has no tokenizer (none of {', '.join(_TOKENIZER_FILES)})")
    check_readable(folder, cfg.path)
    with naming_fault(f"{cfg.path}: its tokenizer cannot be loaded"):
        if is_glm_tokenizer(folder):
            tokenizer = load_glm_tokenizer(folder)
        else:
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=cfg.trust_remote_code)
            if tokenizer.is_fast:
                check_read_right(tokenizer, folder, cfg.path)
        if not tokenizer.is_fast:
            raise ModelError(f"{cfg.path}: has no fast tokenizer (tokenizer.json), which word and span positions need")
        tokenizer.encode("☃", add_special_tokens=False)  # fails if the token for what is unknown is missing
        tokenizer.truncation_side = "right"  # a long text loses its end, with every backbone
        complete(tokenizer)
        _note_what_is_not_marked(tokenizer, folder, cfg.path)
        if split_words:
            mark_word_starts(tokenizer)
    return tokenizer


def prompt_tokens(cfg: RunConfig) -> Tensor | None:
    """The tokens `[P]` that the prompts of `cfg` start from; None unless `prompt.init` is vocabulary."""
    if cfg.prompt.init != "vocabulary":
        return None
    return vocabulary_tokens(load_tokenizer(cfg.model), cfg.prompt.length, cfg.seed)


def vocabulary_tokens(tokenizer: PreTrainedTokenizerBase, count: int, seed: int) -> Tensor:
    """`count` different token ids of real words or pieces, without special and reserved ones, drawn by `seed`."""
    special = set(tokenizer.all_special_ids)
    usable = sorted(
        number
        for token, number in tokenizer.get_vocab().items()
        if number not in special and not (token.startswith(("[", "<")) and token.endswith(("]", ">")))
    )
    if count > len(usable):
        raise ConfigError(f"prompt.length={count}: prompt.init=vocabulary has only {len(usable)} tokens to take")
    return torch.tensor(usable)[torch.randperm(len(usable), generator=seeded(seed, "vocabulary"))[:count]]


def complete(tokenizer: PreTrainedTokenizerBase) -> None:
    """Pad with the end-of-text token where there is no other, and put it between two texts that nothing separates.

    Padding is known by the attention mask, so a token that also means something else does no harm. Without a separator
    (gpt2, gpt_neox, qwen) the last word of the first text and the first word of the second become one.
    """
    end = tokenizer.eos_token
    if end is None:
        return
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = end
    alone, paired = (tokenizer.num_special_tokens_to_add(pair=pair) for pair in (False, True))
    if alone != paired:
        return
    backend = tokenizer.backend_tokenizer
    before, after = (tokenizer.convert_ids_to_tokens(ids) for ids in around_text(tokenizer))
    between = TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", f"{end}:0", "$B:1", *(f"{token}:1" for token in after)],
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in {end, *before, *after}],
    )
    processor = backend.post_processor
    # One that adds tokens cannot stand before another that does.
    backend.post_processor = between if processor is None or alone else Sequence([processor, between])


def _note_what_is_not_marked(tokenizer: PreTrainedTokenizerBase, folder: Path, path: str) -> None:
    """Warn where the first word of a text stands for all of it, as nothing is put before it."""
    if tokenizer.num_special_tokens_to_add():
        return
    if tokenizer.cls_token is not None:
        log.warning(
            "%s: its tokenizer does not put %s before a text (post_processor in tokenizer.json); the score of a "
            "text is read at its first word",
            path,
            tokenizer.cls_token,
        )
    elif (folder / "config.json").is_file():
        family = FAMILIES.get(str(read_object(folder / "config.json").get("model_type")))
        if family is not None and not family.causal:
            log.warning(
                "%s: its tokenizer puts no token before a text, as %s is trained with; the score of a text is read at "
                "its first word, and %s",
                path,
                family.model_type,
                "nothing separates two texts" if tokenizer.eos_token is None else "two texts are separated by the end",
            )


def around_text(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    bare, ids = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    first = next(i for i in range(len(ids)) if ids[i : i + len(bare)] == bare)
    return ids[:first], ids[first + len(bare) :]
