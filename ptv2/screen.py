"""Measure the reader's screen, and fold text to it. Imports nothing heavy: the error line needs it too."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import IO

WIDTH = 80  # columns of a terminal that does not tell them
# Control characters, which names and labels from files may have, become pictures of themselves.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_PICTURES |= dict.fromkeys([*range(127, 160), *range(0xD800, 0xE000)], 0xFFFD)  # half a character has no bytes
# Ends of lines and paragraphs, and what turns the order of the letters that follow.
_PICTURES |= dict.fromkeys([0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)


def width_of(stream: IO[str]) -> int | None:
    """Return the columns of a line on `stream`: COLUMNS, or the terminal's; None for a pipe or file."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return (os.get_terminal_size(stream.fileno()).columns or WIDTH) if stream.isatty() else None
    except (OSError, ValueError):  # closed, or no file of the system
        return None


def visible(text: str) -> str:
    """Replace control characters, and what turns the order of letters, by pictures; the length stays."""
    return text if text.isprintable() else text.translate(_PICTURES)


def fold(
    text: str, width: int, indent: int = 2, measure: Callable[[str], int] = len, word: str = r"\S+"
) -> list[tuple[int, int]]:
    """Find begin and end in `text` of lines of at most `width` columns; a word too long for any stays on its line.

    Args:
        indent: columns before every line but the first.
        measure: counts the columns of a text.
        word: the pattern of a word, which is never split.
    """
    lines: list[tuple[int, int]] = []
    for match in re.finditer(word, text):
        room = width - (indent if len(lines) > 1 else 0)
        fits = measure(text[lines[-1][0] : match.end()]) <= room if lines else False
        if lines and (fits or measure(match[0]) > width - indent):
            lines[-1] = (lines[-1][0], match.end())
        else:
            lines.append((match.start() if lines else 0, match.end()))  # blanks before the first word stay
    return lines or [(0, 0)]


def folded(text: str, width: int | None, indent: int = 2) -> str:
    """Fold a text to lines of at most `width` columns; None: leave it as it is."""
    if width is None:
        return text
    return f"\n{' ' * indent}".join(text[start:end] for start, end in fold(text, width, indent))


def elide(text: str, most: int, measure: Callable[[str], int] = len) -> str:
    """Cut the middle out of a text of more than `most` columns, and put dots there."""
    if measure(text) <= most:
        return text
    room, start, end = max(0, most - 3), "", ""
    while measure(start + end) < room:  # from both sides in turn; wide letters may leave a column free
        rest = text[len(start) : len(text) - len(end)]
        longer = (start + rest[0], end) if len(start) <= len(end) else (start, rest[-1] + end)
        if measure("".join(longer)) > room:
            break
        start, end = longer
    return f"{start}...{end}"[: max(most, 1)]
