"""
Which stacks are the probe's own thread's: no time of the service's, and not to be taken for it. Pure.

That thread is started below `threading`, so all of its frames are the probe's. A thread of the service's that is
in a hook of the probe has frames of its own around that, and stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from vitalsd.model import Frame

__all__ = ["OUR_THREAD", "is_ours"]

OUR_THREAD = "the probe of vitalsd"
PROBE = re.compile(r"/(?:vitalsd/probe/python|vitalsd_probe)/[a-z]+\.py$")


def is_ours(frames: Iterable[Frame]) -> bool:
    """Whether a stack is of the probe's own thread."""
    known = [frame.file for frame in frames]
    return bool(known) and all(map(PROBE.search, known))
