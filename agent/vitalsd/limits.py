"""
How many files the agent may have open, and how many of these may be segments.

Each segment is open for as long as its process lives, and every user of the machine may make some. Without a
descriptor nothing can be read of anybody, so segments get half of them at most.
"""

from __future__ import annotations

import contextlib
import resource

__all__ = ["most_segments", "raise_open_files"]

MOST_OPEN_FILES = 65_536
MOST_SEGMENTS_OPEN = 4096
"""Reading these takes the agent most of a second: whoever has more services has more than one agent."""


def raise_open_files() -> None:
    """Allow this process as many open files as it may allow itself, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # then it stays as it is, and segments are fewer
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_segments() -> int:
    """How many segments may be open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_SEGMENTS_OPEN if soft == resource.RLIM_INFINITY else min(soft // 2, MOST_SEGMENTS_OPEN)
