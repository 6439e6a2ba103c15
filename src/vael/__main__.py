"""`python -m vael`, also for torchrun."""

import sys

from vael.cli import main

sys.exit(main())
