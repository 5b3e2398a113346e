"""
Which windows growth is judged by, and how much of it counts: all of them parts of one day, as it is configured.

A `day` is the time after which load repeats itself. A test makes it a minute, and everything else follows.
"""

from __future__ import annotations

import math

import msgspec

from vitalsd.detect.growth.shape import Bounds
from vitalsd.settings.model import Settings

__all__ = [
    "COUNTS",
    "COUNT_LEAST",
    "EVIDENCE",
    "EVIDENCE_BOUNDS",
    "IN_USE",
    "MEMORY",
    "MEMORY_BOUNDS",
    "Plan",
    "Windows",
    "count_bounds",
    "plan_of",
]

BASES_PER_DAY = 288
"""The shortest block is five minutes of a day of 24 hours."""
DAYS_KEPT = 8
Windows = dict[int, int]
"""The length of a window's blocks, in shortest ones -> how many are remembered."""


def _windows(days_kept: float, *lengths: int) -> Windows:
    return {length: math.ceil(days_kept * BASES_PER_DAY / length) for length in lengths}


MEMORY = _windows(4, 3, 4, 6) | _windows(DAYS_KEPT, 9, 12, 18, 24, 36, 48, 72, 96, 144)
"""Windows of 2 h, 2 h 40, 4 h, 6 h, 8 h, 12 h, 16 h, 1 d, 1 d 8 h, 2 d, 2 d 16 h and 4 d."""
EVIDENCE = _windows(2, 1, 2) | _windows(4, 3, 4) | _windows(DAYS_KEPT, 6, 9, 12)
"""What is seen from inside has no garbage in it, and tells sooner: windows of 40 min to 8 h."""
IN_USE = _windows(1, 3, 6, 12)
COUNTS = _windows(4, 6, 12) | _windows(DAYS_KEPT, 18, 36, 72, 144)

DAY = ((1.0, 0.15), (2.0, 0.34), (4.0, 0.45))
BIRTH = ((1.0, 0.14), (2.0, 0.3), (4.0, 0.5))
MEMORY_BOUNDS = Bounds(
    level=(
        (1 / 12, 0.28),
        (1 / 6, 0.24),
        (1 / 4, 0.22),
        (1 / 3, 0.2),
        (1 / 2, 0.17),
        (2 / 3, 0.15),
        (1.0, 0.13),
        (2.0, 0.23),
        (4.0, 0.4),
    ),
    day=DAY,
    birth=BIRTH,
    beyond=((1 / 3, 1.5), (1 / 2, 1.0), (2 / 3, 0.8)),
    least=4 << 20,
)
EVIDENCE_BOUNDS = Bounds(
    level=((1 / 36, 0.05), (1 / 12, 0.03)),
    day=DAY,
    birth=BIRTH,
    beyond=((0.0, 4.0),),
    least=2 << 20,
    level_score=0.16,
    now_and_then=True,
    steady=2.4,
    young=1 / 3,
)
"""A working day is soon above a weekend; four times as far as the past ever was above its middle is not load."""
COUNT_LEAST = {"fds": 16.0, "threads": 8.0, "tasks": 32.0}


class Plan(msgspec.Struct, frozen=True):
    """The times that all judgements of growth follow from."""

    day_seconds: float
    settle_seconds: float
    """The first part of a life, in which a process loads what it is."""
    exhaustion_seconds: float
    """Memory that will be used up within this time is worth telling."""

    @property
    def base_seconds(self) -> float:
        """Of the shortest block."""
        return self.day_seconds / BASES_PER_DAY

    @property
    def keep_seconds(self) -> float:
        """So long the past is remembered."""
        return self.day_seconds * DAYS_KEPT


def plan_of(settings: Settings) -> Plan:
    """The times of a configuration."""
    memory = settings.memory
    return Plan(memory.day, memory.settle, memory.exhaustion)


def count_bounds(least: float) -> Bounds:
    """Counts are small numbers: a few more are nothing, whatever their share."""
    return msgspec.structs.replace(MEMORY_BOUNDS, least=least, early=1.0, birth_days=2.0)
