"""`ptv2 analyze RUN`: what the prompts of a finished run do. Figures, CSV files and a short summary."""

from __future__ import annotations

from pathlib import Path

from ptv2.analysis.finding import Finding, cells
from ptv2.collector import collector_paused
from ptv2.commands.evaluate import check_own_data, on_files
from ptv2.config.methods import METHODS
from ptv2.console.arguments import RUN_HELP, Parser, a_folder
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell
from ptv2.errors import ConfigError, RunError, unknown
from ptv2.experiment.open import open_trained
from ptv2.files import check_writable, write_text_whole
from ptv2.run_folders.record import read_result

# In the order in which they are made, with their descriptions in the help.
ANALYSES = {
    "attention": "share of attention on the prompts, by layer and head",
    "vocabulary": "tokens of the vocabulary that the prompts resemble",
    "ablation": "the metric without one layer's prompts, and with one layer's only",
    "probing": "what a linear classifier reads off each layer, with prompts and without",
}
WITHOUT_PROMPTS = ("probing",)


def main(arguments: list[str]) -> int:
    """Make the analyses one after the other; write and print each as soon as it is made."""
    parser = Parser(
        prog="ptv2 analyze",
        description="What the prompts of a finished run do: "
        + "; ".join(f"{name}: {text}" for name, text in ANALYSES.items())
        + ". Of methods without prompts only probing, against the pretrained backbone.",
    )
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(ANALYSES)} (default: all that apply)")
    parser.add_argument("--limit", type=int, default=1000, help="records of a split, drawn (default: 1000; 0: all)")
    parser.add_argument(
        "--output", type=a_folder, metavar="DIR", help="where the files go (default: analysis/ in the run's folder)"
    )
    parser.add_data_dir()
    parser.add_out()
    options = parser.parse_args(arguments)
    if options.limit < 0:
        raise ConfigError(f"--limit {options.limit}: expected a number of records, or 0 for all")
    asked = None if options.only is None else _asked(options.only)
    folder, config = open_trained(options.run, options.out)
    if options.data_dir:
        config = on_files(config, options.data_dir, read_result(folder))
    else:
        check_own_data(folder, config)
    names = _applying(asked, config.method)
    output = Path(options.output) if options.output else folder / "analysis"
    try:
        check_writable(output / "summary.md", folder)
    except PermissionError as error:
        raise RunError(f"{output}: {error.strerror}; --output DIR names another folder for the files") from error

    with collector_paused():
        from ptv2.analysis.run import Session

        session = Session(folder, config, options.limit or None)
    sections = [f"# What {folder.name} does\n"]
    for name in names:
        finding = session.make(name)
        finding.write(output)
        _print(finding)
        sections.append(finding.markdown())
    write_text_whole(output / "summary.md", "\n".join(sections))
    tell(f"written: {output}")
    return 0


def _asked(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in ANALYSES:
            raise ConfigError(f"--only: {unknown('analysis', name, ANALYSES)}")
    return [name for name in ANALYSES if name in names]


def _applying(asked: list[str] | None, method: str) -> list[str]:
    """The analyses to make; those of prompts are left out if the method has none, or refused if asked for by name.

    Raises:
        RunError: one asked for does not apply.
    """
    if METHODS[method].prompts is not None:
        return list(ANALYSES) if asked is None else asked
    if asked is not None and (others := [name for name in asked if name not in WITHOUT_PROMPTS]):
        raise RunError(f"--only {','.join(others)}: {method} has no prompts; expected {','.join(WITHOUT_PROMPTS)}")
    if asked is None:
        tell(f"{method} has no prompts: {','.join(WITHOUT_PROMPTS)} only")
    return list(WITHOUT_PROMPTS)


def _print(finding: Finding) -> None:
    tell(f"{finding.name}: {finding.what}", out)
    columns = [Column(name, fold=10) for name in finding.summary[0]]
    show_table(Table(columns, [cells(row) for row in finding.summary]))
    out.print()
