"""Hydra plugins of other packages: one that cannot be imported must not break commands that do not use it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import TracebackType

import hydra_plugins
from ptv2.errors import first_line

OURS = "ptv2"
# Their sweeper and launcher have our names, and need versions of Optuna and cloudpickle that other packages refuse.
REPLACED = ("hydra_optuna_sweeper", "hydra_ray_launcher")


@cache
def broken_plugins() -> dict[str, str]:
    """Hide plugins that cannot be imported from Hydra, which would fail with them; returns the reasons by name.

    `None` in `sys.modules` keeps Python from importing a module, and Hydra's search from running it.
    """
    faults: dict[str, str] = {}
    for plugin in iter_modules(hydra_plugins.__path__, "hydra_plugins."):
        name = plugin.name.rpartition(".")[2]
        if name == OURS:
            continue
        if name in REPLACED:
            sys.modules[plugin.name] = None  # type: ignore[assignment]
            continue
        for module in _modules(plugin.name, plugin.ispkg):
            try:
                import_module(module)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # an import may do anything, also leave Python
                faults[name] = (
                    f"{type(error).__name__}: {first_line(error, 80)}" if str(error) else type(error).__name__
                )
                sys.modules[plugin.name] = None  # type: ignore[assignment]
                break
    return faults


def _modules(name: str, is_package: bool) -> Iterator[str]:
    """List the modules of a plugin that Hydra imports: all but those whose names begin with one underscore."""
    yield name
    if is_package:
        for inner in iter_modules(sys.modules[name].__path__, f"{name}."):
            last = inner.name.rpartition(".")[2]
            if last.startswith("__") or not last.startswith("_"):
                yield from _modules(inner.name, inner.ispkg)


def plugin_at_fault(error: BaseException) -> str | None:
    """Name the plugin of another package that raised an error; None if it called our code, or there is none."""
    plugin = None
    for name in _modules_of(error.__traceback__):
        if name.startswith("hydra_plugins.") and name.split(".")[1] != OURS:
            plugin = name.split(".")[1]
        elif name.split(".")[0] == "ptv2":
            plugin = None
    return plugin


def _modules_of(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
