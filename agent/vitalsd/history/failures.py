"""
The unhandled errors of one slot: those of the last minutes, and how many there were in each of the slots of time
that make up its past.

The past is the slot's, so a worker that is replaced is measured by those before it. What a process did before it
was first seen counts as spread evenly over its life. Pure. Costs about 2 us per reading, 2 KB per worker, and 4 KB
more for each channel that ever had an error.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import msgspec

from vitalsd.history.beginnings import began_at
from vitalsd.history.slots import Slots
from vitalsd.model import UnhandledError, WorkerKey, WorkerSample

__all__ = ["Failures", "Recent"]

MOST_SLOTS = 288
"""Of the past: five minutes each, in a day."""
BEYOND_SHARE = 1 / 24
"""How much further back than a whole period is kept, to know what was at this time in the one before."""
MOMENTS = 60
"""Into which the window is divided: errors of one moment are counted together."""
MOST_KINDS = 32
"""The latest errors that are known in detail, of each channel."""
LONGEST_WATCH_SECONDS = 60.0
"""Between two samples; what is longer is a gap in which nobody watched."""


class Recent(msgspec.Struct, frozen=True):
    """Errors of one channel in the window up to now."""

    count: int
    moments: int
    """In how many of the sixtieths of the window they came."""
    first_at: float
    last_at: float
    kinds: tuple[UnhandledError, ...]
    """Those that were looked at, oldest first."""


class _Channel:
    """One channel, from its first error on."""

    def __init__(self, slots: int) -> None:
        self.recent: deque[tuple[float, int]] = deque()
        self.kinds: deque[tuple[float, UnhandledError]] = deque(maxlen=MOST_KINDS)
        self.past = Slots(slots)


class Failures:
    """The unhandled errors of whoever sits, and sat, in one slot."""

    def __init__(self, window_seconds: float, past_seconds: float, settle_seconds: float) -> None:
        self._window = window_seconds
        self._settle = settle_seconds
        self.slot_seconds = max(window_seconds, past_seconds / MOST_SLOTS)
        self.slots_in_past = math.ceil(past_seconds / self.slot_seconds)
        self._slots = math.ceil(self.slots_in_past * (1 + BEYOND_SHARE)) + 2
        self._watched = Slots(self._slots)
        """Seconds in which there was somebody to count the errors of."""
        self._channels: dict[int, _Channel] = {}
        self._key: WorkerKey | None = None
        self._counts: Sequence[int | None] = ()
        self._at = 0.0
        self._numbers: dict[int, int] = {}

    def take(self, sample: WorkerSample) -> None:
        """Take in a sample; the first of a process only tells what to count from."""
        probe, started_at = sample.probe, began_at(sample)
        if probe is None or started_at is None:
            return
        at, before, counts = sample.at, self._counts, probe.unhandled_errors
        self._forget(at)
        began = started_at + self._settle
        known, first = sample.key == self._key, self._key is None
        seconds = min(at - self._at, at - began, LONGEST_WATCH_SECONDS) if known else 0.0
        self._key, self._at, self._counts = sample.key, at, counts
        if not known:
            self._numbers.clear()
            if first:
                self._assume(at, at - began, counts)
            return
        if at < began:
            return
        if seconds > 0:
            self._watched.add(int(at // self.slot_seconds), seconds)
        if counts != before:
            for index, (count, earlier) in enumerate(zip(counts, before, strict=False)):
                if count is not None and earlier is not None and count > earlier:
                    self._add(index, at, count - earlier, _looked_at(probe.latest_errors, index))

    def recent(self, channel: int) -> Recent | None:
        """What there was in the window; None where there was nothing."""
        found = self._channels.get(channel)
        if found is None or not found.recent:
            return None
        return Recent(
            count=sum(count for _, count in found.recent),
            moments=len(found.recent),
            first_at=found.recent[0][0],
            last_at=found.recent[-1][0],
            kinds=tuple(kind for _, kind in found.kinds),
        )

    def most(self) -> int:
        """The most that any channel had in the window, for next to nothing."""
        return max((sum(count for _, count in one.recent) for one in self._channels.values()), default=0)

    def past(self, channel: int) -> list[tuple[float, float]]:
        """Errors and watched seconds of each slot that is over, and was before the window began; oldest first."""
        last = int((self._at - self._window) // self.slot_seconds) - 1
        found = self._channels.get(channel)
        errors = found.past.ending(last) if found is not None else [0.0] * self._slots
        return list(zip(errors, self._watched.ending(last), strict=True))

    def _add(self, index: int, at: float, count: int, looked_at: UnhandledError | None) -> None:
        channel = self._channels.get(index)
        if channel is None:
            channel = self._channels[index] = _Channel(self._slots)
        channel.past.add(int(at // self.slot_seconds), count)
        recent = channel.recent
        if recent and at - recent[-1][0] < self._window / MOMENTS:
            recent[-1] = recent[-1][0], recent[-1][1] + count
        else:
            recent.append((at, count))
        if looked_at is not None and looked_at.number != self._numbers.get(index):
            self._numbers[index] = looked_at.number
            channel.kinds.append((at, looked_at))

    def _forget(self, now: float) -> None:
        for channel in self._channels.values():
            while channel.recent and not now - self._window < channel.recent[0][0] <= now:
                channel.recent.popleft()
            while channel.kinds and not now - self._window < channel.kinds[0][0] <= now:
                channel.kinds.popleft()

    def _assume(self, at: float, seconds: float, counts: Sequence[int | None]) -> None:
        """Nobody knows when a process had the errors of its life so far: evenly, as far as the past goes."""
        if seconds <= 0:
            return
        reach = min(seconds, self.slots_in_past * self.slot_seconds)
        last = int(at // self.slot_seconds)
        parts = max(1, math.ceil(reach / self.slot_seconds))
        for slot in range(last - parts + 1, last + 1):
            self._watched.add(slot, reach / parts)
        for index, count in enumerate(counts):
            if count:
                channel = self._channels[index] = _Channel(self._slots)
                for slot in range(last - parts + 1, last + 1):
                    channel.past.add(slot, count * (reach / seconds) / parts)


def _looked_at(latest: Sequence[UnhandledError | None], index: int) -> UnhandledError | None:
    return latest[index] if index < len(latest) else None
