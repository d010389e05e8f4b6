"""The arguments of a command; a wrong one is answered in one line, like every other mistake."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ptv2.errors import ConfigError

RUN_HELP = "a run's folder, its name or its hash, or a beginning of these that no other run has"


class Parser(argparse.ArgumentParser):
    """argparse's parser without the usage in front of its errors."""

    def error(self, message: str) -> NoReturn:
        """Raise what `ptv2.cli` says in one line.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message} ({self.prog} --help says what there is)")
