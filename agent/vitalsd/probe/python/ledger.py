"""
The books of one event loop: busy and idle time, the delay histogram, stalls; and their way into the segment.

Delay is what a callback scheduled at a random moment waits. Within a busy stretch of length b such a moment
waits anything from b down to 0, all equally likely; while the loop waits for events it waits nothing. So a
stretch adds to each bucket the time it spent that far from its end, and no sampling error is left. A heartbeat,
which sees only its own lateness L, adds the samples L, L-p, L-2p, ... instead, each standing for one period p.

Both ways only stretches beyond the first bound need work: the first bucket is all the time that no other has.
"""

from __future__ import annotations

from math import ceil
from time import thread_time

from . import layout

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from typing import Any

    from .gcspans import GcSpans
    from .segment import Segment
    from .stalls import StallBook

BOUNDS = layout.DELAY_BOUNDS_SECONDS
NEXT_BOUNDS = (*BOUNDS[1:], float("inf"))
WIDTHS = tuple(after - bound for bound, after in zip(BOUNDS, NEXT_BOUNDS))
UNKNOWN = float("nan")


class Ledger:
    """One slot of the segment, for all the loops that it ever gets, one after the other."""

    def __init__(
        self,
        slot: int,
        segment: Segment,
        stalls: StallBook,
        gcspans: GcSpans,
        iteration_cost: float,
    ) -> None:
        self.slot = slot
        self.thread_name = ""
        self.thread_id = 0
        self._segment = segment
        self._record = layout.LOOP[slot]
        self._stalls = stalls
        self._gcspans = gcspans
        self._iteration_cost = iteration_cost
        self._busy = 0.0
        self._idle = 0.0
        self._laps = 0
        self._square = 0.0
        self._over = [0.0] * len(BOUNDS)
        self._delay_max = 0.0
        self._stall_count = 0
        self._stall_seconds = 0.0
        self._flushed_at = self._cpu_at_flush = self._gc_at_flush = self._busy_at_flush = 0.0
        self.ready = self.timers = UNKNOWN
        """Written by the watchdog, which looks now and then."""
        self.own_seconds = 0.0
        """What measuring has cost this loop."""

    @property
    def busy_seconds(self) -> float:
        """Busy time booked so far."""
        return self._busy

    def book(self, busy: float, square: float, laps: int) -> None:
        """Book iterations that were each too short to leave the first bucket."""
        self._busy += busy
        self._square += square
        self._laps += laps
        self.own_seconds += laps * self._iteration_cost

    def book_idle(self, seconds: float) -> None:
        """Book time spent waiting for events."""
        self._idle += seconds

    def book_stretch(self, seconds: float) -> None:
        """Book the delays of one busy stretch beyond the first bound, whose length is known exactly."""
        over = self._over
        index = 0
        while seconds > NEXT_BOUNDS[index]:
            over[index] += WIDTHS[index]
            index += 1
        over[index] += seconds - BOUNDS[index]
        if seconds > self._delay_max:
            self._delay_max = seconds

    def book_lateness(self, lateness: float, period: float) -> None:
        """
        Book what a heartbeat that came `lateness` too late, and those it missed since, have waited.

        That is one sample for each period, none of them looked at: after a freeze of a day there are millions.
        """
        if lateness <= 0:
            return
        if lateness > self._delay_max:
            self._delay_max = lateness
        samples = ceil(lateness / period)
        self._square += period * samples * (lateness - period * (samples - 1) / 2)
        for index, bound in enumerate(BOUNDS):
            if lateness <= bound:
                return
            beyond = ceil((lateness - bound) / period)
            further = ceil(max(0.0, lateness - NEXT_BOUNDS[index]) / period)
            self._over[index] += period * (beyond - further)

    def book_stall(self, since: float, seconds: float, cpu: float | None = None) -> None:
        """
        Count a stall that has been booked, with what is known of its reasons, if `seconds` is long enough for one.

        Who does not tell its CPU time has it taken from the last flush on; what the loop had done between that and
        the stall is taken off.
        """
        if seconds < self._stalls.threshold_seconds:
            return
        self._stall_count += 1
        self._stall_seconds += seconds
        if cpu is None:
            cpu = thread_time() - self._cpu_at_flush - max(0.0, self._busy - self._busy_at_flush - seconds)
        collecting = min(seconds, max(0.0, self._gcspans.seconds - self._gc_at_flush))
        self._stalls.ended(self.slot, since, seconds, min(seconds, max(0.0, cpu)), collecting, self.ready)

    def flush(self, now: float, flavour: int, running: bool) -> float:
        """Bring the segment up to date; the answer is when to do so again."""
        at_rest = self._busy - self._busy_at_flush <= (now - self._flushed_at) * layout.REST_SHARE
        self._flushed_at = now
        self._cpu_at_flush = thread_time()
        self._gc_at_flush = self._gcspans.seconds
        self._busy_at_flush = self._busy
        values = (
            1.0,
            flavour,
            self.thread_id,
            running,
            now,
            self._busy,
            self._idle,
            self._laps if flavour == layout.SELECTOR else UNKNOWN,
            self._square,
            self._delay_max,
            self._stall_count,
            self._stall_seconds,
            self.ready,
            self.timers,
            *self._over,
        )
        self._segment.put(self._record, values, self.thread_name.encode("utf-8", "replace"))
        self.own_seconds += thread_time() - self._cpu_at_flush
        return now + (layout.REST_FLUSH_SECONDS if at_rest else layout.FLUSH_SECONDS)

    def mark(self, since: float, due: float = 0.0) -> None:
        """Set both words that change outside the record."""
        words: Any = self._segment.words
        words[layout.SINCE + self.slot] = since
        words[layout.DUE + self.slot] = due
        if self._segment.off:  # since before, or meanwhile
            words[layout.SINCE + self.slot] = words[layout.DUE + self.slot] = 0.0
