"""Templates with a blank and words for labels: how a classification asks a language model."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ptv2.config.task_schema import VerbalizerConfig
from ptv2.data.cloze import Cloze, LabelWords, Reading, Role, label_words
from ptv2.errors import ConfigError, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ptv2.data.labels import LabelSet

BLANK = "mask"  # the field that is the blank
BARE = "bare"  # {field:bare} is a field without punctuation at its end, as published patterns have it


class _Part(NamedTuple):
    """A stretch of a template: its own text, or the name of a field."""

    text: str
    role: Role
    bare: bool = False


class ClozeTemplate:
    """The template and words of `task.verbalizer`, for models that are asked by `reading`."""

    def __init__(self, config: VerbalizerConfig, labels: LabelSet, reading: Reading) -> None:
        """Raise `ConfigError` for a template that cannot be read, or words that are not those of the labels."""
        self.reading = reading
        self._segments = [_parse(template) for template in config.text]
        self._words = _by_number(config.words, labels)
        segment = next(pieces for pieces in self._segments if any(piece.role == "blank" for piece in pieces))
        blank = [piece.role for piece in segment].index("blank")
        behind = any(piece.role == "field" for piece in segment[blank + 1 :])
        if reading == "next" and (behind or segment is not self._segments[-1]):
            raise ConfigError(
                "task.verbalizer.text has text behind {mask}, which a decoder cannot see; expected {mask} at the end "
                "(task.verbalizer.text=['... {mask}'], and words that fit there)"
            )
        # A word follows the template's own text; "x" stands for whatever a field puts before that.
        self._before = segment[blank - 1].text if blank and segment[blank - 1].role == "fixed" else ""
        if blank > 1 or (blank and segment[0].role == "field"):
            self._before = f"x{self._before}"

    def fill(self, field: Callable[[str], str]) -> Cloze:
        """Make the cloze of one example; `field` returns the text of a field by its name."""
        first, *rest = (tuple(_filled(piece, field) for piece in pieces) for pieces in self._segments)
        return first, rest[0] if rest else None

    def words(self, tokenizer: PreTrainedTokenizerBase) -> LabelWords:
        """Tokenize the words of the labels; see `label_words`."""
        return label_words(tokenizer, self._before, self._words, self.reading)


def _filled(piece: _Part, field: Callable[[str], str]) -> tuple[str, Role]:
    if piece.role != "field":
        return piece.text, piece.role
    text = field(piece.text)
    return text.rstrip(string.punctuation) if piece.bare else text, piece.role


def _parse(template: str) -> list[_Part]:
    if "{" not in template:
        return [_Part(template, "field")]
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f"task.verbalizer.text: '{template}' is no template: {error}") from error
    pieces = []
    for text, name, spec, conversion in fields:
        if text:
            pieces.append(_Part(text, "fixed"))
        if name is None:
            continue
        if not name or conversion or spec not in ("", BARE):
            raise ConfigError(
                f"task.verbalizer.text: '{template}': expected {{field}}, {{field:{BARE}}} or {{{BLANK}}}"
            )
        pieces.append(_Part("", "blank") if name == BLANK else _Part(name, "field", spec == BARE))
    return pieces


def _by_number(words: dict[str, list[str]], labels: LabelSet) -> list[tuple[str, int]]:
    """Pair each word with its label's number, in the order of labels."""
    words_of: dict[int, list[str]] = {}
    for label, synonyms in words.items():
        if (number := labels.find(label)) is None:
            raise ConfigError(f"task.verbalizer.words: {unknown('label', label, labels.names)}")
        words_of[number] = synonyms
    if missing := [name for number, name in enumerate(labels.names) if not words_of.get(number)]:
        raise ConfigError(f"task.verbalizer.words: expected a word for every label; none for {', '.join(missing)}")
    return [(word, number) for number in sorted(words_of) for word in words_of[number]]
