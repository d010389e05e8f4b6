"""The tokenizer of the English GLM models from its published files, without the hub's remote code.

It is GPT-2's byte-level BPE (`vocab.json`, `merges.txt`) with a few tokens more; `[CLS]` goes in front and
`<|endoftext|>` behind, `[SEP]` between two texts. A blank before a mask token belongs to the token.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ptv2.errors import ModelError
from ptv2.models.foreign import read_object

CLASS = "GLMGPT2Tokenizer"  # in tokenizer_config.json: that of the hub's remote code
END = "<|endoftext|>"  # end of the context, and padding
MASKS = ("[MASK]", "[gMASK]", "[sMASK]")
# The order of their numbers, behind GPT-2's own; `added_tokens.json` of the checkpoint has the last word.
SPECIAL = ("<|startofpiece|>", "<|endofpiece|>", "[CLS]", "[MASK]", "[SEP]", "[UNK]", "[gMASK]", "[sMASK]")


def is_glm_tokenizer(folder: Path) -> bool:
    """Whether `folder` holds these files and names the remote class (a `tokenizer.json` would need no help)."""
    file = folder / "tokenizer_config.json"
    if not file.is_file() or (folder / "tokenizer.json").is_file():
        return False
    return read_object(file).get("tokenizer_class") == CLASS


def load_glm_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of `folder`.

    Raises `ModelError` when a file is missing, or the special tokens would get other numbers than the checkpoint gave
    them.
    """
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    if missing := [file.name for file in (vocab, merges) if not file.is_file()]:
        raise ModelError(f"{folder}: the GLM tokenizer needs {' and '.join(missing)}")
    backend = Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    for token, number in sorted(_numbers(folder, backend.get_vocab_size()).items(), key=lambda item: item[1]):
        backend.add_special_tokens([AddedToken(token, lstrip=token in MASKS, normalized=False, special=True)])
        if backend.token_to_id(token) != number:
            raise ModelError(f"{folder}: {token} has number {backend.token_to_id(token)}, the checkpoint says {number}")
    special = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]", END)]
    backend.post_processor = processors.TemplateProcessing(
        single=f"[CLS] $A {END}", pair=f"[CLS] $A [SEP] $B {END}", special_tokens=special
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        unk_token="[UNK]",
        pad_token=END,
        eos_token=END,
        bos_token="<|startofpiece|>",
        additional_special_tokens=["<|startofpiece|>", "<|endofpiece|>", "[gMASK]", "[sMASK]"],
        model_input_names=["input_ids", "attention_mask"],
    )


def _numbers(folder: Path, first: int) -> dict[str, int]:
    """Numbers of the special tokens: those of `added_tokens.json`, else counted from the vocabulary's size."""
    file = folder / "added_tokens.json"
    if not file.is_file():
        return {token: first + offset for offset, token in enumerate(SPECIAL)}
    given = read_object(file)
    if missing := [token for token in SPECIAL if token not in given]:
        raise ModelError(f"{file}: lacks {', '.join(missing)}")
    return given
