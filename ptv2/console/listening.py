"""Let standard error tell as much of what is logged as the user asked for."""

from __future__ import annotations

import logging
import sys
import warnings

from ptv2.run_folders.processes import is_main_process
from ptv2.variables import is_quiet, is_verbose

OUTPUT = "ptv2.console.output"


class _Teller(logging.Handler):
    """Prints the messages of one process; those of `ptv2.console.output` are printed where they are logged."""

    def emit(self, record: logging.LogRecord) -> None:
        printed = record.name == "ptv2" and record.levelno < logging.WARNING
        if is_main_process() and not printed and not hasattr(record, "file_only"):
            from ptv2.console.output import tell

            start = "" if record.name.startswith("ptv2") else f"{record.name}: "
            tell(start + record.getMessage())


_TELLER = _Teller()


def listen() -> None:
    """Print warnings of ptv2; if quiet, only errors; if verbose, also what ptv2 and the libraries log."""
    ours = logging.getLogger("ptv2")
    for logger in (ours, logging.getLogger()):
        logger.removeHandler(_TELLER)
    if is_quiet() or OUTPUT in sys.modules:
        from ptv2.console.output import err

        err.quiet = is_quiet()
    if is_quiet():
        warnings.simplefilter("ignore")
    (logging.getLogger() if is_verbose() or is_quiet() else ours).addHandler(_TELLER)  # else Python prints the others
    ours.setLevel(logging.DEBUG if is_verbose() else logging.WARNING)
