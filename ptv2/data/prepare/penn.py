"""Read the words of Penn Treebank trees (`parsed/mrg`) as the CoNLL-2005 shared task does.

The task's archives leave out the words of the Wall Street Journal; its software takes them from the trees with
`wsj-removetraces.pl` and `wsj-to-se.pl -w 1` (https://www.cs.upc.edu/~srlconll/soft.html). This does the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ptv2.errors import DataError

_PIECES = re.compile(r"[()]|[^\s()]+")
_TRACE = "-NONE-"
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LCB-": "{", "-RCB-": "}"}
_HEADER = "*x*"  # begins the copyright lines of the Brown part


def tree_words(lines: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    """Read the words of each tree, without traces; a tree of traces alone is left out.

    Args:
        lines: ("FILE:LINE", text), as `Given.lines` gives them.

    Raises:
        DataError: brackets that do not match, or text where no tree is.
    """
    words: list[str] = []
    atoms: list[str] = []  # in the bracket that was opened last
    depth, where = 0, ""
    for where, text in lines:
        if text.startswith(_HEADER):
            continue
        for piece in _PIECES.findall(text):
            if piece == "(":
                depth, atoms = depth + 1, []
                continue
            if depth == 0:
                raise DataError(f"{where}: expected a tree in brackets, found {piece!r} outside of one")
            if piece != ")":
                atoms.append(piece)
                continue
            depth -= 1
            if len(atoms) == 2 and atoms[0] != _TRACE:
                words.append(_word(atoms[1]))
            elif len(atoms) not in (0, 2):
                raise DataError(f"{where}: expected (TAG WORD) or (LABEL (...) ...), found ({' '.join(atoms)})")
            atoms = []
            if depth == 0:
                if words:
                    yield words
                words = []
    if depth:
        raise DataError(f"{where}: the file ends within a tree; expected {depth} more closing brackets")


def _word(written: str) -> str:
    for name, bracket in _BRACKETS.items():
        written = written.replace(name, bracket)
    return written
