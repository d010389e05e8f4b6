"""The arguments of a command; a wrong one is answered in one line, like every other mistake."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Collection, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from ptv2.console.common import COMMON
from ptv2.errors import ConfigError, is_text, quote, unknown
from ptv2.screen import folded

_CHOICE = re.compile(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)  # argparse's words
_NAME = re.compile(r"\s+\S.*?\s\s+(?=\S)")  # a word of a list, before what it means


class Lists(argparse.HelpFormatter):
    """Help whose lists of words keep their lines, and fold below the meanings."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        margins = [len(match[0]) if (match := _NAME.match(line)) else 0 for line in lines]
        return "\n".join(indent + folded(line, width, margin) for line, margin in zip(lines, margins, strict=True))


RUN_HELP = "a run's folder, its name or its hash, or a beginning of these that no other run has"


def a_path(text: str) -> str:
    """A path as it was typed, with the user's home for `~`; no path is refused.

    Raises:
        argparse.ArgumentTypeError: nothing was typed.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    return os.path.expanduser(text)


def a_folder(text: str) -> str:
    """`a_path` of a folder that exists or can be created.

    Raises:
        argparse.ArgumentTypeError: it is a file.
    """
    if (path := Path(a_path(text))).exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file; expected a folder")
    return a_path(text)


def a_folder_in_text(text: str) -> str:
    """`a_folder` whose name goes into settings.

    Raises:
        argparse.ArgumentTypeError: it is no text in UTF-8, or a file.
    """
    if not is_text(text):
        raise argparse.ArgumentTypeError(f"{quote(text)} is not text in UTF-8")
    return a_folder(text)


def a_file(text: str) -> str:
    """`a_path` of a file to be written.

    Raises:
        argparse.ArgumentTypeError: it is a folder.
    """
    if Path(a_path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; expected the name of a file")
    return a_path(text)


def a_file_of(*endings: str) -> Callable[[str], str]:
    """`a_file` whose name ends in one of these, or has no ending."""

    def read(text: str) -> str:
        if (ending := Path(text).suffix).lower() not in ("", *endings):
            raise argparse.ArgumentTypeError(f"{text}: nothing writes '{ending}'; expected {', '.join(endings)}")
        return a_file(text)

    return read


def a_count(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        argparse.ArgumentTypeError: it is another.
    """
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1 on")
    return int(text)


