"""Clozes: texts with a blank, and the words that may fill it, as tokens.

The kind of language model decides where the tokens of a word are read (`Reading`):

    mask     [CLS] text [MASK] [MASK] text [SEP]                  masked models: one mask per token of the longest word
    next     text word                                            causal models: the text ends where the blank is
    piece    [CLS] text [MASK] text <end> <startofpiece> word     glm-2021
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptv2.data.encode import TextSet
from ptv2.data.tokens import Tokens
from ptv2.errors import ConfigError, DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Reading = Literal["mask", "next", "piece"]
Role = Literal["fixed", "field", "blank"]
Filled = tuple[tuple[str, Role], ...]  # one segment in parts; only fields are ever cut
Cloze = tuple[Filled, Filled | None]
ClozeItem = tuple[str, tuple[Cloze, ...], int | None]  # an example's name, its one cloze, its class number
Span = tuple[int, int, int]  # segment, first character, end


@dataclass(frozen=True)
class LabelWords:
    """The words that stand for labels, in tokens. With `piece`, words of several tokens end in an end of the piece."""

    reading: Reading
    tokens: tuple[tuple[int, ...], ...]  # of each word
    labels: tuple[int, ...]  # the number of each word's label
    mask_id: int = -1  # reading mask
    start: tuple[int, ...] = ()  # what comes between text and word

    @property
    def longest(self) -> int:
        """Tokens of the longest word."""
        return max(map(len, self.tokens))

    @property
    def sequences(self) -> int:
        """Sequences per example: one, or one per word where all but its last token must follow the text."""
        return 1 if self.reading == "mask" or self.longest == 1 else len(self.tokens)

    @classmethod
    def stand_in(cls, labels: int) -> LabelWords:
        """One word of one token for each label, where only the cost matters."""
        return cls("mask", tuple((i,) for i in range(labels)), tuple(range(labels)), mask_id=0)


def label_words(
    tokenizer: PreTrainedTokenizerBase, before: str, words: Sequence[tuple[str, int]], reading: Reading
) -> LabelWords:
    """Tokenize words as they follow the text `before`, each with the number of its label.

    Raises:
        ConfigError: a word that the vocabulary lacks, words of two labels with the same tokens, or a tokenizer without
            masks.
    """
    if reading != "next" and tokenizer.mask_token_id is None:
        raise ConfigError("head.kind=verbalizer: the tokenizer has no mask token to put into the blank")
    tokenized = [_word_tokens(tokenizer, before, word) for word, _ in words]
    labels = tuple(label for _, label in words)
    label_of: dict[tuple[int, ...], int] = {}
    for (word, label), tokens in zip(words, tokenized, strict=True):
        if label_of.setdefault(tokens, label) != label:
            raise ConfigError(f"task.verbalizer.words: '{word}' has the same tokens as a word of another label")
    if reading != "piece":
        return LabelWords(
            reading, tuple(tokenized), labels, mask_id=tokenizer.mask_token_id if reading == "mask" else -1
        )
    if any(len(tokens) > 1 for tokens in tokenized):
        end = tokenizer.get_vocab()["<|endofpiece|>"]
        tokenized = [(*tokens, end) for tokens in tokenized]
    return LabelWords(reading, tuple(tokenized), labels, start=(tokenizer.bos_token_id,))


def encode_cloze(
    items: Sequence[ClozeItem], tokenizer: PreTrainedTokenizerBase, max_length: int, words: LabelWords
) -> TextSet:
    """Tokenize clozes. Where one is too long, its longest field loses its last token until it fits.

    Args:
        max_length: tokens of a sequence at most, special tokens and those of a word included.

    Raises:
        DataError: a cloze that is too long even without its fields.
    """
    encodings, spans = _tokenize(items, tokenizer, words)
    tails = [words.start] if words.sequences == 1 else [(*words.start, *word[:-1]) for word in words.tokens]
    room = max_length - max(map(len, tails))
    typed = "token_type_ids" in tokenizer.model_input_names
    ids: list[list[int]] = []
    types: list[list[int]] = []
    truncated = 0
    for (name, _, _), encoding, fields in zip(items, encodings, spans, strict=True):
        positions = _without_ending(encoding) if words.reading == "next" else list(range(len(encoding.ids)))
        if len(positions) > room:
            truncated += 1
            positions = _cut(positions, encoding, fields, room, f"example {name}")
        for tail in tails:
            ids.append([*(encoding.ids[i] for i in positions), *tail])
            types.append([*(encoding.type_ids[i] for i in positions), *[0] * len(tail)])
    labels: Any = [label for _, _, label in items]
    return TextSet(
        tokens=Tokens.from_lists(ids, types if typed else None, tokenizer.pad_token_id),
        labels=None if None in labels else np.asarray(labels, dtype=np.int64),
        width=words.sequences,
        truncated=truncated,
    )


def _tokenize(
    items: Sequence[ClozeItem], tokenizer: PreTrainedTokenizerBase, words: LabelWords
) -> tuple[list[Any], list[list[Span]]]:
    """The encoding of each cloze, whole, and where its fields stand."""
    count = {"mask": words.longest, "next": 0, "piece": 1}[words.reading]
    blank = str(tokenizer.mask_token) * count if count else None
    special = sorted(token for token in set(tokenizer.all_special_tokens) if len(token) > 1)
    texts: list[list[str]] = []
    spans: list[list[Span]] = []
    for _, (cloze,), _ in items:
        joined = [_join(parts, blank, special) for parts in cloze if parts is not None]
        texts.append([text for text, _ in joined])
        spans.append([(n, *span) for n, (_, of_fields) in enumerate(joined) for span in of_fields])
    firsts = [text[0] for text in texts]
    seconds = [text[1] for text in texts] if len(texts[0]) == 2 else None
    # Not verbose: it would warn of texts longer than the model, which are cut here.
    return tokenizer(firsts, seconds, return_attention_mask=False, verbose=False).encodings, spans


def _join(pieces: Filled, blank: str | None, special: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Join the text of a segment and locate its fields in it; where `blank` is None the text ends at the blank.

    White space before the blank is removed, since the tokens of words have it. Special tokens in the data are broken
    up, or they would be taken for the template's.
    """
    text = ""
    spans: list[tuple[int, int]] = []
    for piece, role in pieces:
        if role == "blank":
            text = text.rstrip()
            if blank is None:
                return text, spans
            piece = blank
        elif role == "field":
            for token in special:
                piece = piece.replace(token, f"{token[0]} {token[1:]}")
            spans.append((len(text), len(text) + len(piece)))
        text += piece
    return text, spans


