"""What every command takes and says: flags, versions, exit codes. Imports nothing heavy: `ptv2 --help` needs it too."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from ptv2.errors import ConfigError
from ptv2.variables import VERBOSITY

# Flags by their long names: short name, the verbosity that they set, meaning.
FLAGS = {
    "--quiet": ("-q", "quiet", "only errors and the result"),
    "--verbose": ("-v", "verbose", "also warnings of libraries, and what is read from where"),
    "--version": ("-V", "", "versions of ptv2 and of what it uses"),
}
COMMON = (
    "every command takes:\n"
    + "".join(f"  {f'{short}, {name}':15}{text}\n" for name, (short, _, text) in FLAGS.items())
    + """
exit codes: 0 done, 1 a run failed, 2 wrong input, 69 the network failed, 70 a
fault of ptv2, 74 the disk is full, 128 + n stopped by signal n (130: Ctrl-C)
"""
)


def take_flags(words: Sequence[str]) -> tuple[list[str], set[str]]:
    """Split the words of a command into those that are no flags of `FLAGS`, and the long names of the flags.

    Raises:
        ConfigError: a flag has a value, or both `-q` and `-v` are given.
    """
    end = list(words).index("--") if "--" in words else len(words)
    names = {short: name for name, (short, _, _) in FLAGS.items()} | {name: name for name in FLAGS}
    for word in words[:end]:
        if (name := word.partition("=")[0]) in names and name != word:
            raise ConfigError(f"{name}: takes no value")
    flags = {names[word] for word in words[:end] if word in names}
    if {"--quiet", "--verbose"} <= flags:
        raise ConfigError("--quiet and --verbose: expected one of them")
    return [*(word for word in words[:end] if word not in names), *words[end:]], flags


def set_verbosity(flags: set[str]) -> None:
    """Note the verbosity that flags ask for, also for the processes that this one starts."""
    for name in flags:
        if level := FLAGS[name][1]:
            os.environ[VERBOSITY] = level


def version_text() -> str:
    """The versions of ptv2, Python and the main packages that are installed, on two lines."""
    from ptv2.run_folders.environment import PACKAGES, version_of

    packages = {name: version_of(name) for name in PACKAGES if name != "ptv2"}
    listed = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    return f"ptv2 {version_of('ptv2')}\nPython {platform.python_version()}, {listed}"
