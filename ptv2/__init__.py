"""ptv2: deep prompts, shallow prompts and fine-tuning on the same task, backbone and trainer.

import ptv2
run = ptv2.train({"task": "sst2", "method": "p-tuning-v2", "seed": 1})
labels, probabilities, rows = run.predict(["a quiet, lovely film"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptv2.api import Predictions, Run, load_run, runs, train
    from ptv2.errors import Ptv2Error

    __version__: str

__all__ = ["Predictions", "Ptv2Error", "Run", "__version__", "load_run", "runs", "train"]


def __getattr__(name: str) -> Any:
    """What `__all__` names, imported only when it is asked for, as that takes a while."""
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ptv2.errors" if name == "Ptv2Error" else "ptv2.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
