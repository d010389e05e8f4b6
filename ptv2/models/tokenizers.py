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
    if alone == paired:
        backend = tokenizer.backend_tokenizer
        between = TemplateProcessing(
            single="$A", pair=f"$A {end}:0 $B:1", special_tokens=[(end, tokenizer.eos_token_id)]
        )
        own = backend.post_processor
        backend.post_processor = between if own is None else Sequence([own, between])
