"""CoNLL-2012 semantic roles: the `*_gold_conll` files of OntoNotes 5 in the columns of CoNLL-2005.

Words and labels stay as they are written there (`-LRB-`, `ARG0`, `ARGM-TMP`).
"""

from __future__ import annotations

from pathlib import Path

from ptv2.data.prepare.gold import find_gold
from ptv2.data.prepare.parts import TaskFile, with_roles
from ptv2.data.props import conll12_sentences

# First the release for all of OntoNotes 5 (version 12), then the shared task's own documents (version 4), which are
# fewer. Published experiments train on the former and test on the latter.
PUBLISHED = {
    "train": [{"sentences": 115_812}, {"sentences": 75_187}],
    "dev": [{"sentences": 15_680}, {"sentences": 9_603}],
    "test": [{"sentences": 12_217}, {"sentences": 9_479}],
}


def read(base: Path) -> dict[str, TaskFile]:
    """Read the three parts.

    Raises:
        DataError: a part is missing, or a file is malformed.
    """
    return {
        split: with_roles(sentence for path in paths for sentence in conll12_sentences(path))
        for split, paths in find_gold(base).items()
    }
