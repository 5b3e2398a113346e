"""
The growth of every worker that is watched: one watch for each slot, bounded, and forgotten when nobody comes back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from vitalsd.detect.growth.plan import Plan
from vitalsd.detect.growth.pool import MOST_PEERS
from vitalsd.detect.growth.watch import SET_BACK_SECONDS, GrowthWatch
from vitalsd.history.points import Point

__all__ = ["GrowthBook"]

MOST_HELD = 100_000
"""Points that wait for what was before them: a minute of a thousand workers is 30,000."""
MOST_SLOTS = 2_000
"""The one that has been silent for longest makes room."""


class GrowthBook:
    """Watches by target and slot."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._watches: OrderedDict[tuple[str, str], GrowthWatch] = OrderedDict()
        self._held: list[Point] | None = None
        self._at = 0.0
        """Of the latest point that was taken in."""
        self.past_wanted = asyncio.Event()
        """Whether somebody should have this remember what was before."""
        self.past_wanted.set()

    async def remember(self, history: AsyncIterator[list[Point]]) -> None:
        """Go through what was before; what is read meanwhile is taken in after that, since it is later."""
        self.past_wanted.clear()
        self._held = self._held or []
        try:
            async for points in history:
                for point in points:
                    self._take(point)
        finally:
            held, self._held = self._held, None
            self.take(held)

    def reconfigure(self, plan: Plan) -> bool:
        """Judge by other windows; whether all is forgotten for that, and wants to be told again."""
        if plan == self.plan:
            return False
        self.plan = plan
        self._begin_anew()
        return True

    def _begin_anew(self) -> None:
        """Know nothing until what was before is remembered."""
        self._watches.clear()
        self._held = []
        self.past_wanted.set()

    def take(self, points: Iterable[Point]) -> None:
        """Take in points, in the order of time; once the clock has been set back, what was before it is wanted."""
        for point in points:
            if self._at - point.t >= max(SET_BACK_SECONDS, self.plan.base_seconds):
                self._begin_anew()
                self._at = point.t
            self._at = max(self._at, point.t)
            if self._held is None:
                self._take(point)
            elif len(self._held) < MOST_HELD:
                self._held.append(point)

    def _take(self, point: Point) -> None:
        place = (point.target, point.worker)
        watch = self._watches.get(place)
        if watch is None:
            watch = self._watches[place] = GrowthWatch(self.plan)
            while len(self._watches) > MOST_SLOTS:
                self._watches.popitem(last=False)
        else:
            self._watches.move_to_end(place)
        watch.add(point)

    def forget(self, now: float) -> None:
        """Let go of slots that nothing was heard of for as long as the past is remembered."""
        while self._watches:
            place, watch = next(iter(self._watches.items()))
            if now - watch.at < self.plan.keep_seconds:
                return
            del self._watches[place]

    def pool(self, target: str) -> tuple[GrowthWatch, ...]:
        """The watches of one target, or as many as there is sense in asking."""
        of_target = (watch for (name, _), watch in self._watches.items() if name == target)
        return tuple(islice(of_target, MOST_PEERS))

    def of(self, target: str, worker: str) -> GrowthWatch | None:
        """The watch of one slot, where anything is known of it."""
        return self._watches.get((target, worker))
