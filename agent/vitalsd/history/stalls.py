"""
How often and how long each process stalled, by cause: counters that outlive the agent.

Kept by process and not by slot, as every counter of a worker begins with its process. All in memory; each change
is handed on as a row, so that a restarted agent goes on where this one was. Costs a dict entry per process and
cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from vitalsd.model import Cause, WorkerKey

__all__ = ["StallCounts", "StallRow"]

KEPT_SECONDS = 86_400.0
"""How long the counts of a process that is gone are kept."""
MOST_PROCESSES = 2000
"""More than a service that recycles a worker every minute has in a day."""
SETTLE_SECONDS = 30.0
"""How long a stall that its probe has counted may wait for its cause. The longest stall is judged when it ends."""
TOUCH_SECONDS = 3600.0
"""How often the row of a process that goes on without a stall says that it is still there."""


class StallRow(msgspec.Struct, frozen=True):
    """What is known of one process and one cause."""

    target: str
    slot: str
    pid: int
    start_ticks: int
    cause: Cause
    count: int
    seconds: float
    seen_at: float
    """Unix time at which the process was last there."""


class _Life(msgspec.Struct):
    target: str
    slot: str
    seen_at: float
    told_at: float = 0.0
    causes: dict[Cause, tuple[int, float]] = {}
    shown: dict[Cause, tuple[int, float]] = {}
    """What others have been told of them."""
    since: float = 0.0
    """When the present wait for causes began; within it, the least that was ever waiting is what nobody judges."""
    least: tuple[int, float] | None = None


class StallCounts:
    """Counts of stalls and of their seconds, by process and cause. They only ever rise."""

    def __init__(self, put: Callable[[StallRow], None], clock: Callable[[], float]) -> None:
        self._put = put
        self._clock = clock
        self._lives: dict[WorkerKey, _Life] = {}

    def add(self, target: str, slot: str, key: WorkerKey, cause: Cause, seconds: float) -> None:
        """Count one stall that has ended."""
        self._add(target, slot, key, cause, 1, seconds)

    def of(self, key: WorkerKey) -> dict[Cause, tuple[int, float]]:
        """Cause -> count and seconds, of all causes that this process was ever found to stall by."""
        life = self._lives.get(key)
        return dict(life.causes) if life is not None else {}

    def total(self, key: WorkerKey) -> int | None:
        """How many stalls of this process were judged or given up; None of one that nobody knows yet."""
        life = self._lives.get(key)
        return sum(count for count, _ in life.causes.values()) if life is not None else None

    def written(self, key: WorkerKey, waits: Callable[[WorkerKey, Cause], bool]) -> dict[Cause, tuple[int, float]]:
        """The same, as far as it is written: what waits to be would be forgotten by an agent that is killed."""
        life = self._lives.get(key)
        if life is None:
            return {}
        life.shown.update({cause: told for cause, told in life.causes.items() if not waits(key, cause)})
        return dict(life.shown)

    def begin(self, target: str, slot: str, key: WorkerKey, stalls: int, seconds: float) -> None:
        """
        Take what the probe of a process that is not known yet has counted so far.

        Nobody can know those causes, so they are told at once: a counter that begins late and jumps would look
        like a burst of stalls.
        """
        if key not in self._lives:
            self._add(target, slot, key, "unknown", stalls, seconds)

    def settle(self, target: str, slot: str, key: WorkerKey, stalls: int, seconds: float) -> None:
        """
        Compare with what the process's own probe has counted, so that no stall is missing from the sum of causes.

        What was missed (the agent was down, or too busy) becomes `unknown` when no cause has come after 30 s.
        """
        now = self._clock()
        life = self._life(target, slot, key, now)
        missing = stalls - sum(count for count, _ in life.causes.values())
        longer = seconds - sum(told for _, told in life.causes.values())
        if missing <= 0:
            life.least = None
            return
        if life.least is None:
            life.since, life.least = now, (missing, longer)
            return
        life.least = min(life.least[0], missing), min(life.least[1], longer)
        if now - life.since >= SETTLE_SECONDS or now < life.since:
            count, told = life.least
            life.least = None
            self._add(target, slot, key, "unknown", count, max(0.0, told))

    def follow(self, keys: Iterable[WorkerKey]) -> None:
        """Take note of the processes that are there, and forget those that have been gone for a day."""
        now = self._clock()
        for key in keys:
            life = self._lives.get(key)
            if life is not None:
                life.seen_at = now
                if not 0 <= now - life.told_at < TOUCH_SECONDS:
                    life.told_at = now
                    self._tell(key, life)
        for key in [key for key, life in self._lives.items() if now - life.seen_at > KEPT_SECONDS]:
            del self._lives[key]

    def adopt(self, rows: Iterable[StallRow]) -> None:
        """
        Go on from what an earlier agent has left; where both have counted, from whichever has counted more.

        What was taken for nobody's because that was not known yet is not counted twice: as the sum says how many
        stalls were judged, the next one would be taken for one of them.
        """
        mine = {key: sum(count for count, _ in life.causes.values()) for key, life in self._lives.items()}
        theirs = Counter[WorkerKey]()
        for row in rows:
            key = WorkerKey(row.pid, row.start_ticks)
            theirs[key] += row.count
            life = self._life(row.target, row.slot, key, row.seen_at)
            count, seconds = life.causes.get(row.cause, (0, 0.0))
            life.causes[row.cause] = max(count, row.count), max(seconds, row.seconds)
            known = life.shown.get(row.cause, (0, 0.0))
            life.shown[row.cause] = max(known[0], row.count), max(known[1], row.seconds)
        for key in mine.keys() & theirs.keys():
            causes = self._lives[key].causes
            excess = sum(count for count, _ in causes.values()) - max(mine[key], theirs[key])
            count, seconds = causes.get("unknown", (0, 0.0))
            if excess > 0 and count > 0:
                left = max(0, count - excess)
                self._lives[key].shown["unknown"] = causes["unknown"] = left, seconds * left / count

    def rows(self) -> list[StallRow]:
        """Everything, as it is to be kept."""
        return [row for key, life in self._lives.items() for row in self._rows(key, life)]

    def _add(self, target: str, slot: str, key: WorkerKey, cause: Cause, count: int, seconds: float) -> None:
        now = self._clock()
        life = self._life(target, slot, key, now)
        life.target, life.slot, life.seen_at = target, slot, now
        before = life.causes.get(cause, (0, 0.0))
        life.causes[cause] = before[0] + count, before[1] + max(0.0, seconds)
        self._put(self._row(key, life, cause))

    def _life(self, target: str, slot: str, key: WorkerKey, seen_at: float) -> _Life:
        life = self._lives.get(key)
        if life is None:
            if len(self._lives) >= MOST_PROCESSES:
                del self._lives[min(self._lives, key=lambda known: self._lives[known].seen_at)]
            life = self._lives[key] = _Life(target, slot, seen_at, told_at=self._clock())
        return life

    def _tell(self, key: WorkerKey, life: _Life) -> None:
        for row in self._rows(key, life):
            self._put(row)

    def _rows(self, key: WorkerKey, life: _Life) -> list[StallRow]:
        return [self._row(key, life, cause) for cause in life.causes]

    def _row(self, key: WorkerKey, life: _Life, cause: Cause) -> StallRow:
        count, seconds = life.causes[cause]
        return StallRow(life.target, life.slot, key.pid, key.start_ticks, cause, count, seconds, life.seen_at)
