"""
Looks at the loops from a thread of the probe's own, and takes the stack of one that does not come back.

While loops are at work it looks once in the time after which a stretch is worth a stack, 80 ms by default, and
then again exactly when the stretch it found has lasted that long; while they rest, every 250 ms, and at a loop
with a heartbeat right after one that is in time has come, when the processor is awake. When they have rested for a
while it sleeps, and an agent that sees one not come back wakes it. It needs the GIL: while native code holds that,
the agent still sees the stall in the segment's `since`.
"""

from __future__ import annotations

import sys

from . import layout
from .stalls import read_stack

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from .loops import Loops
    from .stalls import StallBook

IDLE_PERIOD = 0.25
ASLEEP_AFTER_SECONDS = 10.0
"""Of rest."""
FIRST_SAMPLE = 0.8
"""In stall thresholds. Later samples follow at 1.5 times the age of the one before, at most MAX_SAMPLES."""
SAMPLE_GROWTH = 1.5
IN_TIME_SECONDS = 0.002
"""After which a heartbeat that is due has come, unless something holds it up."""
MAX_SAMPLES = 8


class Watchdog:
    """One round of looking at a time; the thread belongs to `active`."""

    def __init__(self, loops: Loops, stalls: StallBook) -> None:
        self._loops = loops
        self._stalls = stalls
        self._first = stalls.threshold_seconds * FIRST_SAMPLE
        self._seen: dict[int, tuple[float, int, float]] = {}
        self._busy_period = min(self._first, IDLE_PERIOD)
        self.at_rest = False
        """Whether the loops are."""
        self._rested_since: float | None = None
        self.stalling = False
        """Whether a loop did not come back at the last look."""
        self.all_wait = False
        """Whether no loop was at anything at the last look."""

    def look(self, now: float) -> float:
        """Sample what stalls; the answer is how long nothing needs another look."""
        period = rest = IDLE_PERIOD if self.at_rest else self._busy_period
        self.stalling = False
        self.all_wait = True
        running = list(self._loops.running.items())
        for ident, meter in running:
            since, age = meter.overdue(now)
            if age <= 0:
                if age < 0 and len(running) == 1:
                    rest = max(period, IN_TIME_SECONDS - age)
                continue
            self.all_wait = False
            began, samples, next_age = self._seen.get(ident, (0.0, 0, self._first))
            if began != since:
                samples, next_age = 0, self._first
            self.stalling = self.stalling or age >= self._first
            if age >= next_age and samples < MAX_SAMPLES:
                stack = read_stack(sys._current_frames().get(ident))
                if meter.overdue(now)[0] != since:
                    continue  # it ended meanwhile: that stack is innocent
                meter.ledger.ready, meter.ledger.timers = meter.waiting()
                self._stalls.sample(meter.ledger.slot, since, stack)
                samples, next_age = samples + 1, age * SAMPLE_GROWTH
            self._seen[ident] = (since, samples, next_age)
            if samples < MAX_SAMPLES:
                rest = min(rest, max(0.002, next_age - age))
        return rest

    def count_waiting(self) -> None:
        """Note how many callbacks and timers each loop has; the next flush publishes it."""
        for meter in list(self._loops.running.values()):
            meter.ledger.ready, meter.ledger.timers = meter.waiting()

    def adapt(self, now: float, busy_share: float) -> None:
        """Look more often while loops are at work."""
        self.at_rest = busy_share <= layout.REST_SHARE
        self._rested_since = (self._rested_since or now) if self.at_rest else None

    def may_sleep(self, now: float) -> bool:
        """Whether loops have rested for so long that looks are left to an agent."""
        rested = self._rested_since is not None and now >= self._rested_since + ASLEEP_AFTER_SECONDS
        return rested and self.all_wait
