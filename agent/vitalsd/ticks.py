"""
The kernel's clock ticks: what it counts processor time in, and when since the boot a process began.

One home for their number, and for the age of a process; a look at the clock costs 50 ns.
"""

from __future__ import annotations

import os
import time

__all__ = ["TICKS", "age_seconds"]

TICKS = os.sysconf("SC_CLK_TCK")
"""In a second."""


def age_seconds(start_ticks: int) -> float:
    """How long ago a process began that counts as one of this tick, with the time in which the host slept."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / TICKS)
