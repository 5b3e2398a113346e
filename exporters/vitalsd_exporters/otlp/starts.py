"""
Since when each counter counts, so that who adds up knows a new one from one that goes on.

A worker's counters begin with its process. Those of which nobody knows where they began (a control group's, what
outlives an agent) begin, as the protocol has it, where they were first told. One that falls has begun anew after
it was last told. Nothing is said of a time twice: a successor's counter begins after the last word of the one
before. Pure and told the time; remembers four numbers for each series there is now, nothing of one that is gone.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

__all__ = ["SAME_SECONDS", "Starts"]

SAME_SECONDS = 2.0
"""The start of a process is told by whole seconds of the boot, and a clock is set by less without a word."""


class Known(NamedTuple):
    """One series."""

    born: float | None
    start: float
    value: float
    at: float


class Starts:
    """Of every series of the latest export; one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Known] = {}
        self._next: dict[Hashable, Known] = {}
        self._now = 0.0
        self._ahead: float | None = None

    def begin(self, now: float, steady: float) -> None:
        """An export begins at unix time `now`; `steady` is a clock that is never set."""
        self._known, self._next, self._now = self._next, {}, now
        moved = now - steady - (self._ahead if self._ahead is not None else now - steady)
        if abs(moved) > SAME_SECONDS / 2:
            # The clock was set, and processes are told to have begun at other times: they are the same.
            self._known = {
                series: known._replace(born=known.born + moved if known.born is not None else None)
                for series, known in self._known.items()
            }
        self._ahead = now - steady

    def of(self, series: Hashable, value: float, born: float | None) -> float:
        """When `series` began that is at `value`; `born` where that is known."""
        now = self._now
        known = self._known.get(series)
        if known is None:
            start = now if born is None else born
        elif born is not None and known.born is not None and born > known.born + SAME_SECONDS:
            start = max(born, known.at)
        elif value < known.value:
            start = known.at
        else:
            start = known.start
        start = min(start, now)
        self._next[series] = Known(born, start, value, now)
        return start
