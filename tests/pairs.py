"""Small tokenizers with the quirks of the families that answer questions, and texts that provoke these."""

from __future__ import annotations

from tokenizers import Tokenizer, normalizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE, WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from tokenizers.trainers import BpeTrainer, WordPieceTrainer
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "The baker of Lund sold nineteen loaves in March, and the miller sold none.",
    "Who sold nineteen loaves?  Nobody knew where the miller had gone that winter.",
    "Zoë paid 4,50 € at the café; the naïve waiter thanked her.",
]


def bert_like() -> PreTrainedTokenizerFast:
    """Pieces of lower-cased words without accents, `[CLS] q [SEP] c [SEP]`, token types."""
    backend = Tokenizer(WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    backend.train_from_iterator(TEXTS, WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False))
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def roberta_like(prefix_space: bool = False) -> PreTrainedTokenizerFast:
    """Byte pairs with the blank before a word in its first piece, `<s> q </s></s> c </s>`, no token types."""
    return PreTrainedTokenizerFast(
        tokenizer_object=_byte_pairs(prefix_space),
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )


def gpt2_like() -> PreTrainedTokenizerFast:
    """Byte pairs without any special token; the blank before a word is in its characters."""
    backend = _byte_pairs(False)
    backend.post_processor = None
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=["input_ids", "attention_mask"])


def _byte_pairs(prefix_space: bool) -> Tokenizer:
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=prefix_space)
    backend.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.post_processor = RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=prefix_space
    )
    return backend
