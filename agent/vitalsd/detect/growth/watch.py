"""
One worker's growth: its series, joined over the lifetimes of its slot, and what they come to together.

Fed with points in the order of time, by a running agent, by its own history after a restart, or from a file: the
same points come to the same verdicts. Pure.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from vitalsd.detect.growth.floors import WINDOW_BLOCKS
from vitalsd.detect.growth.grown import Grown, Proof
from vitalsd.detect.growth.plan import (
    COUNT_LEAST,
    COUNTS,
    EVIDENCE,
    EVIDENCE_BOUNDS,
    IN_USE,
    MEMORY,
    MEMORY_BOUNDS,
    Plan,
    count_bounds,
)
from vitalsd.detect.growth.series import Series
from vitalsd.detect.growth.shape import URGENT_BLOCKS, Rise
from vitalsd.detect.growth.trend import Exhaustion, Peaks
from vitalsd.history.points import Point
from vitalsd.model import MemoryTrend

__all__ = ["SET_BACK_SECONDS", "Count", "GrowthWatch"]

SAME_START_SECONDS = 1.5
"""The start of a process is known to a clock tick, and a clock may be set meanwhile."""
FLAT_SHARE = 0.2
"""A live heap that grows by less of what the process grows is not what grows."""
LEAST_BLOCKS = 20_000.0
NO_LIMIT = 2.0**60
"""From here on, and at 0, it is how somebody writes that there is none."""
URGENT_DAYS, URGENT_WINDOW_DAYS = 1 / 12, 1 / 3
"""With two hours left there is no time for more proof than that floors of an hour rise as well."""
FORESEEN_DAYS = 30
SET_BACK_SECONDS = 60.0
"""A clock that is set back by more, and by more than a block, has told times that never were."""
Count = Literal["fds", "threads", "tasks"]


class GrowthWatch:
    """One slot of one target."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._settle_seconds = plan.settle_seconds
        self._set_back_seconds = max(SET_BACK_SECONDS, plan.base_seconds)
        self._begin()

    def _begin(self) -> None:
        plan = self._plan
        self.memory = Series(plan, MEMORY, MEMORY_BOUNDS)
        self._hours = self.memory.floors.of(URGENT_WINDOW_DAYS * plan.day_seconds)
        self.heap = Series(plan, EVIDENCE, EVIDENCE_BOUNDS)
        self.used = Series(plan, IN_USE, EVIDENCE_BOUNDS)
        """What grows here may be garbage, so it proves nothing; what does not is not in use."""
        self.blocks = Series(plan, EVIDENCE, msgspec.structs.replace(EVIDENCE_BOUNDS, least=LEAST_BLOCKS))
        self.counts: dict[Count, Series] = {}
        self.peaks = Peaks(plan)
        self.shared = Peaks(plan)
        """What is left to all that share the limit, below zero."""
        self._shared_at = -math.inf
        self.start: float | None = None
        self._counts_from = 0.0
        """Unix time from when on readings of the present lifetime do."""
        self.limit: float | None = None
        self.lifetimes = 0
        self.at = 0.0
        """Of the latest point."""
        self.grown: Grown | None = None

    def add(self, point: Point) -> bool:
        """
        Take in a point; whether there was something to judge anew.

        One from before the last is left out, unless it shows that the clock has been set back: what was known
        has another time then, or none that ever was, so all of it is forgotten.
        """
        at = point.t
        if at < self.at:
            if self.at - at < self._set_back_seconds:
                return False
            self._begin()
        self.at = at
        if self.start is None or abs(point.start - self.start) > SAME_START_SECONDS:
            self._reborn(point.start, at)
        if at < self._counts_from:
            return False
        if point.limit is not None:
            self.limit = point.limit if 0 < point.limit < NO_LIMIT else None
        judged = False
        if point.rss_anon is not None:
            memory = point.rss_anon + (point.swap or 0.0)
            self.peaks.add(at, memory, self.limit)
            judged = self.memory.add(at, memory)
        if point.left is not None:
            self._shared_at = at
            self.shared.add(at, -point.left, 0.0)
        if point.heap_live is not None:
            judged |= self.heap.add(at, point.heap_live)
        if point.heap_used is not None:
            self.used.add(at, point.heap_used)
        if point.blocks is not None:
            judged |= self.blocks.add(at, point.blocks)
        if point.fds is not None:
            judged |= (self.counts.get("fds") or self._new_count("fds")).add(at, point.fds)
        if point.threads is not None:
            judged |= (self.counts.get("threads") or self._new_count("threads")).add(at, point.threads)
        if point.tasks is not None:
            judged |= (self.counts.get("tasks") or self._new_count("tasks")).add(at, point.tasks)
        if judged:
            self.grown = self._verdict()
        return judged

    @property
    def settling_seconds(self) -> float | None:
        """How long its readings do not count yet; None where they do."""
        known = self.start is not None and self.at < self._counts_from
        return self._counts_from - self.at if known else None

    @property
    def wants_peers(self) -> bool:
        """Whether what is found of it depends on how others do."""
        return self.grown is not None or self.exhaustion is not None

    @property
    def trend(self) -> MemoryTrend:
        """Where its memory is going, proven or not."""
        pace, limit = self.peaks.slope(), self.limit
        lefts = [_seconds_to(limit, self.peaks)] if limit is not None else []
        lefts += [_seconds_to(0.0, self.shared)] if self.left is not None else []
        left = min((seconds for seconds in lefts if seconds is not None), default=None)
        foreseen = left is not None and left <= FORESEEN_DAYS * self._plan.day_seconds
        return MemoryTrend(pace, self.at + left if left is not None and foreseen else None)

    @property
    def left(self) -> float | None:
        """To all that share the limit; None where nobody is known to, or not any more."""
        latest = self.shared.latest()
        if latest is None or self.limit is None or self.at - self._shared_at > 2 * self._plan.base_seconds:
            return None
        return max(0.0, -latest)

    @property
    def exhaustion(self) -> Exhaustion | None:
        """When memory is used up, by itself or by all that share the limit: whichever is sooner."""
        found = [self.peaks.exhaustion, self.shared.exhaustion if self.left is not None else None]
        return min((each for each in found if each is not None), key=_soonest, default=None)

    def _reborn(self, start: float, at: float) -> None:
        self.start = start
        self.lifetimes += 1
        self._counts_from = (
            min(start, at) + self._settle_seconds
        )  # none begins later, but by a clock that is ahead
        for series in (self.memory, self.heap, self.used, self.blocks, *self.counts.values()):
            series.reborn(self._counts_from)
        self.peaks.reborn()
        self.shared.reborn()
        self.grown = None

    def _new_count(self, name: Count) -> Series:
        series = self.counts[name] = Series(self._plan, COUNTS, count_bounds(COUNT_LEAST[name]))
        series.reborn(self._counts_from)
        return series

    def _verdict(self) -> Grown | None:
        """What has leaked from inside is a leak; what grows outside only while the inside does not, is not."""
        rise = self.heap.risen(self.at)
        if rise is not None:
            return self._grown("leak", "heap", self.heap, rise)
        rise = self.blocks.risen(self.at)
        if rise is not None:
            return self._grown("leak", "blocks", self.blocks, rise)
        self._rises_urgently()
        rise = self.memory.risen(self.at)
        if rise is None:
            return None
        share = self._heap_share(rise)
        if share is None or share >= FLAT_SHARE:
            return self._grown("leak", "memory", self.memory, rise)
        if rise.window_seconds < self.used.longest_seconds:
            return None  # what is known of the inside may be older than that, and this can wait
        if self._used_is_out(rise):
            proven = self.grown is not None and (self.grown.kind, self.grown.by) == ("leak", "memory")
            return self._grown("leak", "memory", self.memory, rise) if proven else None
        return self._grown("fragmentation", "memory", self.memory, rise)

    def _used_is_out(self, rise: Rise) -> bool:
        """
        Whether what is in use is known of this process, and not over this window.

        It is not while allocations are tracked, and a live heap that nobody collects is flat meanwhile.
        """
        recent = self.used.latest is not None and self.at - self.used.latest_at <= self.used.longest_seconds
        return recent and self.used.growth(self.used.window_of(rise.window_seconds), self.at) is None

    def _rises_urgently(self) -> None:
        """Its floors, and what garbage adds to them, meet the limit before there would be eight of them."""
        if self.limit is None or self.memory.rise is not None:
            return
        lows = self._hours.lows
        if len(lows) < WINDOW_BLOCKS or not lows[-3] < lows[-2] < lows[-1]:  # most of the time this is all
            return
        rise = self.memory.urgent(URGENT_WINDOW_DAYS * self._plan.day_seconds)
        reach = self._reach(rise) if rise is not None else None
        if rise is None or reach is None:
            return
        if self.limit - reach <= rise.pace_at_end * URGENT_DAYS * self._plan.day_seconds:
            self.memory.found(rise)

    def _reach(self, rise: Rise) -> float | None:
        """What garbage takes its memory up to by now, if there is as much of it as there was."""
        return self.peaks.by_now(rise.pace_at_end, URGENT_BLOCKS * rise.window_seconds / WINDOW_BLOCKS)

    def _grown(self, kind: Literal["leak", "fragmentation"], by: Proof, series: Series, rise: Rise) -> Grown:
        began_at, per_second = series.onset(rise.window_seconds)
        if by == "blocks":  # they have no size of their own
            per_second = self.memory.onset(rise.window_seconds)[1]
        peak = reach = self.peaks.latest()
        if rise.view == "limit":  # its floors are too few for an onset
            per_second, reach = rise.pace_at_end, self._reach(rise)
        return Grown(
            kind=kind,
            by=by,
            rise=rise,
            found_at=series.found_at,
            began_at=began_at,
            per_second=per_second,
            level=self.memory.floor() or 0.0,
            peak=peak,
            reach=reach,
            limit=self.limit,
            heap_share=self._heap_share(rise),
            left=self.left,
            left_per_second=self.shared.slope() or 0.0,
        )

    def _heap_share(self, rise: Rise) -> float | None:
        """Of what the process has grown by lately: bytes of bytes, or blocks by how much larger both are now."""
        seconds = self.used.window_of(rise.window_seconds)  # all of them have this length
        grew, level = self.memory.growth(seconds, self.at), self.memory.floor()
        if grew is None or not level or grew <= 0:
            return None
        inside = (self.heap.growth(seconds, self.at), self.used.growth(seconds, self.at))
        shares = [more / grew for more in inside if more is not None]
        blocks, count = self.blocks.growth(seconds, self.at), self.blocks.floor()
        if blocks is not None and count:
            shares.append(blocks / count / (grew / level))
        return max(shares, default=None)


def _seconds_to(limit: float, peaks: Peaks) -> float | None:
    pace, peak = peaks.slope(), peaks.latest()
    return max(0.0, limit - peak) / pace if pace is not None and pace > 0 and peak is not None else None


def _soonest(exhaustion: Exhaustion) -> float:
    return exhaustion.seconds_left
