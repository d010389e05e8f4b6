"""Made-up corpora in the layouts of the licensed releases, and `ptv2 prepare` on them."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ptv2.cli import main
from ptv2.data.prepare import RELEASES

# CoNLL-2005: a sentence of words with brackets and two predicates, and one without any
WORDS = "Kim\n(\nwho\nsang\n)\nleft\nearly\n.\n\nNo\nway\n.\n\n"


PROPS = """\
-       (A0*)    (A0*
-       *        *
-       (R-A0*)  *
sing    (V*)     *
-       *        *)
leave   *        (V*)
-       *        (AM-TMP*)
-       *        *

-
-
-

"""


TREES = """\
( (S
    (NP-SBJ-1 (NNP Kim)
      (PRN (-LRB- -LRB-)
        (SBAR (WHNP-2 (WP who)) (S (NP-SBJ (-NONE- *T*-2)) (VP (VBD sang))))
        (-RRB- -RRB-)))
    (VP (VBD left) (NP (-NONE- *-1)) (ADVP (RB early)))
    (. .)))
( (FRAG (DT No) (NN way) (. .)) )
"""


BROWN_HEADER = "*x*x*x*x*x*x*x*x*x*x\n*x* (made up) *x*\n\n"


TAGS = [
    ["B-A0", "O", "B-R-A0", "B-V", "O", "O", "O", "O"],
    ["B-A0", "I-A0", "I-A0", "I-A0", "I-A0", "B-V", "B-AM-TMP", "O"],
]


STEMS = [*(f"train/{{0}}/train.{section:02}.{{0}}" for section in range(2, 22)), "devel/{0}/devel.24.{0}"]


TEST_STEMS = ["test.wsj/{0}/test.wsj.{0}", "test.brown/{0}/test.brown.{0}"]


ROLE_PARTS = ["train.props", "dev.props", "test.props", "test-brown.props"]


# OntoNotes: document, part, number, word, tag, parse, lemma, frameset, sense, speaker, entities, roles, coreference
GOLD = """\
#begin document (bn/abc/00/abc_0001); part 000
bn/abc/00/abc_0001 0 0 Ann NNP (TOP(S* - - - - (PERSON) (ARG0*) * (1)
bn/abc/00/abc_0001 0 1 saw VBD * see 01 1 - * (V*) * -
bn/abc/00/abc_0001 0 2 New NNP * - - - - (GPE* (ARG1* * -
bn/abc/00/abc_0001 0 3 York NNP * - - - - *) *) * -
bn/abc/00/abc_0001 0 4 burn VB * burn 01 - - * * (V*) -
bn/abc/00/abc_0001 0 5 today NN *)) today - 2 - (DATE*) (ARGM-TMP*) * -

bn/abc/00/abc_0001 0 0 -LRB- -LRB- (TOP* - - - - * -
bn/abc/00/abc_0001 0 1 Yes UH *) - - - - * -

#end document
"""


GOLD_ENTITIES = [["B-PERSON", "O", "B-GPE", "I-GPE", "O", "B-DATE"], ["O", "O"]]


NO_NAMES = """\
#begin document (pt/nt/40/nt_4001); part 000
pt/nt/40/nt_4001 0 0 Peter NNP (TOP* - - - - * (ARG0*) -
pt/nt/40/nt_4001 0 1 slept VBD *) sleep 01 1 - * (V*) -

#end document
"""


def ptv2(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code and streams of a command."""
    code = main([str(word) for word in words])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def fault(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that a mistake is answered with, and exit code 2."""
    code, out, err = ptv2(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
    assert err.startswith("ptv2: error: ")
    return err.removeprefix("ptv2: error: ").rstrip("\n")


def put(folder: Path, files: dict[str, str]) -> Path:
    """Write files, those that end in .gz packed."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder


def pack(path: Path, files: dict[str, str]) -> None:
    """Write files into a .tar.gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            data = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def conll05_files(stems: list[str], *kinds: str) -> dict[str, str]:
    content = {"words": WORDS, "props": PROPS}
    return {f"conll05st-release/{stem.format(kind)}.gz": content[kind] for stem in stems for kind in kinds}


def conll05_archives(folder: Path) -> Path:
    """The two archives as they are distributed: without the words of the training and dev sections."""
    pack(folder / "conll05st-release.tar.gz", conll05_files(STEMS, "props"))
    pack(folder / "conll05st-tests.tar.gz", conll05_files(TEST_STEMS, "words", "props"))
    return folder


def treebank(folder: Path) -> Path:
    """A treebank of one file a section, named as on the disc (in capitals)."""
    names = {f"PARSED/MRG/WSJ/{s:02}/WSJ_{s:02}01.MRG": TREES for s in [*range(2, 22), 23, 24]}
    return put(folder, {**names, "PARSED/PRD/WSJ/02/WSJ_0201.PRD": "nothing", "README.1ST": "("})


def gold_tree(folder: Path) -> Path:
    """Version 12 of the OntoNotes release: a larger test part beside the shared task's, and other languages."""
    place = "data/{}/data/english/annotations/bn/abc/00/abc_0001.gold_conll"
    files = {place.format(part): GOLD for part in ("train", "development", "test", "conll-2012-test")}
    files["data/train/data/english/annotations/pt/nt/40/nt_4001.gold_conll"] = NO_NAMES
    files["data/test/data/english/annotations/bn/abc/00/abc_0002.gold_conll"] = GOLD
    files["data/train/data/chinese/annotations/bn/cbs/00/cbs_0001.gold_conll"] = "nothing that is read"
    return put(folder, files)


def publish(monkeypatch: pytest.MonkeyPatch, corpus: str, **counts: dict[str, int]) -> None:
    """Let these be the published counts."""
    published = {name.replace("_", "-"): [count] for name, count in counts.items()}
    monkeypatch.setitem(RELEASES, corpus, replace(RELEASES[corpus], published=published))
