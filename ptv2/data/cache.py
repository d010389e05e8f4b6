"""A cache of encoded sets in files, found by the content of all that they were made from.

The folder is `$PTV2_CACHE`, else `ptv2` in `$XDG_CACHE_HOME` or in `~/.cache`. A cache only saves time: a folder that
cannot be written, a full disk, or a torn or foreign file never stops a command.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import tokenizers

from ptv2.data.array_files import load_arrays, save_arrays
from ptv2.data.arrays import flatten, unflatten
from ptv2.data.mapped import region_of
from ptv2.files import cache_folder, write_whole

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

T = TypeVar("T")
log = logging.getLogger(__name__)

# Most bytes of all files together; those not used for longest are removed first.
LIMIT_BYTES = 2 * 2**30
# Temporary files that a killed process left are removed after this time.
LEFTOVER_SECONDS = 24 * 3600
# Files of the package whose code the cached values depend on.
CODE = ("data/*.py", "tasks/*.py", "experiment/read.py")
# Items of a long list that are hashed at once: JSON of a million examples would double the memory.
SLICE = 1000
_ABOUT = "about"  # member of the file for the key and for values that are no arrays; no field may have this name


def cached(
    kind: type[T], key_parts: Iterable[Any], make: Callable[[], T], worth: Callable[[T], bool] = lambda made: True
) -> T:
    """Get what `make` returns, from the cache if it was made before.

    Args:
        kind: class of the result, a dataclass of arrays and of values that JSON can hold.
        key_parts: all that the result depends on (`key_of`): the function's name, `tokenizer_key`, settings, examples.
        worth: whether a result is kept.
    """
    key = key_of([kind.__qualname__, *key_parts])
    folder = cache_folder()
    if folder is None:
        return make()
    path = folder / f"{key}.npz"
    before = _state(path)
    if (kept := _read(kind, path, key)) is not None:
        return kept
    made = make()
    if not worth(made):
        return made
    # Another process may have made it meanwhile. Its file stays: on a network drive a replaced one is lost to those who
    # have it mapped.
    if _state(path) != before and (kept := _read(kind, path, key)) is not None:
        return kept
    _write(made, path, key)
    if any(region_of(array) is not None for array in flatten(made)[0].values()):
        made = _read(kind, path, key) or made  # so that the files it came from can go
    return made


def key_of(ingredients: Iterable[Any]) -> str:
    """Hash values that JSON or a dataclass can hold, and the code that reads and encodes data: SHA-256 in hex.

    The code is included so that nobody has to remember to raise a version: a changed encoder finds no old set.
    """
    digest = hashlib.sha256()
    for files in CODE:
        for file in sorted(Path(__file__).parents[1].glob(files)):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    for ingredient in ingredients:
        slices = [ingredient]
        if isinstance(ingredient, Sequence) and not isinstance(ingredient, str):
            slices = [ingredient[start : start + SLICE] for start in range(0, len(ingredient), SLICE)]
        digest.update(f"{len(slices)};".encode())
        for value in slices:
            text = json.dumps(value, default=_plain, sort_keys=True).encode()
            digest.update(f"{len(text)};".encode())
            digest.update(text)
    return digest.hexdigest()


def tokenizer_key(tokenizer: PreTrainedTokenizerBase) -> str:
    """Describe all of a fast tokenizer that changes an encoding, which its last truncation and padding do not."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= {"truncation": None, "padding": None}
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    sides = [tokenizer.truncation_side, tokenizer.split_special_tokens]  # of tokenizer_config.json, beside the backend
    around = [type(tokenizer).__name__, tokenizer.model_input_names, tokenizer.pad_token_id, tokenizers.__version__]
    return json.dumps([backend, around, special, sides], sort_keys=True)


def _plain(value: Any) -> Any:
    """Turn dataclasses and mappings into JSON; objects of other types have no known content and are refused."""
    if is_dataclass(value):
        return [type(value).__qualname__, {field.name: getattr(value, field.name) for field in fields(value)}]
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__}: not a value that a cache key can be made of")


def _read(kind: type[T], path: Path, key: str) -> T | None:
    """Read the set in `path`; None if there is no such file, or it was not written whole for this key."""
    try:
        arrays = load_arrays(path)
        about = json.loads(str(arrays.pop(_ABOUT)))
        if about["key"] != key:
            raise ValueError(f"was written for {about['key']}")
        encoded = unflatten(kind, arrays, about["values"])
    except FileNotFoundError:
        return None
    except Exception as error:  # a torn or foreign file may raise anything
        log.debug("%s: not read from the cache: %s", path, error)
        return None
    try:
        os.utime(path)
    except OSError as error:
        log.debug("%s: cannot be marked as used: %s", path, error)
    return encoded


def _state(path: Path) -> tuple[int, int] | None:
    """What tells a file from the one that replaces it; None if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns


def _write(value: Any, path: Path, key: str) -> None:
    arrays, values = flatten(value)
    if sum(array.nbytes for array in arrays.values()) > LIMIT_BYTES:
        log.debug("%s: not kept, as it is larger than the whole cache may be", path)
        return
    about = np.array(json.dumps({"key": key, "values": values}))
    try:
        write_whole(path, lambda file: save_arrays(file, {_ABOUT: about, **arrays}))
        _shrink(path)
    except OSError as error:
        log.debug("%s: not kept: %s", path, error)


def _shrink(newest: Path) -> None:
    """Remove the files not used for longest until the rest is within the limit; `newest` was used last."""
    left = 0
    files = [(newest.stat(), newest), *_files(newest.parent, "*.npz", newest)]
    for state, path in sorted(files, key=lambda file: (file[1] == newest, file[0].st_mtime), reverse=True):
        left += state.st_size
        if left > LIMIT_BYTES:
            _remove(path)
    for state, path in _files(newest.parent, ".*.npz.*.tmp", newest):
        if time.time() - state.st_mtime > LEFTOVER_SECONDS:
            _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # gone, or another user's in a folder that is shared: that user's commands remove it
        path.unlink()


def _files(folder: Path, pattern: str, but: Path) -> list[tuple[os.stat_result, Path]]:
    """List files that match `pattern` with their status; another process may remove some of them meanwhile."""
    files = []
    for path in folder.glob(pattern):
        try:
            if path != but:
                files.append((path.stat(), path))
        except OSError:  # gone; network drives have several errors for that
            continue
    return files
