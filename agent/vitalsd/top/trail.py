"""
The last minutes of one worker: what share of time its loops were busy, and how late they were, in steps of 5 s.

Each step is made of what the counters have gained in it, so it is sharper than the figures of the last minute: a
peak is over when it is over. Known from when this command began to look. Of several loops the worst counts.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

from vitalsd.times import unix
from vitalsd.top.told import Loop, Worker

__all__ = ["KEPT", "STEP_SECONDS", "Trail", "drawn", "late_level"]

STEP_SECONDS = 5.0
KEPT = 60
"""Steps: five minutes."""
MOST_LATE = 0.99
"""The share of callbacks that waited no longer than what is shown."""
LEVELS = "▁▂▃▄▅▆▇█"
NOTHING = " "
LEAST_SECONDS, DECADES = 0.001, 3.5
"""The scale of delays is logarithmic, from 1 ms to 3 s."""


class Trail:
    """What is remembered of one worker."""

    def __init__(self) -> None:
        self.cpu_share: float | None = None
        """Of one processor, between its latest two samples."""
        self._steps: deque[tuple[int, float | None, float | None]] = deque(maxlen=KEPT)
        self._who: object = None
        self._before: dict[str, Loop] = {}
        self._cpu: tuple[float, float] | None = None

    def add(self, worker: Worker, now: float) -> None:
        """What it is like at this moment."""
        if worker.key != self._who:
            self._who, self._before, self._cpu, self.cpu_share = worker.key, {}, None, None
        late = [_late(self._before.get(loop.name), loop) for loop in worker.loops]
        busy = [_busy(self._before.get(loop.name), loop) for loop in worker.loops]
        self._before = {loop.name: loop for loop in worker.loops}
        self._note_cpu(worker)
        self._note(int(now // STEP_SECONDS), _most(*late), _most(*busy))

    def points(self, width: int, per_point: int, now: float) -> list[tuple[float | None, float | None]]:
        """Delay and share of work, the latest last; each the worst of so many steps."""
        last = int(now // STEP_SECONDS) // per_point
        told: dict[int, tuple[float | None, float | None]] = {}
        for number, late, busy in self._steps:
            before = told.get(number // per_point, (None, None))
            told[number // per_point] = _most(before[0], late), _most(before[1], busy)
        return [told.get(point, (None, None)) for point in range(last - width + 1, last + 1)]

    def _note(self, number: int, late: float | None, busy: float | None) -> None:
        if self._steps and self._steps[-1][0] == number:
            _, before_late, before_busy = self._steps.pop()
            late, busy = _most(before_late, late), _most(before_busy, busy)
        self._steps.append((number, late, busy))

    def _note_cpu(self, worker: Worker) -> None:
        at = unix(worker.sampled_at)
        used = worker.process.cpu_seconds if worker.process is not None else None
        if at is None or used is None:
            self._cpu = self.cpu_share = None
            return
        if self._cpu is None:
            self._cpu = at, used
        elif at > self._cpu[0]:
            self.cpu_share = max(0.0, (used - self._cpu[1]) / (at - self._cpu[0]))
            self._cpu = at, used


def drawn(levels: list[float | None]) -> str:
    """One character for each, from 0 to 1; a blank for what is not known."""
    top = len(LEVELS) - 1
    return "".join(
        NOTHING if level is None else LEVELS[round(min(max(level, 0.0), 1.0) * top)] for level in levels
    )


def late_level(seconds: float | None) -> float | None:
    """How high a delay is drawn."""
    if seconds is None:
        return None
    return math.log10(max(seconds, LEAST_SECONDS) / LEAST_SECONDS) / DECADES


def _most(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _busy(before: Loop | None, now: Loop) -> float | None:
    """Of the time since the last look; a stall that lasts is work that is not counted yet."""
    if before is None:
        return None
    busy, idle = now.busy_seconds - before.busy_seconds, now.idle_seconds - before.idle_seconds
    if busy < 0 or idle < 0:
        return None
    return busy / (busy + idle) if busy + idle > 0 else 1.0 if now.current_stall is not None else None


def _late(before: Loop | None, now: Loop) -> float | None:
    """What 99 of 100 callbacks since the last look have waited at most, or how late the loop is right now."""
    late = now.current_stall.seconds if now.current_stall is not None else now.late_seconds or None
    if before is None or before.delay.bounds != now.delay.bounds:
        return late
    counts = [after - earlier for earlier, after in zip(before.delay.buckets, now.delay.buckets, strict=False)]
    if not counts or counts[-1] <= 0 or any(b < a for a, b in pairwise(counts)):
        return late
    bounds = (*now.delay.bounds, now.delay.bounds[-1])
    return _most(
        late, next(bound for bound, count in zip(bounds, counts, strict=False) if count >= MOST_LATE * counts[-1])
    )
