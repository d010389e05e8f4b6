"""Describe the environment of a run: versions, hardware, and the revision of the code."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "ptv2",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "evaluate",
    "tokenizers",
    "hydra-core",
    "numpy",
    "peft",
)


def environment() -> dict[str, Any]:
    """Collect versions, hardware and git revision for `env.json`."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "instructions": instructions(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "git": git_revision(),
    }


def in_words(runs: Iterable[Path]) -> list[str]:
    """Describe the environments of finished runs, from their `env.json`: one sentence per machine with its versions.

    It lists all revisions of the code that ran there; runs without the file are left out.
    """
    revisions_of: dict[str, dict[str, None]] = {}
    for run in runs:
        try:
            env = json.loads((run / "env.json").read_text(encoding="utf-8"))
            gpus = ", ".join(env["gpus"]) or "no GPU"
            packages = ", ".join(f"{name} {version}" for name, version in reversed(env["packages"].items()) if version)
            processor = " with ".join(filter(None, (env["processor"], " ".join(env.get("instructions", [])))))
            machine = (
                f"{processor}, {env['cores']} cores ({env['threads']} used by a run), "
                f"{env['memory_gib']} GiB, {gpus}; {env['system']}, Python {env['python']}, {packages}"
            )
            revisions_of.setdefault(machine, {}).update({env["git"]: None} if env["git"] else {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return [
        f"{machine}{' at ' if revisions else ''}{', '.join(revisions)}" for machine, revisions in revisions_of.items()
    ]


def git_revision() -> str | None:
    """Return the commit of the checkout that ptv2 runs from, with "+changes" if any; None for an installed package."""
    folder = Path(__file__).resolve().parent.parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def version_of(package: str) -> str | None:
    """Return the version of an installed package; None without it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor_of(device: torch.device) -> str:
    """Return the name of the GPU or processor that `device` is."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()


def instructions() -> list[str]:
    """Return the sets of vector instructions that the processor has; empty where the system names none."""
    names = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [name for name in names if re.match("avx|amx|asimd|sve|bf16|fma", name)]


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(key: str) -> str:
    """What Linux says of the first processor; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""
