"""`python -m ptv2` asked for something, and the one line of a refusal."""

from __future__ import annotations

from pathlib import Path

from commandline import Done, finish, python

ENVIRONMENT = {"PYTHONUNBUFFERED": "", "COLUMNS": "200"}


MY_TASK = """\
# Headlines: is the headline about sport?
name: headlines
shape: classify
source: files
text: [headline]
sources:
  files:
    files: {train: [train.csv], dev: [dev.csv]}
"""


def ptv2(*words: str, **environment: str) -> Done:
    """`python -m ptv2 WORDS...` to its end."""
    return finish(python("-m", "ptv2", *words, **{**ENVIRONMENT, **environment}))


def fault(done: Done, code: int = 2) -> str:
    """The one line that a mistake is answered with."""
    assert done.code == code, done
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("ptv2: error: ")
    assert done.out == ""
    return lines[0].removeprefix("ptv2: error: ")


# Mistakes in data and sizes: seen before anything is trained or written


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.jsonl").write_text(text)
    return folder


def good(count: int = 6) -> str:
    return "".join(f'{{"sentence": "word {n}", "label": "{n % 2}"}}\n' for n in range(count))
