"""Commands of ptv2 with a hub on loopback, many at a time.

One process imports what all need, and forks for each command. HF_* is read when `huggingface_hub` is imported, so that
commands that differ in it import the hub's libraries themselves, or have a process of their own to be forked from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from commandline import TIMEOUT, Done, cache_folder

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# What the process imports: for commands whose HF_* differ; for those that ask the hub; for those that train too.
Imports = Literal["little", "hub", "all"]
SHELL = """
import gc, json, os, sys, time
import ptv2.commands.train, ptv2.experiment.open
from ptv2.cli import main
from ptv2.config.compose import compose
compose([])  # Hydra's plugins and grammars are loaded at their first use
if sys.argv[1] == "little":
    assert "huggingface_hub.constants" not in sys.modules, "imported before the environment of a command is set"
else:
    import huggingface_hub.hf_api, huggingface_hub._snapshot_download, ptv2.data.hub, ptv2.hub.progress
if sys.argv[1] == "all":
    import ptv2.experiment.train, ptv2.experiment.load, transformers.models.bert.modeling_bert
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.02))  # between retries
gc.freeze()  # a collection in a child that looked at all that was imported would copy it
for line in sys.stdin:
    folder, commands, after = json.loads(line)
    children = {}
    for name, (words, environment) in commands.items():
        if (child := os.fork()) == 0:
            for descriptor, stream in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{folder}/{name}.{stream}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), descriptor)
            limit = int(environment.pop("FILE_SIZE", 0))
            os.environ.update(environment)
            if limit:
                import resource
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            code = main(words)
            exec(after)
            sys.exit(code)
        children[child] = name
    codes = {}
    while children:
        child, status = os.wait()
        if child in children:
            codes[children.pop(child)] = os.waitstatus_to_exitcode(status)
    print(json.dumps(codes), flush=True)
"""

Commands = dict[str, tuple[list[str], dict[str, str]]]


class Shell:
    """A process that forks for commands, in one environment; use it as a context manager."""

    def __init__(self, folder: Path, imports: Imports, **environment: str) -> None:
        """Start it.

        Args:
            folder: where the commands' streams and, if not told otherwise, the hub's cache are kept.
        """
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "TRANSFORMERS_")) and name.lower() not in PROXIES
        }
        inherited |= {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1", "HF_HOME": str(folder / "home")}
        inherited |= {"PTV2_CACHE": cache_folder(), "COLUMNS": "300", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SHELL, imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=inherited | environment,
            text=True,
        )

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=TIMEOUT)

    def run(self, commands: Commands, after: str = "") -> dict[str, Done]:
        """Run commands at the same time, to their ends.

        Args:
            commands: by any name: their words, and what they have in the environment beside that of the process.
                FILE_SIZE limits the size of files, as a full disk does.
            after: Python that each runs at its end.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(self._folder), commands, after]) + "\n")
        self._process.stdin.flush()
        codes = json.loads(self._process.stdout.readline())
        return {
            name: Done(
                code, *((self._folder / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("out", "err"))
            )
            for name, code in codes.items()
        }


def run_all(folder: Path, commands: Commands, imports: Imports, after: str = "", **environment: str) -> dict[str, Done]:
    """Run commands at the same time in a `Shell` of their own."""
    with Shell(folder, imports, **environment) as shell:
        return shell.run(commands, after)
