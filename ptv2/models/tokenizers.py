"""What decoders' tokenizers lack for texts in batches: a token to pad with, and one between the texts of a pair."""

from __future__ import annotations

from tokenizers.processors import Sequence, TemplateProcessing
from transformers import PreTrainedTokenizerBase


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
    before, after = _around(tokenizer)
    between = TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", f"{end}:0", "$B:1", *(f"{token}:1" for token in after)],
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in {end, *before, *after}],
    )
    own = backend.post_processor
    # One that adds tokens cannot stand before another that does.
    backend.post_processor = between if own is None or alone else Sequence([own, between])


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[str], list[str]]:
    """The special tokens before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    ids = tokenizer("a")["input_ids"]
    first = next(i for i in range(len(ids)) if ids[i : i + len(bare)] == bare)
    tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(ids)]
    return tokens[:first], tokens[first + len(bare) :]