class Parser(argparse.ArgumentParser):
    """argparse's parser without the usage in front of its errors, which takes `KEY=VALUE` and `--KEY VALUE` alike."""

    def __init__(self, *, keys: Collection[str] = (), several: Collection[str] = (), **details: Any) -> None:
        """`keys` are read by the command itself as KEY=VALUE; `several` may be given more than once."""
        super().__init__(**details)
        self._keys, self._several = keys, several
        self._words: list[str] = []

    def parse_args(self, words: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        """Parse the words of a command; options may stand between the other words.

        Raises:
            ConfigError: words that the command does not take.
        """
        options = [name for name, action in self._option_string_actions.items() if action.nargs != 0]
        appended = [action.dest for action in self._actions if isinstance(action, argparse._AppendAction)]
        self._words = spelled = in_one_grammar(words, self._keys, options, [*self._several, *appended])
        mixed = any(action.nargs == "*" for action in self._actions)
        return self.parse_intermixed_args(spelled) if mixed else super().parse_args(spelled)

    def format_help(self) -> str:
        """The help, and what every command takes."""
        return f"{super().format_help()}\n{COMMON}"

    def add_runs(self) -> None:
        """Add the arguments of a command about several runs: `runs` and `--out`."""
        text = "runs (by folder, name, hash or a beginning of these), or folders of runs (default: the folder --out)"
        self.add_argument("runs", nargs="*", help=text)
        self.add_out()

    def add_out(self) -> None:
        """Add `--out`."""
        text = "folder of the runs (default: runs); also out=OUT"
        self.add_argument("--out", type=a_folder, default="runs", help=text)

    def add_json(self) -> None:
        """Add `--json`."""
        self.add_argument("--json", action="store_true", help="one JSON document; docs/reference/json.md has its keys")

    def add_config_dir(self) -> None:
        """Add `--config-dir`."""
        text = "your own files (task/, model/, ...); searched before PTV2_CONFIG_DIR or ~/.config/ptv2"
        self.add_argument("--config-dir", type=a_folder, metavar="DIR", help=text)

    def add_data_dir(self) -> None:
        """Add `--data-dir`."""
        text = "files of the same task in this folder, instead of the run's own data"
        self.add_argument("--data-dir", type=a_folder_in_text, help=text)

    def error(self, message: str) -> NoReturn:
        """Raise what `ptv2.cli` says in one line.

        Raises:
            ConfigError: always.
        """
        if match := _CHOICE.fullmatch(message):
            name, value, known = match.groups()
            start = f"{name}: " if name.startswith("-") else ""
            message = start + unknown(name.lstrip("-"), value, [word.strip("'") for word in known.split(", ")])
        extra = message.startswith("unrecognized arguments")
        if extra and {"-m", "--multirun"} & set(self._words):
            message = "-m: only ptv2 train makes several runs of one command; expected one value of each key"
        elif (extra or message.startswith("the following arguments are required")) and (
            other := self._unknown_option()
        ):
            message = unknown("option", other, [name for name in self._option_string_actions if name.startswith("--")])
        if message.startswith("argument -"):
            message = message.removeprefix("argument ")
        raise ConfigError(f"{message} ({self.prog} --help says what there is)")

    def _unknown_option(self) -> str | None:
        """The first typed option that there is not; argparse does not say which there are, or names a missing one."""
        typed = (word.partition("=")[0] for word in takewhile("--".__ne__, self._words) if word.startswith("--"))
        return next((name for name in typed if not any(o.startswith(name) for o in self._option_string_actions)), None)


def in_one_grammar(
    words: Sequence[str], keys: Collection[str], options: Collection[str] = (), several: Collection[str] = ()
) -> list[str]:
    """Spell words as a command reads them, whether the user typed `KEY=VALUE`, `--KEY VALUE` or `--KEY=VALUE`.

    Args:
        keys: are read as KEY=VALUE.
        options: are read as --KEY=VALUE.
        several: keys that may be given several times.

    Raises:
        ConfigError: two values for one key, in different forms.
    """
    spelled: list[str] = []
    typed: dict[str, tuple[str, str]] = {}
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            return [*spelled, word, *waiting]
        name, equals, value = word.partition("=")
        key = name.removeprefix("--")
        is_option = f"--{key}" in options
        if not (is_option or key in keys) or not (equals or name.startswith("--")):
            spelled.append(word)
            continue
        if not equals:
            following = next(waiting, None)
            if following is None or re.match(r"-\D", following):  # the next option: this one has no value
                spelled += [word] if following is None else [word, following]
                continue
            value, word = following, f"{word} {following}"
        before = typed.get(key)
        same_form = before is None or before[1].startswith("--") == word.startswith("--")
        if not same_form and before is not None and before[0] != value:
            raise ConfigError(f"{before[1]} and {word}: expected one of them")
        if same_form:  # twice in one form: the command says what that means; for Hydra and options the last one counts
            spelled.append(f"--{key}={value}" if is_option else f"{key}={value}")
        if key not in several:
            typed[key] = value, word
    return spelled


def read_words(words: Sequence[str], keys: Collection[str]) -> dict[str, str]:
    """Words of the form key=value, by key; one of the keys is `out`, the folder of the runs.

    Raises:
        ConfigError: a word of another form, an unknown key, or a key twice.
    """
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            meant = f"; the folder of the runs is out={word}" if not equals and Path(word).is_dir() else ""
            raise ConfigError(f"{word}: expected key=value with one of {', '.join(keys)} as key{meant}")
        if key not in keys:
            raise ConfigError(unknown("key", key, keys))
        if key in values:
            raise ConfigError(f"{key}={values[key]} and {word}: expected one of them")
        values[key] = value
    return values
