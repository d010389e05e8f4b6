"""The command line: run the command that is asked for, and report errors in one line each."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module

from ptv2 import interruption  # all else is imported once Ctrl-C is handled
from ptv2.commands.verbs import COMMANDS

HELP = """ptv2: does tuning prompts match tuning everything, on this task and backbone?

usage: ptv2 COMMAND ...

{commands}

  ptv2 train                               made-up task and small backbone, both
                                           embedded, with p-tuning-v2
  ptv2 train task=rte model=roberta-large  data and backbone from the hub
  ptv2 train task=rte data.dir=DIR         the official files
  ptv2 train task=classification data.dir=D task.text=COLUMN task.label=COLUMN
                                           train.csv and dev.csv of your own
  ptv2 train task=boolq method=fine-tuning,p-tuning-v2 seed=1,2,3 -m
  ptv2 COMMAND --help                      what a command takes

shell completion: eval "$(ptv2 -sc install=bash)" (or zsh, fish)

{common}"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 done; 1 a run failed; 2 wrong input; 69 the network failed; 70 a fault of ptv2; 74 the disk is full;
    128 + n stopped by signal n.
    """
    if arguments is None:  # this process is ours
        interruption.install()
        _leave_out_current_folder()
    words = sys.argv[1:] if arguments is None else arguments
    _open_closed_streams()
    try:
        from ptv2.streams import forgive_errors

        forgive_errors()
        code = _run(words)
        _leave_other_processes()
        sys.stdout.flush()  # a full disk or a reader that went away shows here, where it can still be said
        return code
    except KeyboardInterrupt:
        return _fail("stopped", interruption.CODE)
    except BrokenPipeError:
        return 141  # the reader went away, as `| head` does; a shell calls that 128 + SIGPIPE
    except SystemExit:
        raise
    except BaseException as error:  # a panic of a library in Rust is no Exception
        if interruption.was_raised():
            return _fail("stopped", interruption.CODE)
        from ptv2.console.fault_log import answer

        return _fail(*answer(error))
    finally:
        _drop_what_cannot_be_written()


def _run(words: list[str]) -> int:
    if words and words[0] in ("-sc", "--shell-completion"):
        from ptv2.completion import complete

        return complete(words)
    from ptv2.console.common import COMMON, set_verbosity, take_flags, version_text

    words, flags = take_flags(words)
    if "--version" in flags:
        from ptv2.screen import folded, width_of

        print(*(folded(line, width_of(sys.stdout)) for line in version_text().splitlines()), sep="\n")
        return 0
    if not words or words[0] in ("-h", "--help", "help"):
        lines = "\n".join(f"  {word:10}{text}" for word, (_, text) in COMMANDS.items())
        print(HELP.format(commands=lines, common=COMMON), end="")
        return 0
    if words[0] == "train" and not {"-h", "--help"}.isdisjoint(words):
        from ptv2.console.train_help import show_help

        show_help(words[1:])
        return 0
    if words[0] not in COMMANDS:
        from ptv2.errors import Ptv2Error, unknown

        raise Ptv2Error(unknown("command", words[0], COMMANDS))
    from ptv2.console.listening import listen
    from ptv2.variables import check_variables, is_quiet

    set_verbosity(flags)
    check_variables()
    listen()
    if words[0] == "train" and not is_quiet():
        _say_that_it_starts(words[1:])
    command = import_module(COMMANDS[words[0]][0])
    with interruption.unwinding():
        return int(command.main(words[1:]))


def _leave_other_processes() -> None:
    """End torch's connection to the other processes of a launcher, whose threads could abort the interpreter's end."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _say_that_it_starts(words: list[str]) -> None:
    """Print a line on a terminal, as imports take a second or more; a pipe or file gets only what is worth keeping."""
    from ptv2.run_folders.processes import is_main_process

    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    if sys.stderr.isatty() and is_main_process() and options <= {"-m", "--multirun", "--config-dir", "-cd", "--out"}:
        print("start      reading settings and data", file=sys.stderr, flush=True)


def _fail(message: str, code: int) -> int:
    from ptv2.errors import in_one_line
    from ptv2.screen import folded, visible, width_of

    encoding = sys.stderr.encoding or "utf-8"  # its own escapes would make the line longer
    line = "ptv2: error: " + in_one_line(visible(message).encode(encoding, "backslashreplace").decode(encoding))
    if sys.stderr.isatty():  # programs read one line
        line = folded(line, width_of(sys.stderr))
    with suppress(OSError):  # nobody can be told where standard error takes nothing
        print(line, file=sys.stderr)
    return code


def _leave_out_current_folder() -> None:
    """Let no file of the user's (datasets.py, random.py) be imported in a library's place, here and in processes below.

    `python -m` and the workers of joblib look into the current folder first. Where that holds ptv2 itself, it stays.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with suppress(OSError):  # the folder is gone
        here = os.getcwd()
        if package != os.path.realpath(here):
            if not sys.flags.safe_path and sys.path[:1] == [here]:  # by `python -m`; not one of PYTHONPATH
                del sys.path[0]
            os.environ.setdefault("PYTHONSAFEPATH", "1")


def _open_closed_streams() -> None:
    """Open streams that were closed before the start (`>&-`) on nothing, so that no file gets their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)  # `predict --input -` then reads nothing
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    with suppress(AttributeError, OSError):  # another program's stream, or one that changed under Python
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _drop_what_cannot_be_written() -> None:
    """Drop buffered output that cannot be written: the interpreter would try again at its end, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
