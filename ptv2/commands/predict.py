"""`ptv2 predict RUN --input FILE`: labels for new examples from a finished run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ptv2.commands.arguments import RUN_HELP, Parser
from ptv2.commands.console import err
from ptv2.commands.opening import open_trained
from ptv2.data.formats import read_file
from ptv2.errors import ConfigError, DataError
from ptv2.files import write_text_whole


def main(arguments: list[str]) -> int:
    """Write one JSON object an example: id, label, probabilities."""
    parser = Parser(prog="ptv2 predict", description="Labels for new examples from a finished run, as JSON lines.")
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument(
        "--input", required=True, help="a file as the task reads it (.jsonl, .csv, .tsv, ...); labels are not needed"
    )
    parser.add_argument(
        "--official", metavar="STEM", help="also write what the task's official scorer reads, as STEM.<ending>"
    )
    parser.add_argument("--output", help="file for the predictions (default: standard output)")
    parser.add_argument("--out", default="runs", help="folder of the runs (default: runs)")
    options = parser.parse_args(arguments)
    folder, config = open_trained(options.run, options.out)
    records = read_file(Path(options.input), config.task, labelled=False)

    from ptv2.commands.trained import load_trained, score_examples

    trained = load_trained(folder, config)
    examples = trained.task.read(records, labelled=False)
    if not examples:
        raise DataError(f"{options.input}: the file has no examples")
    scores, encoded = score_examples(trained, examples, config)
    if not trained.accelerator.is_main_process:
        return 0
    predictions = trained.task.decode(scores, examples, encoded)
    text = "".join(json.dumps(prediction, ensure_ascii=False) + "\n" for prediction in predictions)
    if options.official:
        _write_official(trained.task.official(predictions, examples, Path(options.input)), options.official)
    if options.output:
        write_text_whole(options.output, text)
        err.print(f"{len(predictions)} predictions written: {options.output}", soft_wrap=True)
    else:
        sys.stdout.write(text)
    return 0


def _write_official(files: dict[str, str], stem: str) -> None:
    if not files:
        raise ConfigError("--official: the task has no official format, or none for this kind of file")
    for ending, text in files.items():
        write_text_whole(f"{stem}.{ending}", text)
        err.print(f"written: {stem}.{ending}", soft_wrap=True)
