"""Commands of ptv2 with a hub on loopback, many at a time.

One process imports what all need, and forks for each command. HF_* is read when `huggingface_hub` is imported, so that
commands that differ in it import the hub's libraries themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from commandline import TIMEOUT, Done, cache_folder

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
SHELL = """
import json, os, sys, time
import ptv2.commands.train, ptv2.experiment.open
from ptv2.cli import main
if sys.argv[2] == "same":
    import huggingface_hub.hf_api, huggingface_hub._snapshot_download, ptv2.data.hub, ptv2.hub.progress
else:
    assert "huggingface_hub.constants" not in sys.modules, "imported before the environment of a command is set"
folder, sleep = sys.argv[1], time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.02))  # between retries
children = {}
for name, (words, environment) in json.load(sys.stdin).items():
    if (child := os.fork()) == 0:
        for descriptor, stream in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{folder}/{name}.{stream}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), descriptor)
        limit = int(environment.pop("FILE_SIZE", 0))
        os.environ.update(environment)
        if limit:
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sys.exit(main(words))
    children[child] = name
codes = {}
while children:
    child, status = os.wait()
    if child in children:
        codes[children.pop(child)] = os.waitstatus_to_exitcode(status)
print(json.dumps(codes))
"""

Commands = dict[str, tuple[list[str], dict[str, str]]]


def run_all(folder: Path, commands: Commands, same: bool = False, **environment: str) -> dict[str, Done]:
    """Run commands at the same time, to their ends.

    Args:
        folder: where their streams and, if not told otherwise, the hub's cache are kept.
        commands: by any name: their words, and what they have in the environment beside `environment`. FILE_SIZE limits
            the size of files, as a full disk does.
        same: whether they have the same HF_*, but for HF_TOKEN.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "TRANSFORMERS_")) and name.lower() not in PROXIES
    }
    quick = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1", "HF_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-c", SHELL, str(folder), "same" if same else "other"],
        input=json.dumps(commands),
        env={**inherited, **quick, "PTV2_CACHE": cache_folder(), "COLUMNS": "300", **environment},
        text=True,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {
        name: Done(code, *((folder / f"{name}.{stream}").read_text(encoding="utf-8") for stream in ("out", "err")))
        for name, code in json.loads(done.stdout.splitlines()[-1]).items()
    }
