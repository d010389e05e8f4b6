"""Settings of every test: the generated examples are the same on every machine, so that only a change turns a test red.

`HYPOTHESIS_PROFILE=explore make test ARGS=tests/data` tries new ones at each call.
"""

import os
import tempfile

from hypothesis import settings

# A terminal that starts the tests may say how wide it is; what commands print into files shall not depend on it.
os.environ.pop("COLUMNS", None)
# Nor on files that whoever runs the tests keeps in a folder of configuration.
os.environ.pop("PTV2_CONFIG_DIR", None)
_CONFIG_HOME = tempfile.TemporaryDirectory(prefix="ptv2-tests-")  # matplotlib and Chromium write there
os.environ["XDG_CONFIG_HOME"] = _CONFIG_HOME.name

settings.register_profile("repeatable", derandomize=True, database=None)
settings.register_profile("explore", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
