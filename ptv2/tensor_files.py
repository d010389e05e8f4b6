"""Files of tensors with a text and a checksum over both; they are checked without torch.

Training states, trained weights and exported adapters are such files, in the safetensors format.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ptv2.errors import first_line, is_text
from ptv2.files import write_bytes_whole

if TYPE_CHECKING:
    from torch import Tensor

CHECKSUM = "checksum"  # key in the file's metadata
# Names of element types in the file and in torch; the checksums are over torch's names.
_TORCH_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
_CHUNK = 1 << 20  # bytes that are read at once


class DamagedFileError(Exception):
    """A file of tensors is torn or altered, or it is another kind of file."""


def write_tensors(path: Path, tensors: dict[str, Tensor], key: str, text: str, **more: str) -> None:
    """Write tensors, with `text` as `key` and `more` in the file's metadata, and a checksum over tensors and text."""
    from safetensors.torch import save

    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checksum = _digest(text, ((name, str(t.dtype), tuple(t.shape), [_bytes_of(t)]) for name, t in sorted(flat.items())))
    write_bytes_whole(path, *_in_order(save(flat, metadata={**more, key: text, CHECKSUM: checksum})))


def _in_order(data: bytes) -> tuple[bytes, memoryview]:
    """Return the header, with its metadata sorted, and the tensors of a file.

    The library's order is random, but equal runs must have equal files.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, memoryview(data)[8 + size :]


def read_tensors(
    path: Path, key: str, *, required: bool = True, default: str | None = None
) -> tuple[str, dict[str, Tensor]]:
    """Read the text and the tensors of a file.

    Args:
        required: whether to refuse a file without a checksum; version 0.1.0 wrote trained weights without.
        default: the text of a file without such a key, as other programs write them; None: refuse it.

    Raises:
        DamagedFileError: it is torn or altered, or another kind of file.
        OSError: it cannot be opened now, which says nothing about its content.
    """
    text = read_text(path, key, required=required, default=default)
    try:
        with safe_open(path, framework="pt") as file:
            return text, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise DamagedFileError(first_line(error)) from error


def read_text(path: Path, key: str, *, required: bool = True, default: str | None = None) -> str:
    """Read the text of a file after checking text and tensors; see `read_tensors`."""
    about = path.stat()
    return _read_text(path, key, required, default, about.st_mtime_ns, about.st_size, about.st_ino)


@lru_cache(maxsize=64)  # a command asks several times, and weights may be large
def _read_text(path: Path, key: str, required: bool, default: str | None, *_version: int) -> str:
    path.open("rb").close()  # safetensors reports a file that may not be opened as one that is torn
    if not is_text(str(path)):
        raise OSError(errno.EILSEQ, "its path is not text in UTF-8, which its reader needs; rename it", str(path))
    try:
        with safe_open(path, framework="numpy") as file:  # checks that the header describes the file
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise DamagedFileError(first_line(error)) from error
    text = metadata.get(key, default)
    if text is None:
        raise DamagedFileError(f"it has no {key}")
    if CHECKSUM in metadata:
        if metadata[CHECKSUM] != _digest(text, _stored(path)):
            raise DamagedFileError("its checksum is another")
    elif required or (key in metadata and metadata.keys() - {key, "format"}):  # another key may be a damaged one
        raise DamagedFileError("it has no checksum")
    return text


def _stored(path: Path) -> Iterator[tuple[str, str, tuple[int, ...], Iterable[bytes]]]:
    """Yield name, element type, shape and bytes of each tensor, sorted by name."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
        for name, about in sorted(header.items()):
            if name == "__metadata__":
                continue
            begin, end = about["data_offsets"]
            file.seek(8 + length + begin)
            pieces = (file.read(min(_CHUNK, end - at)) for at in range(begin, end, _CHUNK))
            dtype = about["dtype"]
            yield name, f"torch.{_TORCH_NAMES.get(dtype, dtype)}", tuple(about["shape"]), pieces


def _digest(text: str, tensors: Iterable[tuple[str, str, tuple[int, ...], Iterable[Any]]]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, dtype, shape, pieces in tensors:
        digest.update(f"{name} {dtype} {shape}".encode())
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def _bytes_of(tensor: Tensor) -> Any:
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b""
