"""The file of what a run trained: where it is, and whether it is as it was written. Asked without torch."""

from __future__ import annotations

from pathlib import Path

from ptv2.tensor_files import DamagedFileError, read_text

FILE = "artifact.safetensors"
ARTIFACT = f"artifact/{FILE}"  # below a run's folder
HEADER = "ptv2"  # key of the JSON object in the file's metadata that says what the weights belong to


def fault_of_weights(run: Path) -> str | None:
    """What is wrong with the weights of a run; None if nothing is."""
    path = run / ARTIFACT
    try:
        read_text(path, HEADER, required=False)
    except FileNotFoundError:
        return "its weights are missing"
    except DamagedFileError:
        return f"its weights are damaged ({ARTIFACT})"
    except OSError as error:
        return f"its weights cannot be read ({ARTIFACT}: {error.strerror})"
    return None
