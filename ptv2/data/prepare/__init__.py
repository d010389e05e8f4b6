"""Turn corpora that users have by licence into the files that tasks read."""

from __future__ import annotations

from ptv2.data.prepare import conll03, conll05, conll12, ontonotes
from ptv2.data.prepare.parts import Release

RELEASES: dict[str, Release] = {
    "conll03": Release(
        "named entities: eng.train, eng.testa, eng.testb of CoNLL-2003 (Reuters)",
        ".txt",
        conll03.read,
        conll03.PUBLISHED,
    ),
    "conll05": Release(
        "semantic roles: conll05st-release and conll05st-tests, packed or not, and the Penn Treebank for their words",
        ".props",
        conll05.read,
        conll05.PUBLISHED,
        takes_treebank=True,
    ),
    "conll12": Release(
        "semantic roles: the folder of OntoNotes 5 *_gold_conll files", ".props", conll12.read, conll12.PUBLISHED
    ),
    "ontonotes": Release("named entities: the same folder", ".txt", ontonotes.read, ontonotes.PUBLISHED),
}
