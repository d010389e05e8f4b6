"""Write the made-up mini data sets to files, in the formats in which real data of their kind are published.

    python scripts/write_mini.py inference roles --out mini
    python scripts/write_mini.py --out mini --seed 3 --size 50

writes `mini/<kind>/<split>.*`: JSON lines for inference, two columns (token, tag) for entities, the columns of
CoNLL-2005 for roles (word, lemma of a predicate or -, then the spans of each predicate), SQuAD 1.1 JSON for questions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ptv2.data.mini import KINDS, Record, generate
from ptv2.data.mini.words import SPLITS
from ptv2.errors import Ptv2Error


def json_lines(records: Sequence[Record]) -> str:
    """One record a line."""
    return "".join(json.dumps(record) + "\n" for record in records)


def two_columns(records: Sequence[Record]) -> str:
    """One token and its tag a line, a blank line after each sentence."""
    return "".join(
        "".join(f"{token} {tag}\n" for token, tag in zip(record["tokens"], record["tags"], strict=True)) + "\n"
        for record in records
    )


def props(records: Sequence[Record]) -> str:
    """The columns of CoNLL-2005, the predicates of a sentence in their order, a blank line after each sentence."""
    sentences = []
    for _, group in itertools.groupby(records, key=lambda record: record["sentence"]):
        rows = list(group)
        lemmas = {row["predicate"]: row["lemma"] for row in rows}
        columns = [rows[0]["tokens"], [lemmas.get(i, "-") for i in range(len(rows[0]["tokens"]))]]
        columns += [brackets(row["tags"]) for row in rows]
        sentences.append("".join(" ".join(line) + "\n" for line in zip(*columns, strict=True)))
    return "".join(sentence + "\n" for sentence in sentences)


def brackets(tags: Sequence[str]) -> list[str]:
    """BIO tags as bracketed spans: `(A0*`, `*`, `*)`, `(V*)`."""
    cells = []
    for tag, after in zip(tags, [*tags[1:], "O"], strict=True):
        begins, ends = tag.startswith("B-"), tag != "O" and not after.startswith("I-")
        cells.append(f"({tag[2:]}" * begins + "*" + ")" * ends)
    return cells


def squad(records: Sequence[Record]) -> str:
    """One paragraph a question."""
    paragraphs = []
    for record in records:
        text, start = record["answers"]["text"][0], record["answers"]["answer_start"][0]
        answers = [{"text": text, "answer_start": start}]
        qas = [{"id": record["id"], "question": record["question"], "answers": answers}]
        paragraphs.append({"context": record["context"], "qas": qas})
    return json.dumps({"version": "1.1", "data": [{"title": "mini", "paragraphs": paragraphs}]}, indent=1) + "\n"


FORMATS: dict[str, tuple[str, Callable[[Sequence[Record]], str]]] = {
    "inference": ("jsonl", json_lines),
    "entities": ("txt", two_columns),
    "roles": ("props", props),
    "questions": ("json", squad),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"what to write: {', '.join(KINDS)} (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other sentences (default: %(default)s)")
    parser.add_argument("--size", type=int, default=None, help="examples a split (default: the kind's own)")
    options = parser.parse_args(arguments)
    try:
        for kind, split in itertools.product(options.kinds or KINDS, SPLITS):
            records = generate(kind, split, options.seed, options.size)
            ending, write = FORMATS[kind]
            path = options.out / kind / f"{split}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(write(records), encoding="utf-8", newline="\n")
            print(f"{path}: {len(records)} records")
    except Ptv2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
