"""
The latest stall of each loop that belongs to an incident, one for each bucket of the delay histogram.

What an exemplar tells: of a bucket that has grown, which incident to read. Noted as stalls are found, because an
incident keeps but the latest few, among which a long one would be lost behind many short ones. In memory alone:
what was told once, the scraper has. Costs a microsecond per stall and nothing between two of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from vitalsd.model import DELAY_BOUNDS_SECONDS, EndedStall

__all__ = ["Latest", "LatestStalls", "LoopPlace"]

LoopPlace = tuple[str, str, str]
"""Target, worker, loop."""
Latest = tuple[str, EndedStall]
"""The id of the incident, and the stall."""
BOUNDS = (*DELAY_BOUNDS_SECONDS, math.inf)
MOST_LOOPS = 1000
"""Those that were late longest ago are forgotten first."""


class LatestStalls:
    """Of all loops."""

    def __init__(self) -> None:
        self._loops: dict[LoopPlace, dict[float, Latest]] = {}

    def note(self, target: str, incident: str, stalls: Iterable[EndedStall]) -> None:
        """Stalls that were found to belong to an incident."""
        for stall in stalls:
            place = target, stall.worker, stall.loop
            buckets = self._loops[place] = self._loops.pop(place, {})
            bound = BOUNDS[bisect_left(BOUNDS, stall.seconds)]
            known = buckets.get(bound)
            if known is None or known[1].ended_at <= stall.ended_at:
                buckets[bound] = incident, stall
        while len(self._loops) > MOST_LOOPS:
            del self._loops[next(iter(self._loops))]

    def all(self) -> Mapping[LoopPlace, Mapping[float, Latest]]:
        """Loop -> upper bound of a bucket -> the latest whose length falls into it."""
        return self._loops
