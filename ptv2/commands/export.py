"""`ptv2 export RUN --to peft`: what a finished run trained as an adapter for PEFT, in a folder or on the hub."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

from ptv2.config.methods import METHODS
from ptv2.console.arguments import RUN_HELP, Parser, a_folder
from ptv2.console.output import out, show_facts, tell
from ptv2.errors import ConfigError, ModelError
from ptv2.experiment.open import open_trained
from ptv2.files import scratch_folder
from ptv2.hub.push import check_access, check_repository, push_folder
from ptv2.interchange.export_adapter import check_folder, export_adapter

LICENCES = "https://huggingface.co/docs/hub/repositories-licenses"


def main(arguments: list[str]) -> int:
    """Write the adapter's two files and a README.md, the card with the code that gives the run's scores in PEFT."""
    parser = Parser(
        prog="ptv2 export", description="What a finished run trained, as an adapter for PEFT, here or on the hub."
    )
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("--to", choices=["peft"], required=True, help="the format")
    parser.add_argument("--output", type=a_folder, metavar="DIR", help="folder for the adapter")
    parser.add_argument(
        "--position-ids-at-call",
        action="store_true",
        help="also with prompt.positions=unshifted: every call must then pass position_ids, as the README.md shows",
    )
    hub = parser.add_argument_group("to the hub")
    hub.add_argument("--push", metavar="OWNER/NAME", help="show what a push to this repository would send; see --yes")
    hub.add_argument("--yes", action="store_true", help="send it, and create the repository if there is none")
    hub.add_argument(
        "--licence", "--license", metavar="ID", help="of the adapter, such as apache-2.0 or mit; --yes needs it"
    )
    hub.add_argument("--private", action="store_true", help="create a repository that others do not see")
    hub.add_argument(
        "--overwrite", action="store_true", help="replace files that the repository has with other contents"
    )
    parser.add_out()
    options = parser.parse_args(arguments)
    _check(options)
    folder, config = open_trained(options.run, options.out)
    if config.model.path == "config:":
        raise ModelError(f"{folder.name}: its backbone has random weights, and PEFT needs a checkpoint to load it on")
    if not METHODS[config.method].exported:
        raise ModelError(
            f"{folder.name}: method {config.method} has neither prompts nor layers of PEFT; only these can be exported"
        )
    if options.output:
        check_folder(Path(options.output), is_pushed=bool(options.push))
    with ExitStack() as stack:
        output = Path(options.output or stack.enter_context(scratch_folder()))
        kind = export_adapter(
            folder,
            config,
            output,
            positions_at_call=options.position_ids_at_call,
            licence=options.licence,
            repository=options.push,
        )
        if options.output:
            tell(f"written: {output} ({kind})")
        if options.push:
            _push(output, folder.name, options)
    return 0


def _check(options: Namespace) -> None:
    """Refuse options that do not go together, and a push that cannot succeed; ask for a licence that is not given.

    Raises:
        ConfigError: names the option.
    """
    if not (options.output or options.push):
        raise ConfigError("expected --output DIR, --push OWNER/NAME, or both")
    if not options.push:
        for name in ("yes", "private", "overwrite"):
            if getattr(options, name):
                raise ConfigError(f"--{name}: expected --push OWNER/NAME with it")
    else:
        check_repository(options.push)
    if options.push and options.yes:
        check_access()
        if options.licence is None and sys.stdin is not None and sys.stdin.isatty():
            tell(f"licence of the adapter, such as apache-2.0, mit or cc-by-4.0 ({LICENCES}):")
            options.licence = sys.stdin.readline().strip() or None
        if options.licence is None:
            raise ConfigError(f"--push needs --licence ID, such as apache-2.0, mit or cc-by-4.0 (see {LICENCES})")
    if options.licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", options.licence):
        raise ConfigError(f"--licence {options.licence}: expected an ID such as apache-2.0 or mit (see {LICENCES})")


def _push(output: Path, name: str, options: Namespace) -> None:
    """Push the files, or show what would be pushed."""
    files = sorted(output.iterdir())
    if options.yes:
        pushed = push_folder(
            output, options.push, f"ptv2: {name}", private=options.private, overwrite=options.overwrite
        )
        state = "pushed" if pushed.is_new else "nothing new, it has all of it already"
        tell(f"{state}: {pushed.address} (commit {pushed.commit[:12]})", out)
        return
    show_facts(
        [
            ("repository", options.push),
            ("visibility", "private" if options.private else "public; --private hides it"),
            ("licence", options.licence or "not given; --yes needs --licence ID"),
            *(("file", f"{file.name}  {file.stat().st_size:,} bytes") for file in files),
        ]
    )
    tell(f"\n{(output / 'README.md').read_text(encoding='utf-8')}", out, indent=0)
    tell("nothing was pushed; the same command with --yes pushes it")
