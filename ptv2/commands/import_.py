"""`ptv2 import ADAPTER task=TASK model=MODEL`: an adapter of PEFT as a run that evaluate, predict and export take."""

from __future__ import annotations

import shlex

from ptv2.console.arguments import Parser, a_folder
from ptv2.console.output import tell
from ptv2.interchange.import_adapter import import_adapter


def main(arguments: list[str]) -> int:
    """Write a run with the adapter's prompts and head; it has no result of its own until `ptv2 evaluate` scores it."""
    parser = Parser(
        prog="ptv2 import", keys=("out",), description="An adapter of PEFT as a run that evaluate and predict take."
    )
    parser.add_argument("adapter", type=a_folder, help="its folder, or OWNER/NAME[@REVISION] on the hub")
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="key=value",
        help="settings as `ptv2 train` takes them: task= (its data and labels), model= (the adapter names one), out=",
    )
    parser.add_config_dir()
    options = parser.parse_args(arguments)

    folder = import_adapter(options.adapter, options.settings, options.config_dir)
    tell(f"written: {folder}; `ptv2 evaluate {shlex.quote(str(folder))}` scores it")
    return 0
