"""`python -m ptv2`, for `accelerate launch -m ptv2 ...` and `torchrun -m ptv2 ...`."""

import sys

from ptv2.cli import main

sys.exit(main())
