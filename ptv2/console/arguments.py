"""The arguments of a command; a wrong one is answered in one line, like every other mistake."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Sequence
from typing import NoReturn

from ptv2.errors import ConfigError, unknown
from ptv2.screen import folded

_NAME = re.compile(r"\s+\S.*?\s\s+(?=\S)")  # a word of a list, before what it means


class Lists(argparse.HelpFormatter):
    """Help whose lists, of words and what they mean, keep their lines and fold below the meaning."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        margins = [len(found[0]) if (found := _NAME.match(line)) else 0 for line in lines]
        return "\n".join(indent + folded(line, width, margin) for line, margin in zip(lines, margins, strict=True))


RUN_HELP = "a run's folder, its name or its hash, or a beginning of these that no other run has"


class Parser(argparse.ArgumentParser):
    """argparse's parser without the usage in front of its errors."""

    def error(self, message: str) -> NoReturn:
        """Raise what `ptv2.cli` says in one line.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message} ({self.prog} --help says what there is)")


def read_words(words: Sequence[str], keys: Collection[str], needed: Sequence[str] = ()) -> dict[str, str]:
    """Words of the form key=value, by key.

    Raises:
        ConfigError: a word of another form, an unknown key, or one of `needed` that is missing.
    """
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise ConfigError(f"{word}: expected key=value")
        if key not in keys:
            raise ConfigError(unknown("key", key, keys))
        values[key] = value
    if missing := [key for key in needed if key not in values]:
        raise ConfigError(f"expected {' and '.join(f'{key}=NAME' for key in missing)}")
    return values
