"""Variables of the environment that libraries read: wrong values are refused by name, empty ones are not set."""

from __future__ import annotations

import os
import re
import sys
import traceback

from ptv2.errors import ConfigError, shorten

PREFIXES = ("ACCELERATE_", "DATASETS_", "FSDP_", "HF_", "HUGGINGFACE_", "TORCH", "TRANSFORMERS_")
READERS = (
    "/accelerate/",
    "/torch/_logging/",
    "/huggingface_hub/constants.py",
    "/datasets/config.py",
    "/transformers/utils/hub.py",
)
# Whole numbers that say which of several processes this is, and their bounds.
PROCESSES = {
    "WORLD_SIZE": (1, 10**6),
    "LOCAL_WORLD_SIZE": (1, 10**6),
    "RANK": (0, 10**6),
    "LOCAL_RANK": (-1, 10**6),
    "MASTER_PORT": (0, 65535),
}
VERBOSITY = "PTV2_VERBOSITY"  # how much commands say; -q and -v set it
LEVELS = ("quiet", "normal", "verbose")
TRACK_GROUP = "PTV2_TRACK_GROUP"  # a name for runs that belong together, for trackers
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
SWITCHES = ("1", "on", "yes", "true", "0", "off", "no", "false")  # other words mean "online" to the hub's library


def check_variables() -> None:
    """Refuse values that would make libraries fail, or go to the network, and unset what is empty.

    Raises:
        ConfigError: with the variable, its value and what was expected; or the current folder was deleted.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise ConfigError(f"the current folder: {error.strerror}; it was deleted or moved, `cd` to another") from error
    if sys.flags.optimize > 1:
        raise ConfigError(
            "python -OO (PYTHONOPTIMIZE=2) drops docstrings, which transformers reads; expected -O, or none"
        )
    for name, value in list(os.environ.items()):
        others = (*PROCESSES, "MASTER_ADDR", "OMP_NUM_THREADS", VERBOSITY)
        if not value.strip() and (name.startswith(PREFIXES) or name in others):
            del os.environ[name]  # libraries would take it for a number, or for a path
    if os.environ.get("COLUMNS", "").strip("0 ") == "":
        os.environ.pop("COLUMNS", None)  # of a screen without columns nothing could be read
    if (level := os.environ.get(VERBOSITY, "normal")) not in LEVELS:
        raise ConfigError(f"{VERBOSITY}={shorten(level, 60)}: expected one of {', '.join(LEVELS)}")
    for name in OFFLINE:
        if (value := os.environ.get(name, "0")).lower() not in SWITCHES:
            raise ConfigError(f"{name}={shorten(value, 60)}: expected 1 or 0")
    numbers = {name: _number(name, *bounds) for name, bounds in PROCESSES.items() if name in os.environ}
    size, rank = numbers.get("WORLD_SIZE", 1), numbers.get("RANK", 0)
    if rank >= size:
        limit = f"WORLD_SIZE={size}" if "WORLD_SIZE" in numbers else "WORLD_SIZE, which is not set"
        raise ConfigError(f"RANK={rank}: expected less than {limit}")
    several = [
        f"{name}={numbers[name]}"
        for name, least in (("WORLD_SIZE", 2), ("LOCAL_RANK", 0))
        if numbers.get(name, -1) >= least
    ]
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if several and missing:
        raise ConfigError(
            f"{several[0]} asks for one of several processes, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set; `accelerate launch` and `torchrun` set all of them"
        )


def is_quiet() -> bool:
    """Whether only errors and results are asked for."""
    return os.environ.get(VERBOSITY) == "quiet"


def is_verbose() -> bool:
    """Whether what is normally held back is asked for."""
    return os.environ.get(VERBOSITY) == "verbose"


def quieten_transformers() -> None:
    """Turn off transformers' bars and warnings; the latter stay where the user asked for them."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not is_verbose():
        logging.set_verbosity_error()


def _number(name: str, least: int, most: int) -> int:
    value = os.environ[name]
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ConfigError(f"{name}={shorten(value, 60)}: expected a whole number from {least} to {most}")
    return number


def fault_of_variable(error: BaseException) -> str | None:
    """Explain an error that a library raised about a variable's value; None for any other error."""
    files = [frame.filename.replace(os.sep, "/") for frame in traceback.extract_tb(error.__traceback__)]
    if not isinstance(error, ValueError | RuntimeError) or not any(r in file for r in READERS for file in files):
        return None
    message = str(error).lower()
    for name, value in sorted(os.environ.items()):
        if name.startswith(PREFIXES) and value and re.search(rf"(?<!\w){re.escape(value.lower())}(?!\w)", message):
            kinds = {"truth value": "true or false", "int()": "a number", "float": "a number"}
            kind = next((kind for words, kind in kinds.items() if words in message), "another value")
            return f"{name}={shorten(value, 60)}: expected {kind}; change it, or unset it"
    return None


def name_group(name: str) -> None:
    """Name what this command and those that it starts train, for trackers, unless the user has named it."""
    os.environ.setdefault(TRACK_GROUP, name)
