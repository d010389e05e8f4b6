"""The file of what a run trained: where it is, and whether it is as it was written. Asked without torch."""

from __future__ import annotations

from pathlib import Path

from ptv2.tensor_files import DamagedFileError, read_text

FOLDER, FILE = "artifact", "artifact.safetensors"  # below a run's folder
HEADER = "ptv2"  # key of the JSON object in the file's metadata that says what the weights belong to


def has_weights(run: Path) -> bool:
    """Whether the run's weights are there and as they were written."""
    return fault_of_weights(run) is None


def fault_of_weights(run: Path) -> str | None:
    """What is wrong with the weights of a run; None if nothing is."""
    path = run / FOLDER / FILE
    try:
        read_text(path, HEADER, required=False)
    except FileNotFoundError:
        return "its weights are missing" if (run / "result.json").is_file() else "the run is not finished"
    except DamagedFileError:
        return f"its weights are damaged ({FOLDER}/{FILE})"
    except OSError as error:
        return f"its weights cannot be read ({FOLDER}/{FILE}: {error.strerror})"
    return None
