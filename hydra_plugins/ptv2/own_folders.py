"""Let Hydra search the folders of the user's before the shipped configuration, while a command of ptv2 asks for it."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from ptv2.config import paths


class OwnFolders(SearchPathPlugin):
    """Adds the folders of `paths.searching`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Put them before `conf/`, in their order."""
        for folder in paths.before_shipped:
            search_path.prepend("ptv2", f"file://{folder.resolve()}", anchor="main")
