"""ptv2: deep prompts, shallow prompts and fine-tuning on the same task, backbone and trainer."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`__version__`, looked up only when it is asked for, as that takes a while."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version(__name__)
