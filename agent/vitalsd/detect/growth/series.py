"""
One series of one worker: its floors, and what the latest window of each length came to. Pure.
"""

from __future__ import annotations

import msgspec

from vitalsd.detect.growth.floors import Blocks, Floors
from vitalsd.detect.growth.plan import Plan, Windows
from vitalsd.detect.growth.shape import Bounds, NotYet, Rise, judge, urgent
from vitalsd.detect.growth.trend import onset

__all__ = ["Series", "Suspicion"]

ENDED_SHARE = 0.25
"""Of what the window grew by that told of it."""
SUSPECT_SHARE, SUSPECT_STEADY, SUSPECT_WINDOW_DAYS = 0.1, 4.0, 1 / 6
"""What has the shape of a leak and is not proven is told from here on."""
YOUNG_SHARE = 1.0
"""Without a day to compare with most processes grow, and only one that doubles is worth a word."""


class Suspicion(msgspec.Struct, frozen=True):
    """Growth that may be a leak."""

    rise: Rise
    """The latest window that looked like one."""
    why: str
    """What it lacks."""
    since: float
    """Unix time at which the first such window had ended."""


class Series:
    """One series of one slot, over the lifetimes of its workers."""

    __slots__ = (
        "_bounds",
        "_known_onset",
        "_onset",
        "day_seconds",
        "floors",
        "found_at",
        "latest",
        "latest_at",
        "reasons",
        "rise",
        "suspicion",
    )

    def __init__(self, plan: Plan, windows: Windows, bounds: Bounds) -> None:
        self.floors = Floors(plan.base_seconds, windows)
        self._known_onset = self._onset = (0.0, 0.0)
        self.rise: Rise | None = None
        """The latest that was found in the present lifetime, until the growth has ended."""
        self.suspicion: Suspicion | None = None
        """What may be one, until that growth has ended."""
        self.reasons: dict[float, NotYet] = {}
        """Window -> why it was none."""
        self.found_at = 0.0
        """When the rise was found first: unix time at which its window had ended."""
        self.latest: float | None = None
        self.latest_at = 0.0
        self.day_seconds = plan.day_seconds
        self._bounds = bounds

    def reborn(self, counts_from: float) -> None:
        """Another process has the slot, and its readings count from then on."""
        self.floors.reborn(counts_from)
        self.rise = self.suspicion = None
        self.reasons.clear()
        self.latest = None
        self._known_onset = (0.0, 0.0)

    def add(self, at: float, value: float) -> bool:
        """Take in a reading; whether there was something to judge anew."""
        self.latest, self.latest_at = value, at
        completed = self.floors.add(at, value)
        if not completed:
            return False
        for blocks in completed:
            judged = judge(blocks, self.day_seconds, self._bounds)
            if isinstance(judged, Rise):
                self.reasons.pop(blocks.window_seconds, None)
                self.found(judged)
            else:
                self.reasons[blocks.window_seconds] = judged
                self._goes_on(blocks)
                if judged.near is not None:
                    self._suspect(judged.near, judged.why)
        return True

    def urgent(self, window_seconds: float) -> Rise | None:
        """What its latest few floors of this window's length come to, for who has no time for more of them."""
        return urgent(self.floors.of(window_seconds), self.floors.of(window_seconds / 4), self.day_seconds)

    def risen(self, at: float) -> Rise | None:
        """The rise, as long as there are readings that it could be seen to end by."""
        rise = self.rise
        return None if rise is None or at - self.latest_at > rise.window_seconds else rise

    def found(self, rise: Rise) -> None:
        """The same growth seen through another window is the same growth; the longest tells most of it."""
        if self.rise is None:
            self.found_at = rise.ended_at
        if self.rise is None or rise.window_seconds >= self.rise.window_seconds:
            self.rise = rise
        self.suspicion = None

    def _goes_on(self, blocks: Blocks) -> None:
        """Growth has ended when a whole window of the length that told of it shows little more."""
        if self.rise is not None and _has_ended(self.rise, blocks):
            self.rise = None
        if self.suspicion is not None and _has_ended(self.suspicion.rise, blocks):
            self.suspicion = None

    def _suspect(self, rise: Rise, why: str) -> None:
        """The same growth stays the same suspicion, whichever window shows it at the moment."""
        if self.rise is not None:
            return
        least = YOUNG_SHARE if rise.view == "birth" else SUSPECT_SHARE
        long_enough = rise.window_seconds >= SUSPECT_WINDOW_DAYS * self.day_seconds
        if long_enough and rise.share >= least and rise.steadiness >= SUSPECT_STEADY:
            since = rise.ended_at if self.suspicion is None else self.suspicion.since
            self.suspicion = Suspicion(rise, why, since)

    def onset(self, window_seconds: float) -> tuple[float, float]:
        """When the growth of a window began, and how fast it has been since; anew when there is another floor."""
        known = (window_seconds, self.floors.of(window_seconds).ends_at)
        if known != self._known_onset:
            self._known_onset, self._onset = known, onset(self.floors, window_seconds)
        return self._onset

    @property
    def longest_seconds(self) -> float:
        """The longest window."""
        return self.floors.blocks[-1].window_seconds

    def window_of(self, seconds: float) -> float:
        """The shortest window that is so long, or the longest."""
        windows = [blocks.window_seconds for blocks in self.floors.blocks]
        return next((window for window in windows if window >= seconds), windows[-1])

    def growth(self, window_seconds: float, at: float) -> float | None:
        """What the floor has risen by over the window of this length that has just ended at time `at`."""
        blocks = next(each for each in self.floors.blocks if each.window_seconds == window_seconds)
        floors = blocks.window()
        if floors is None or not 0 <= at - blocks.ends_at <= 2 * blocks.length:
            return None
        return (floors[-1] + floors[-2] - floors[0] - floors[1]) / 2 * 7 / 6

    def floor(self) -> float | None:
        """The lowest of the latest complete blocks of the shortest length."""
        known = [low for low in self.floors.blocks[0].lows[-2:] if low == low]
        return min(known) if known else None


def _has_ended(rise: Rise, blocks: Blocks) -> bool:
    if blocks.window_seconds != rise.window_seconds:
        return False
    floors = blocks.window()
    return floors is not None and floors[-1] - floors[0] < ENDED_SHARE * rise.grew
