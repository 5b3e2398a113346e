"""`python -m vitalsd` is `vitalsd`."""

import sys

from vitalsd.cli import main

sys.exit(main())
