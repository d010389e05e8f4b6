"""Values in the environment that the hub's libraries cannot even be imported with."""

from __future__ import annotations

import os
import traceback

from ptv2.errors import shorten

READERS = ("huggingface_hub/constants.py", "datasets/config.py", "transformers/utils/hub.py")
PREFIXES = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "DATASETS_")


def environment_fault(error: BaseException) -> str | None:
    """What to say of an error that one of these files raised about such a value; None for any other error."""
    files = [frame.filename.replace(os.sep, "/") for frame in traceback.extract_tb(error.__traceback__)]
    if not isinstance(error, ValueError) or not any(file.endswith(READERS) for file in files):
        return None
    for name, value in sorted(os.environ.items()):
        if name.startswith(PREFIXES) and value and repr(value) in str(error):
            return f"{name}={shorten(value, 60)}: expected a number; change it, or unset it"
    return None
