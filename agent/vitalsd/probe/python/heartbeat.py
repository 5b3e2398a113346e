"""
Measures a loop without a selector (uvloop, a hub of gevent) by a heartbeat on an absolute grid.

A beat that comes late shows what every callback due in between has waited; beats it missed are filled in. Busy
time is the CPU time of the loop's thread or, where a beat was late, the stretch that made it so: its lateness and
half a period, since the stretch began at an unknown moment between two beats.

The grid is 20 ms while the loop is at work and for some 15 s after, 320 ms while it rests: a beat costs 100 us
with the wake-up it causes, so a resting loop would otherwise pay for little else. A stretch that begins at rest
is still seen, its length then known to within 160 ms instead of 10 ms unless it was CPU time; the histogram stays
unbiased, because each sample stands for a whole period. Of two beats at rest that find nothing one only notes that
it came, and the next books both.
"""

from __future__ import annotations

from time import monotonic, thread_time

from . import layout

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .ledger import Ledger

INTERVAL = layout.DELAY_INTERVAL_SECONDS
REST_INTERVAL = 16 * INTERVAL
AWAKE_SECONDS = 15.0
BUSY_SHARE = 0.01
FIRST_SHARE = 2.7 * BUSY_SHARE
"""The share, over AWAKE_SECONDS and fading, that a loop is given to begin with: it rests after 15 s of nothing."""
FIRST_BOUND = layout.DELAY_BOUNDS_SECONDS[0]
NOTHING_SECONDS = 0.001
"""Of CPU time, between two beats at rest."""
ON_CPU_SHARE = 0.8
"""A stretch that spent this much of its lateness on the CPU is as long as the CPU time says."""
ON_TIME = layout.ON_TIME_SECONDS


class HeartbeatMeter:
    """One running loop with a heartbeat in it. Made and ended in the loop's own thread."""

    flavour = layout.HEARTBEAT

    def __init__(self, loop: Any, ledger: Ledger, words: Any, failed: Callable[[], None]) -> None:
        self.loop = loop
        self.ledger = ledger
        self._failed = failed
        now = monotonic()
        self._cpu = thread_time()
        self._beat_cost = 0.0001
        self._period = INTERVAL
        self._share = FIRST_SHARE
        self._due = now + INTERVAL
        self._unbooked = 0.0
        self._noted: float | None = None
        """How late the beat was that is not booked yet."""
        self._flush_at = ledger.flush(now, layout.HEARTBEAT, True)
        ledger.mark(-now, self._due)
        self._stopped = False
        self._handle: Any = loop.call_later(INTERVAL, self._beat)

    def _beat(self) -> None:
        if self._stopped:
            return
        try:
            now = monotonic()
            late = now - self._due
            if self._notes(now, late):
                return
            reached = self._book(late)
            period = INTERVAL if self._share > BUSY_SHARE else REST_INTERVAL
            if period < self._period and now > reached:
                self.ledger.book_idle(now - reached)  # the rest of a long period, before short ones begin
                reached = now
            self._period = period
            self._due = reached + period
            if late > layout.LONG_BUSY_SECONDS or now > self._flush_at:
                self._flush_at = self.ledger.flush(now, layout.HEARTBEAT, True)
            self.ledger.mark(-now, self._due)
            self._handle = self.loop.call_later(max(0.0, self._due - now), self._beat)
        except Exception:
            self._failed()

    def _notes(self, now: float, late: float) -> bool:
        """Whether this beat needs no more: at rest, in time, nothing done since the last, which noted nothing."""
        if self._period != REST_INTERVAL or self._noted is not None or late > FIRST_BOUND:
            return False
        if now > self._flush_at or thread_time() - self._cpu > NOTHING_SECONDS:
            return False
        self._noted = late
        self._due += REST_INTERVAL
        self.ledger.mark(-now, self._due)
        self._handle = self.loop.call_later(max(0.0, self._due - now), self._beat)
        return True

    def _book(self, late: float) -> float:
        """
        Book the time up to the last point of the grid, which is the answer.

        Time is booked in whole periods, one for each sample, so that it and the histogram stay together; what a
        stretch has beyond that is booked with the next beat.
        """
        samples = int(late / self._period) + 1 if late > 0 else 1
        reached = self._due + (samples - 1) * self._period
        beats = 1
        if self._noted is not None:
            self.ledger.book_lateness(self._noted, self._period)
            self._noted = None
            samples, beats = samples + 1, 2
        elapsed = samples * self._period
        cpu = thread_time()
        spent = cpu - self._cpu
        self._cpu = cpu
        if self._share < 4 * BUSY_SHARE and self._period == INTERVAL:
            # What a beat itself costs is what the cheaper third of them take while little else is done.
            cost = min(self._beat_cost, spent * 2)
            self._beat_cost = max(0.0, cost + (1e-6 if spent > cost else -2e-6))
        own = beats * self._beat_cost
        self.ledger.own_seconds += own
        busy = max(0.0, spent - own)
        stretch = 0.0
        if late > ON_TIME:
            on_cpu = busy > late * ON_CPU_SHARE
            stretch = max(late, busy) if on_cpu else late + self._period / 2
            busy = max(busy, stretch)
        self._share += (busy / elapsed - self._share) * min(1.0, elapsed / AWAKE_SECONDS)
        self._unbooked += busy
        booked = min(self._unbooked, elapsed)
        self._unbooked -= booked
        self.ledger.book(booked, 0.0, 0)
        self.ledger.book_idle(elapsed - booked)
        self.ledger.book_lateness(late, self._period)
        if late > ON_TIME:
            self.ledger.book_stall(self._due, stretch, spent)
        return reached

    def overdue(self, now: float) -> tuple[float, float]:
        """Since when the heartbeat is due, and for how long: less than nothing while it is not."""
        return self._due, now - self._due

    def waiting(self) -> tuple[float, float]:
        """A loop without a selector does not tell its queues."""
        return float("nan"), float("nan")

    def end(self) -> None:
        """The loop has stopped: take the heartbeat out and book the rest."""
        self.unhook()
        self._handle.cancel()
        now = monotonic()
        reached = self._book(now - self._due) if now > self._due else self._due - self._period
        # What is left of a period: all there ever is of a loop that lives for less than one.
        left = max(0.0, now - reached) + (0.0 if self._noted is None else self._period)
        busy = min(left, max(0.0, thread_time() - self._cpu) + self._unbooked)
        self.ledger.book(busy, 0.0, 0)
        self.ledger.book_idle(left - busy)
        self.ledger.flush(now, layout.HEARTBEAT, False)
        self.ledger.mark(0.0)

    def unhook(self) -> None:
        """Stop beating; from any thread, so the timer itself is left to find out."""
        self._stopped = True
