"""`ptv2 predict RUN --input FILE`: answers to new examples from a finished run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.collector import collector_paused
from ptv2.console.arguments import RUN_HELP, Parser, a_file_of, a_path
from ptv2.console.output import tell
from ptv2.data.formats import describe_files
from ptv2.errors import ConfigError, DataError
from ptv2.experiment.open import open_trained, trained_task
from ptv2.experiment.prediction_files import format_rows, in_encoding
from ptv2.files import check_writable, scratch_folder, write_text_whole
from ptv2.report.formats import count_of
from ptv2.run_folders.processes import is_alone, is_main_process

if TYPE_CHECKING:
    from ptv2.tasks.task import Task

STANDARD = "-"  # standard input or output


def main(arguments: list[str]) -> int:
    """Write one row for each example: its text, its right answer if it is known, and the run's answer."""
    parser = Parser(prog="ptv2 predict", description="Answers to new examples from a finished run, one row for each.")
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument(
        "--input",
        type=a_path,
        required=True,
        help="a file as the task reads it (.jsonl, .csv, ...), or - for standard input; labels are not needed",
    )
    parser.add_argument(
        "--output",
        type=a_file_of(".jsonl", ".json", ".csv", ".tsv"),
        help="file for the rows: JSON lines, or a table if its name ends in .csv or .tsv (default: printed)",
    )
    parser.add_argument(
        "--official", type=a_path, metavar="STEM", help="also write what the official scorer reads, as STEM.<ending>"
    )
    parser.add_out()
    options = parser.parse_args(arguments)
    folder, config = open_trained(options.run, options.out)
    for path in (options.output, options.official):
        if path and path != STANDARD:
            check_writable(path, options.input)
    task = trained_task(folder, config)
    with _input(options.input, task) as path:
        from ptv2.tasks.new import read_new  # imports numpy

        examples = read_new(path, task, lambda text: _note(text, options.input, path))

        with collector_paused():
            from ptv2.experiment.load import load_trained, predict_examples  # imports torch

            trained = load_trained(folder, config, task)
        predictions = predict_examples(trained, examples, config)
        if not trained.accelerator.is_main_process:
            return 0
        if options.official:
            _write_official(task.official(predictions, examples, [path]), options.official)
    text = format_rows(task.rows(predictions, examples), Path(options.output or "").suffix)
    if options.output in (None, STANDARD):
        sys.stdout.write(in_encoding(text, sys.stdout.encoding))
    else:
        write_text_whole(options.output, text)
        tell(f"{count_of(len(predictions), 'prediction')} written: {options.output}")
    return 0


@contextmanager
def _input(name: str, task: Task[Any, Any]) -> Iterator[Path]:
    """The path of the input; a stream is copied into a file that exists while the context is open.

    Raises:
        DataError: there is no such file.
    """
    path = Path(name)
    fault = None if path.exists() or name == STANDARD else "no such file"
    if path.is_dir() and task.config.shape != "tag":
        fault = "a folder"
    if fault:
        raise DataError(f"--input {name}: {fault}; expected {describe_files(task.config)}")
    if name != STANDARD and (path.is_file() or path.is_dir()):
        yield path
        return
    if not is_alone():
        raise ConfigError(f"--input {name}: several processes cannot share a stream; expected a file")
    from ptv2.tasks.new import ending_of

    data = sys.stdin.buffer.read() if name == STANDARD else path.read_bytes()
    with scratch_folder() as folder:
        (path := folder / f"stdin{ending_of(data, task.config.shape)}").write_bytes(data)
        try:
            yield path
        except DataError as error:
            raise DataError(str(error).replace(f"{folder}/", "")) from error


def _note(text: str, name: str, path: Path) -> None:
    """Print a note about the input called `name`; nobody knows the folder of a stream's copy."""
    if is_main_process():
        tell(f"note: {text if name == str(path) else text.replace(f'{path.parent}/', '')}")


def _write_official(files: dict[str, str], stem: str) -> None:
    if not files:
        raise ConfigError("--official: the task has no official format, or none for this kind of file")
    for ending, text in files.items():
        write_text_whole(f"{stem}.{ending}", text)
        tell(f"written: {stem}.{ending}")
