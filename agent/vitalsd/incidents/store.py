"""
The store as the agent's loop meets it: everything is handed over or asked for, and nothing is ever waited for.

What is to be written waits in memory, the latest state of each incident and count, so a disk that is slow or full
for hours costs a bounded amount. Costs one small transaction per half second at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from vitalsd.history.stalls import StallRow
from vitalsd.incidents.database import KIND, Database, Loaded
from vitalsd.incidents.query import TotalOf, Wanted
from vitalsd.model import Incident
from vitalsd.storage.loading import LoadingKeeper
from vitalsd.targets.slots import SlotRow

__all__ = ["Store"]

SPACING_SECONDS = 0.5
"""Between two transactions: what the latest second of counts may cost, should the agent be killed."""
LAZY_SECONDS = 5.0
"""How long more of the same may wait: ten kilobytes of evidence per stall need not be written per stall."""
PRUNE_SECONDS = 3600.0
PRUNE_WRITES = 500
"""Incidents written until it is looked whether there are too many: some megabytes."""
MOST_WAITING = 1000
MOST_COUNTS_WAITING = 20_000

CountKey = tuple[int, int, str]


class Store(LoadingKeeper[Database, Loaded]):
    """Incidents, counts and slots on disk. Every method but `start` and `close` returns at once."""

    def __init__(self, folder: Callable[[], Path], listen: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(folder, KIND, listen)
        self._clock = clock
        self._incidents: dict[str, tuple[Incident, float]] = {}
        self._counts: dict[CountKey, StallRow] = {}
        self._totals: dict[TotalOf, int] = {}
        self._slots: tuple[SlotRow, ...] | None = None
        self.lost = 0
        """Incidents that were never written because too many were waiting."""
        self._prune_at = 0.0
        self._writes = 0
        self._written_at = -SPACING_SECONDS
        self._at_once = False

    def put(self, incident: Incident, *, urgent: bool) -> None:
        """Keep this state of an incident, at once or soon."""
        due = time.monotonic() + (0.0 if urgent else LAZY_SECONDS)
        with self._turn:
            before = self._incidents.pop(incident.id, None)
            if before is None and len(self._incidents) >= MOST_WAITING:
                del self._incidents[next(iter(self._incidents))]
                self.lost += 1
            self._incidents[incident.id] = incident, min(due, before[1]) if before is not None else due
            self._turn.notify()

    def put_count(self, row: StallRow, *, at_once: bool = False) -> None:
        """Keep one count, without regard to what was written last if it is to be `at_once`."""
        with self._turn:
            if len(self._counts) < MOST_COUNTS_WAITING:
                self._counts[row.pid, row.start_ticks, row.cause] = row
            self._at_once = self._at_once or at_once
            self._turn.notify()

    def waits(self, pid: int, start_ticks: int, cause: str) -> bool:
        """Whether a count is still to be written, and will be."""
        return self._problem is None and (pid, start_ticks, cause) in self._counts

    def total_waits(self, of: TotalOf) -> bool:
        """The same of a total."""
        return self._problem is None and of in self._totals

    def put_total(self, of: TotalOf, count: int) -> None:
        """Keep how often there was an incident of that sort."""
        with self._turn:
            self._totals[of] = count
            self._turn.notify()

    def put_slots(self, rows: tuple[SlotRow, ...]) -> None:
        """Keep these slots in place of all that were kept before."""
        with self._turn:
            self._slots = rows
            self._turn.notify()

    def find(self, wanted: Wanted) -> Future[list[Incident]]:
        """The incidents on disk that fit, when the disk has told; an error of the disk is the future's."""
        return self.ask(lambda database: database.find(wanted))

    def _open_file(self, path: Path) -> Database:
        return Database(path)

    def _load(self, database: Database) -> Loaded:
        return database.load(self._clock())

    def _write(self, database: Database, now: float, *, everything: bool) -> None:
        with self._turn:
            if self._loaded and not everything:
                return  # what lies there is to be taken over before it is written over
            due = [each for each, at in self._incidents.values() if everything or at <= now]
            counts, totals, slots = list(self._counts.values()), dict(self._totals), self._slots
            self._at_once = False
        if due or counts or totals or slots is not None:
            database.write(due, counts, totals, slots)
            self._written(due, counts, totals, slots)
            self._written_at = now
            self._writes += len(due)
        if now >= self._prune_at or self._writes >= PRUNE_WRITES:
            database.prune(self._clock())
            self._prune_at, self._writes = now + PRUNE_SECONDS, 0

    def _written(
        self,
        incidents: list[Incident],
        counts: list[StallRow],
        totals: dict[TotalOf, int],
        slots: tuple[SlotRow, ...] | None,
    ) -> None:
        """Take off what is written, unless it has changed meanwhile."""
        with self._turn:
            for each in incidents:
                if self._incidents.get(each.id, (None,))[0] is each:
                    del self._incidents[each.id]
            for row in counts:
                key = row.pid, row.start_ticks, row.cause
                if self._counts.get(key) is row:
                    del self._counts[key]
            self._totals = {of: count for of, count in self._totals.items() if totals.get(of) != count}
            self._slots = None if self._slots is slots else self._slots

    def _due(self) -> float:
        if self._loaded:  # nothing, until it is taken over
            return time.monotonic() + LAZY_SECONDS
        due = [self._prune_at, *(at for _, at in self._incidents.values())]
        due += [0.0] if self._counts or self._totals or self._slots is not None else []
        return min(due) if self._at_once else max(min(due), self._written_at + SPACING_SECONDS)
