"""
One series of one worker: its floors, and what the latest window of each length came to. Pure.
"""

from __future__ import annotations

from vitalsd.detect.growth.floors import Blocks, Floors
from vitalsd.detect.growth.plan import Plan, Windows
from vitalsd.detect.growth.shape import Bounds, NotYet, Rise, judge

__all__ = ["Series"]

ENDED_SHARE = 0.25
"""Of what the window grew by that told of it."""


class Series:
    """One series of one slot, over the lifetimes of its workers."""

    __slots__ = ("_bounds", "_day_seconds", "floors", "found_at", "latest", "latest_at", "reasons", "rise")

    def __init__(self, plan: Plan, windows: Windows, bounds: Bounds) -> None:
        self.floors = Floors(plan.base_seconds, windows)
        self.rise: Rise | None = None
        """The latest that was found in the present lifetime, until the growth has ended."""
        self.reasons: dict[float, NotYet] = {}
        """Window -> why it was none."""
        self.found_at = 0.0
        """When the rise was found first: unix time at which its window had ended."""
        self.latest: float | None = None
        self.latest_at = 0.0
        self._day_seconds = plan.day_seconds
        self._bounds = bounds

    def reborn(self, counts_from: float) -> None:
        """Another process has the slot, and its readings count from then on."""
        self.floors.reborn(counts_from)
        self.rise = None
        self.reasons.clear()
        self.latest = None

    def add(self, at: float, value: float) -> bool:
        """Take in a reading; whether there was something to judge anew."""
        self.latest, self.latest_at = value, at
        completed = self.floors.add(at, value)
        if not completed:
            return False
        for blocks in completed:
            judged = judge(blocks, self._day_seconds, self._bounds)
            if isinstance(judged, Rise):
                self.reasons.pop(blocks.window_seconds, None)
                self._found(judged)
            else:
                self.reasons[blocks.window_seconds] = judged
                self._goes_on(blocks)
        return True

    def _found(self, rise: Rise) -> None:
        """The same growth seen through another window is the same growth; the longest tells most of it."""
        if self.rise is None:
            self.found_at = rise.ended_at
        if self.rise is None or rise.window_seconds >= self.rise.window_seconds:
            self.rise = rise

    def _goes_on(self, blocks: Blocks) -> None:
        """Growth has ended when a whole window of the length that told of it shows little more."""
        rise = self.rise
        if rise is None or blocks.window_seconds != rise.window_seconds:
            return
        floors = blocks.window()
        if floors is not None and floors[-1] - floors[0] < ENDED_SHARE * rise.grew:
            self.rise = None

    @property
    def longest_seconds(self) -> float:
        """The longest window."""
        return self.floors.blocks[-1].window_seconds

    def growth(self, window_seconds: float) -> float | None:
        """What the floor has risen by over the latest window of this length, or of the next longer one."""
        for blocks in self.floors.blocks:
            if blocks.window_seconds >= window_seconds:
                floors = blocks.window()
                return None if floors is None else (floors[-1] + floors[-2] - floors[0] - floors[1]) / 2 * 7 / 6
        return None

    def floor(self) -> float | None:
        """The lowest of the latest complete blocks of the shortest length."""
        known = [low for low in self.floors.blocks[0].lows[-2:] if low == low]
        return min(known) if known else None
