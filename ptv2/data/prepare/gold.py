"""Find the `*_gold_conll` files of OntoNotes 5: in the trees of the CoNLL-2012 shared task and of its later release.

Both have `data/{train,development,test}/data/english/annotations/GENRE/...`; version 12 of the latter
(https://github.com/ontonotes/conll-formatted-ontonotes-5.0) has the shared task's own test part beside a larger `test`,
as `conll-2012-test`. They are distributed as `*_gold_skel`, without words.
"""

from __future__ import annotations

import re
from pathlib import Path

from ptv2.errors import DataError

_PARTS = {"train": ("train",), "dev": ("development",), "test": ("conll-2012-test", "test")}
_NAME = re.compile(r"(?P<document>[^.]+)\.(?:v(?P<version>\d+)_)?gold_(?P<kind>conll|skel)")
_OTHER_LANGUAGES = {"chinese", "arabic"}
_SCRIPT = "skeleton2conll.sh -D ontonotes-release-5.0/data/files/data FOLDER"


def find_gold(base: Path) -> dict[str, list[Path]]:
    """Find the files of train, dev and test in the order of their documents' names.

    A document in several versions (the shared task mended its files) counts once, in the latest.

    Raises:
        DataError: no such folder, a part without files, or files without words.
    """
    if not base.is_dir():
        raise DataError(f"{base}: no such folder")
    documents: dict[str, dict[str, tuple[int, Path]]] = {}
    skeletons: list[Path] = []
    for path in sorted(base.rglob("*gold_*")):
        name, folders = _NAME.fullmatch(path.name), path.relative_to(base).parts[:-1]
        folder = next((folder for folder in folders if any(folder in names for names in _PARTS.values())), None)
        if name is None or folder is None or _OTHER_LANGUAGES.intersection(folders):
            continue
        if name["kind"] == "skel":
            skeletons.append(path)
            continue
        document = "/".join([*folders[folders.index(folder) + 1 :], name["document"]])
        version = int(name["version"] or 0)
        known = documents.setdefault(folder, {}).get(document)
        if known is None or known[0] < version:
            documents[folder][document] = (version, path)
    return {split: _files(split, folders, documents, skeletons, base) for split, folders in _PARTS.items()}


def _files(
    split: str,
    folders: tuple[str, ...],
    documents: dict[str, dict[str, tuple[int, Path]]],
    skeletons: list[Path],
    base: Path,
) -> list[Path]:
    """Return the files of one split: those of the first of its folders that has any."""
    for folder in folders:
        if folder in documents:
            return [path for _, (_, path) in sorted(documents[folder].items())]
    if skeletons:
        raise DataError(
            f"{skeletons[0]}: no words, and no *gold_conll file for {split}; "
            f"with OntoNotes 5 (LDC2013T19) run scripts/{_SCRIPT} of the same release first"
        )
    raise DataError(
        f"{base}: missing the *gold_conll files of {split}; "
        f"expected them below data/{folders[-1]}/data/english/annotations"
    )
