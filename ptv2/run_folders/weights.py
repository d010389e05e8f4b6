"""The file of a run's trained weights: its place, and whether it is undamaged; needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ptv2.errors import ModelError, UnreadableError
from ptv2.tensor_files import DamagedFileError, read_text

FILE = "artifact.safetensors"
ARTIFACT = f"artifact/{FILE}"  # below a run's folder
HEADER = "ptv2"  # key of the JSON object in the file's metadata that describes the weights


def read_artifact(folder: str | Path) -> dict[str, Any]:
    """Read the description of the artifact in `folder`: `backbone`, `method`, `head`, `prompt`, `extra`.

    Raises:
        ModelError: it is missing or damaged.
    """
    path = Path(folder) / FILE
    try:
        header = json.loads(read_text(path, HEADER, required=False))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such artifact") from error
    except (DamagedFileError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not an artifact of ptv2, or damaged") from error
    if not isinstance(header, dict) or not isinstance(header.get("extra"), dict):
        raise ModelError(f"{path}: not an artifact of ptv2, or damaged")
    return header


def fault_of_weights(run: Path) -> str | None:
    """Say what is wrong with the weights of a run; None if they are whole.

    Raises:
        UnreadableError: they cannot be read now.
    """
    path = run / ARTIFACT
    try:
        read_text(path, HEADER, required=False)
    except (FileNotFoundError, NotADirectoryError):
        return "its weights are missing"
    except (DamagedFileError, IsADirectoryError):
        return f"its weights are damaged ({ARTIFACT})"
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read ({error.strerror})") from error
    return None