def _without_ending(encoding: Any) -> list[int]:
    """Positions of the tokens up to the last of the text: the word follows there, before any special token."""
    inside = [i for i, segment in enumerate(encoding.sequence_ids) if segment is not None]
    return list(range(inside[-1] + 1)) if inside else list(range(len(encoding.ids)))


def _cut(positions: Sequence[int], encoding: Any, fields: Sequence[Span], room: int, where: str) -> list[int]:
    """Drop tokens of fields until at most `room` positions are left."""
    tokens: list[list[int]] = [[] for _ in fields]  # of each field
    segments, offsets = encoding.sequence_ids, encoding.offsets
    for position in positions:
        start, end = offsets[position]
        for field, (segment, first, last) in zip(tokens, fields, strict=True):
            if segments[position] == segment and first <= start < end <= last:
                field.append(position)
    if len(positions) > room and sum(map(len, tokens)) <= len(positions) - room:
        fixed = len(positions) - sum(map(len, tokens))
        raise DataError(
            f"{where}: task.verbalizer.text takes {fixed} tokens without its fields, and task.max_length leaves "
            f"{room} for the whole; raise it"
        )
    dropped = set()
    for _ in range(len(positions) - room):
        longest = max(tokens, key=len)
        dropped.add(longest.pop())
    return [position for position in positions if position not in dropped]


def _word_tokens(tokenizer: PreTrainedTokenizerBase, before: str, word: str) -> tuple[int, ...]:
    """The tokens that `before` gains when the word follows it, with the blank between them."""
    alone, together = tokenizer([before.rstrip(), before + word], add_special_tokens=False)["input_ids"]
    tokens = tuple(together[len(alone) :])
    if not tokens or together[: len(alone)] != alone or tokenizer.unk_token_id in tokens:
        raise ConfigError(f"task.verbalizer.words: the tokenizer has no tokens for '{word}' behind '{before}'")
    return tokens
