"""Licensed corpora become the files that tasks read: made-up ones in the layouts of the releases, by the command line.

What is made is read back by the tasks' own readers, and a fault must name the very file or line that it is in.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from corpora import (
    BROWN_HEADER,
    GOLD,
    GOLD_ENTITIES,
    ROLE_PARTS,
    STEMS,
    TAGS,
    TEST_STEMS,
    TREES,
    WORDS,
    conll05_archives,
    conll05_files,
    fault,
    gold_tree,
    pack,
    ptv2,
    publish,
    put,
    treebank,
)

from ptv2.data.columns import read_columns
from ptv2.data.prepare import RELEASES
from ptv2.data.prepare.parts import differences
from ptv2.data.prepare.penn import tree_words
from ptv2.data.props import conll12_sentences, props_sentences, read_props
from ptv2.errors import DataError

CONLL03 = """\
-DOCSTART- -X- O O

Ann NNP I-NP I-PER
Lee NNP I-NP I-PER
Rome NNP I-NP I-LOC
Paris NNP I-NP B-LOC
. . O O

-DOCSTART- -X- O O

# # O O
EU NNP I-NP I-ORG
"""  # without a last blank line


def test_conll05_from_the_archives_and_the_treebank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"sentences": 2, "predicates": 2}
    publish(monkeypatch, "conll05", train={"sentences": 40, "predicates": 40}, dev=one, test=one, test_brown=one)
    given, trees, made = conll05_archives(tmp_path / "given"), treebank(tmp_path / "ptb"), tmp_path / "made"
    code, out, err = ptv2(capsys, "prepare", "conll05", "--from", given, "--treebank", trees, "--to", made)
    assert (code, err) == (0, "")
    assert out.count("the same (sentences, predicates)") == 4
    assert sorted(path.name for path in made.iterdir()) == sorted(ROLE_PARTS)
    records = list(read_props(made / "dev.props"))
    assert [record.fields["tags"] for record in records] == TAGS
    assert [(record.fields["predicate"], record.fields["lemma"]) for record in records] == [(3, "sing"), (5, "leave")]
    tokens = [sentence.tokens for sentence in props_sentences(made / "train.props")]
    assert tokens == [block.split("\n") for block in WORDS.strip().split("\n\n")] * 20


def test_words_that_are_there_need_no_treebank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = put(tmp_path / "both", conll05_files([*STEMS, *TEST_STEMS], "words", "props"))
    packed = conll05_archives(tmp_path / "packed")
    trees = treebank(tmp_path / "ptb")
    for given, name, more in ((both, "a", []), (packed, "b", ["--treebank", trees])):
        words = ["prepare", "conll05", "--from", given, "--to", tmp_path / name, "--allow-mismatch", *more]
        assert ptv2(capsys, *words)[0] == 0
    for name in ROLE_PARTS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_conll05_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = conll05_archives(tmp_path / "given")
    words = ["prepare", "conll05", "--from", given, "--to", tmp_path / "made"]
    said = fault(capsys, *words)
    assert said.startswith(f"{given}: missing train.02.words, train.03.words, ")
    assert "and 16 more" in said
    assert "--treebank" in said

    trees = treebank(tmp_path / "ptb")
    (trees / "PARSED/MRG/WSJ/07/WSJ_0701.MRG").unlink()
    assert fault(capsys, *words, "--treebank", trees).startswith(f"{trees}: missing wsj_07??.mrg, of parsed/mrg")

    release = conll05_files(STEMS, "props")
    del release["conll05st-release/train/props/train.07.props.gz"]
    pack(given / "conll05st-release.tar.gz", release)
    assert fault(capsys, *words) == f"{given}: missing train.07.props, of conll05st-release.tar.gz"
    pack(given / "conll05st-release.tar.gz", conll05_files(STEMS, "props"))
    (given / "conll05st-tests.tar.gz").unlink()
    said = fault(capsys, *words, "--treebank", trees)
    assert said == f"{given}: missing test.wsj.props, test.brown.props, of conll05st-tests.tar.gz"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("kind", "old", "new", "said"),
    [
        ("words", "No\nway\n", "No\n", "devel.24.props.gz:10: a sentence of 3 lines, but of 2 words in "),
        ("words", "\n\nNo", "\nNo", "devel.24.props.gz: 2 sentences, but 1 in "),
        (
            "props",
            "(V*)     *\n",
            "(V*)\n",
            "devel.24.props:4: expected 3 columns as in the sentence's first line, found 2",
        ),
        ("props", "(R-A0*)", "R-A0*)", "devel.24.props:3: expected *, (LABEL*, *) or (LABEL*)"),
    ],
    ids=["a word less", "a sentence less", "a column less", "a bracket less"],
)
def test_conll05_that_does_not_fit_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, old: str, new: str, said: str
) -> None:
    files = conll05_files([*STEMS, *TEST_STEMS], "words", "props")
    name = f"conll05st-release/devel/{kind}/devel.24.{kind}"
    files[name] = files.pop(f"{name}.gz").replace(old, new)
    given = put(tmp_path / "given", files)
    message = fault(capsys, "prepare", "conll05", "--from", given, "--to", tmp_path / "made", "--allow-mismatch")
    assert said in message
    assert str(given) in message
    assert not (tmp_path / "made").exists()


def test_other_counts_than_published_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = put(tmp_path / "given", {"eng.train": CONLL03, "eng.testa": CONLL03, "eng.testb": CONLL03})
    words = ["prepare", "conll03", "--from", given, "--to", tmp_path / "made"]
    code, out, err = ptv2(capsys, *words)
    assert (code, out) == (1, "")
    assert "ptv2: warning: conll03 train: sentences: 2, published 14,041\n" in err
    assert "ptv2: warning: conll03 test: entities: 4, published 5,648\n" in err
    assert "nothing was written" in err.splitlines()[-1]
    assert not (tmp_path / "made").exists()
    code, out, err = ptv2(capsys, *words, "--allow-mismatch")
    assert code == 0
    assert "sentences: 2, published 14,041" in err
    assert out.count("differ") == 3
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["dev.txt", "test.txt", "train.txt"]


def test_counts_are_compared_with_the_nearest_edition() -> None:
    editions = [{"sentences": 12_217}, {"sentences": 9_479}]
    assert differences({"sentences": 9_479, "tokens": 5}, editions) == []
    assert differences({"sentences": 9_480, "tokens": 5}, editions) == ["sentences: 9,480, published 9,479"]
    for release in RELEASES.values():
        assert {"train", "dev", "test"} <= set(release.published)


def test_conll03_becomes_bio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"sentences": 2, "tokens": 7, "entities": 4}
    publish(monkeypatch, "conll03", train=counts, dev=counts, test=counts)
    original = put(tmp_path / "a", {f"ner/{name}": CONLL03 for name in ("eng.train", "eng.testa", "eng.testb")})
    bio = CONLL03.replace("Ann NNP I-NP I", "Ann NNP I-NP B").replace("I-LOC", "B-LOC").replace("I-ORG", "B-ORG")
    copied = put(tmp_path / "b", dict.fromkeys(("train.txt", "valid.txt", "test.txt"), bio))
    for given in (original, copied):
        made = given / "made"
        assert ptv2(capsys, "prepare", "conll03", "--from", given, "--to", made)[0] == 0
        sentences = [record.fields for record in read_columns(made / "dev.txt")]
        assert sentences == [
            {"tokens": ["Ann", "Lee", "Rome", "Paris", "."], "tags": ["B-PER", "I-PER", "B-LOC", "B-LOC", "O"]},
            {"tokens": ["#", "EU"], "tags": ["O", "B-ORG"]},
        ]


def test_conll03_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", "conll03", "--to", tmp_path / "made", "--from"]
    without_words = put(tmp_path / "ner", {"bin/make.eng": "#!/bin/sh", "etc/tags.eng": "O"})
    said = fault(capsys, *words, without_words)
    assert "missing eng.train" in said
    assert "bin/make.eng with the Reuters Corpus" in said
    files = dict.fromkeys(("eng.train", "eng.testa", "eng.testb"), CONLL03)
    two = put(tmp_path / "two", {name: files[name] for name in ("eng.train", "eng.testa")})
    assert fault(capsys, *words, two) == f"{two}: missing eng.testb or test.txt"
    short = put(tmp_path / "short", {**files, "eng.testa": CONLL03.replace("Rome NNP", "Rome")})
    assert fault(capsys, *words, short).startswith(f"{short}/eng.testa:5: expected 4 columns")
    odd = put(tmp_path / "odd", {**files, "eng.testb": CONLL03.replace("I-ORG", "X-ORG")})
    assert fault(capsys, *words, odd).startswith(f"{odd}/eng.testb:11: tag 2 is 'X-ORG'")
    latin = "`iconv -f CP1252 -t UTF-8 FILE` converts Windows-1252 and Latin-1"
    (short / "eng.testa").write_bytes(b"-DOCSTART- -X- O O\n\nR\xff NNP I-NP O\n")
    assert fault(capsys, *words, short) == f"{short}/eng.testa:3: expected UTF-8 text, found the byte 0xFF; {latin}"
    assert "no such folder or archive" in fault(capsys, *words, tmp_path / "nowhere")
    torn = tmp_path / "torn"
    pack(torn / "conll.tar.gz", files)
    (torn / "conll.tar.gz").write_bytes((torn / "conll.tar.gz").read_bytes()[:-40])
    assert fault(capsys, *words, torn).startswith(f"{torn}/conll.tar.gz: expected a whole archive")


def test_conll12_keeps_what_the_release_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "conll12", train={"sentences": 3}, dev={"sentences": 2}, test={"sentences": 2})
    given, made = gold_tree(tmp_path / "given"), tmp_path / "made"
    code, out, err = ptv2(capsys, "prepare", "conll12", "--from", given, "--to", made)
    assert (code, err, out.count("the same (sentences)")) == (0, "", 3)
    (source,) = (given / "data/conll-2012-test").rglob("*.gold_conll")
    expected = list(conll12_sentences(source))
    assert len(expected) == 2
    for made_sentence, sentence in zip(props_sentences(made / "test.props"), expected, strict=True):
        assert made_sentence.tokens == sentence.tokens
        assert [(p.predicate, p.lemma, p.tags) for p in made_sentence.propositions] == [
            (p.predicate, p.lemma, p.tags) for p in sentence.propositions
        ]
    assert [sentence.tokens[0] for sentence in props_sentences(made / "train.props")] == ["Ann", "-LRB-", "Peter"]


def test_ontonotes_takes_the_documents_with_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"sentences": 2, "tokens": 8, "entities": 3}
    publish(monkeypatch, "ontonotes", train=counts, dev=counts, test=counts)
    made = tmp_path / "made"
    code, _, err = ptv2(capsys, "prepare", "ontonotes", "--from", gold_tree(tmp_path / "given"), "--to", made)
    assert (code, err) == (0, "")
    assert [record.fields["tags"] for record in read_columns(made / "train.txt")] == GOLD_ENTITIES
    assert (made / "train.txt").read_text().startswith("Ann B-PERSON\nsaw O\nNew B-GPE\n")


def test_the_latest_version_of_a_document_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = "conll-2012/v{0}/data/{1}/data/english/annotations/bn/abc/00/abc_0001.v{0}_gold_conll"
    files = {place.format(4, part): GOLD for part in ("train", "development", "test")}
    files[place.format(9, "test")] = GOLD.replace("Ann", "Bea")
    given, made = put(tmp_path / "given", files), tmp_path / "made"
    assert ptv2(capsys, "prepare", "conll12", "--from", given, "--to", made, "--allow-mismatch")[0] == 0
    for part, first in (("train", "Ann"), ("test", "Bea")):
        assert [sentence.tokens[0] for sentence in props_sentences(made / f"{part}.props")] == [first, "-LRB-"]


def test_gold_files_that_are_missing_or_without_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = gold_tree(tmp_path / "given")
    words = ["prepare", "ontonotes", "--to", tmp_path / "made", "--from", given]
    (gold,) = (given / "data/development").rglob("*.gold_conll")
    gold.write_text(GOLD.replace("- - - - (PERSON)", "(PERSON)"))
    assert fault(capsys, *words).startswith(f"{gold}:2: expected at least 12 columns")
    gold.write_text(GOLD.replace("(GPE*", "(GPE*)"))
    assert fault(capsys, *words).startswith(f"{gold}:5: '*)' closes no open span")
    gold.unlink()
    assert "missing the *gold_conll files of dev; expected them below data/development" in fault(capsys, *words)
    skeleton = gold.with_suffix(".gold_skel")
    skeleton.write_text("[WORD]")
    said = fault(capsys, *words)
    assert said.startswith(f"{skeleton}: no words")
    assert "skeleton2conll.sh" in said


def test_words_of_trees() -> None:
    lines = [(f"ck01.mrg:{number}", text) for number, text in enumerate((BROWN_HEADER + TREES).splitlines(), start=1)]
    assert list(tree_words(lines)) == [block.split("\n") for block in WORDS.strip().split("\n\n")]
    traces = [("f:1", "( (S (NP (-NONE- *)) (VP (-NONE- *?*))) )"), ("f:2", "((X (-LCB- -LCB-) (CD 1\\/2)))")]
    assert list(tree_words(traces)) == [["{", "1\\/2"]]
    for text, said in (
        ("( (S (NN a))", "f:1: the file ends within a tree; expected 1 more closing brackets"),
        ("( (S (NN a))))", "f:1: expected a tree in brackets, found ')'"),
        ("(S (NN a b))", "f:1: expected (TAG WORD)"),
    ):
        with pytest.raises(DataError) as caught:
            list(tree_words([("f:1", text)]))
        assert str(caught.value).startswith(said)


def test_wrong_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean conll03?" in fault(capsys, "prepare", "conll3", "--from", tmp_path)
    assert fault(capsys, "prepare", "conll03", "--from", tmp_path, "--treebank", tmp_path).startswith(
        "--treebank: only"
    )
    assert "--from" in fault(capsys, "prepare", "conll03")


def test_help_needs_no_torch() -> None:
    ask = (
        "import sys\nfrom ptv2.cli import main\n"
        "try:\n    main(['prepare', '--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(bool({'torch', 'transformers', 'datasets', 'evaluate'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in RELEASES)
