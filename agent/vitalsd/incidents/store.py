"""
The store as the agent's loop meets it: everything is handed over or asked for, and nothing is ever waited for.

One thread does all that touches the disk. What is to be written waits in memory, the latest state of each incident
and count, so a disk that is slow or full for hours costs a bounded amount. It is tried again until it works, told
once in the log and for as long as it lasts in `problem`. Costs one small transaction per half second at most, and
a thread that sleeps when there is nothing to write.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import structlog

from vitalsd.errors import VitalsdError
from vitalsd.history.stalls import StallRow
from vitalsd.incidents.database import Database, Loaded, file_name, is_damage
from vitalsd.incidents.query import TotalOf, Wanted
from vitalsd.model import Incident
from vitalsd.targets.slots import SlotRow

__all__ = ["Store"]

log = structlog.get_logger(__name__)

SPACING_SECONDS = 0.5
"""Between two transactions: what the latest second of counts may cost, should the agent be killed."""
LAZY_SECONDS = 5.0
"""How long more of the same may wait: ten kilobytes of evidence per stall need not be written per stall."""
RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 60.0
PRUNE_SECONDS = 3600.0
PRUNE_WRITES = 500
"""Incidents written until it is looked whether there are too many: some megabytes."""
SILENT_SECONDS = 10.0
"""A disk that has not answered for so long is a problem."""
MOST_WAITING = 1000
MOST_COUNTS_WAITING = 20_000
MOST_QUESTIONS = 16

CountKey = tuple[int, int, str]


class Store:
    """Incidents, counts and slots on disk. Every method but `start` and `close` returns at once."""

    def __init__(self, folder: Callable[[], Path], listen: str, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._name = file_name(listen)
        self._turn = threading.Condition()
        self._incidents: dict[str, tuple[Incident, float]] = {}
        self._counts: dict[CountKey, StallRow] = {}
        self._totals: dict[TotalOf, int] = {}
        self._slots: tuple[SlotRow, ...] | None = None
        self._questions: deque[tuple[Wanted, Future[list[Incident]]]] = deque()
        self._loaded: deque[Loaded] = deque()
        self._tried = threading.Event()
        self._closing = False
        self._problem: str | None = None
        self._busy_since: float | None = None
        self.lost = 0
        """Incidents that were never written because too many were waiting."""
        self._retry_at = 0.0
        self._retry_seconds = RETRY_SECONDS
        self._prune_at = 0.0
        self._writes = 0
        self._written_at = -SPACING_SECONDS
        self._database: Database | None = None
        self._thread = threading.Thread(target=self._run, name="vitalsd-store", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why nothing is stored now, if that is so."""
        since = self._busy_since
        if since is not None and (waited := time.monotonic() - since) > SILENT_SECONDS:
            return f"the disk has not answered for {waited:.0f} s"
        return self._problem

    @property
    def tried(self) -> bool:
        """Whether the file was opened, or could not be: until then, nobody knows what lies there."""
        return self._tried.is_set()

    def start(self, wait_seconds: float) -> None:
        """Begin, and give the disk a moment, so that an agent goes on with its incidents from its first look."""
        self._thread.start()
        self._tried.wait(wait_seconds)

    def taken(self) -> Loaded | None:
        """What lay in the file, once each time it is opened."""
        with self._turn:
            if not self._loaded:
                return None
            loaded = self._loaded.popleft()
            self._turn.notify()
        return loaded

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

    def put_count(self, row: StallRow) -> None:
        """Keep one count."""
        with self._turn:
            if len(self._counts) < MOST_COUNTS_WAITING:
                self._counts[row.pid, row.start_ticks, row.cause] = row
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
        answer: Future[list[Incident]] = Future()
        with self._turn:
            if not self._thread.is_alive() or (self._problem is not None and self._database is None):
                answer.set_exception(OSError(self._problem or "the store is closed"))
            elif len(self._questions) >= MOST_QUESTIONS:
                answer.set_exception(OSError("too many questions are waiting for the disk"))
            else:
                self._questions.append((wanted, answer))
                self._turn.notify()
        return answer

    def close(self, wait_seconds: float = 2.0) -> None:
        """Write what is waiting, if the disk takes it in that time."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        if self._thread.ident is not None:
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        while not self._closing:
            self._attempt()
            self._tried.set()
            self._wait()
        self._attempt(last=True)
        self._refuse("the store is closed")
        if self._database is not None:
            self._database.close()

    def _wait(self) -> None:
        with self._turn:
            while not self._closing and (rest := self._rest()) > 0:
                self._turn.wait(rest)

    def _attempt(self, *, last: bool = False) -> None:
        """Do what is due; whatever comes of it, the thread goes on."""
        now = time.monotonic()
        resting = now < self._retry_at and not last
        if resting and self._database is None:
            return
        self._busy_since = now
        try:
            database = self._opened()
            self._answer(database)
            if not resting:
                self._write(database, now, everything=last)
                self._recover()
        except Exception as error:  # noqa: BLE001 - nothing ends this thread, and all of it is told
            self._fail(error)
        finally:
            self._busy_since = None

    def _write(self, database: Database, now: float, *, everything: bool) -> None:
        with self._turn:
            if self._loaded and not everything:
                return  # what lies there is to be taken over before it is written over
            due = [each for each, at in self._incidents.values() if everything or at <= now]
            counts, totals, slots = list(self._counts.values()), dict(self._totals), self._slots
        if due or counts or totals or slots is not None:
            database.write(due, counts, totals, slots)
            self._written(due, counts, totals, slots)
            self._written_at = now
            self._writes += len(due)
        if now >= self._prune_at or self._writes >= PRUNE_WRITES:
            database.prune(self._clock())
            self._prune_at, self._writes = now + PRUNE_SECONDS, 0

    def _answer(self, database: Database) -> None:
        while self._questions:
            wanted, answer = self._questions.popleft()
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(database.find(wanted))
                except Exception as error:
                    answer.set_exception(error)
                    raise

    def _opened(self) -> Database:
        if self._database is not None and self._database.is_gone():
            log.error("store_taken_away", path=str(self._database.path))
            self._database.close()
            self._database = None
        if self._database is None:
            database = Database(self._folder() / self._name)
            try:
                loaded = database.load(self._clock())
            except Exception as error:
                if is_damage(error):
                    database.set_aside(str(error))
                database.close()
                raise
            self._database = database
            with self._turn:
                self._loaded.append(loaded)
        return self._database

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

    def _fail(self, error: Exception) -> None:
        damaged = is_damage(error)
        if damaged and self._database is not None:
            self._database.set_aside(str(error))
            self._database.close()
            self._database = None
        reason = _words(error)
        if reason != self._problem:
            expected = isinstance(error, OSError | sqlite3.Error | VitalsdError) or damaged
            log.error("store_unavailable", reason=reason, exc_info=None if expected else error)
        # What was damaged is out of the way, so the next attempt need not wait. On a bad disk it is not the last.
        at_once = damaged and self._problem is None
        self._problem = reason
        self._refuse(reason)
        self._retry_at = time.monotonic() + (SPACING_SECONDS if at_once else self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    def _recover(self) -> None:
        if self._problem is not None:
            log.info("store_recovered")
        self._problem, self._retry_at, self._retry_seconds = None, 0.0, RETRY_SECONDS

    def _refuse(self, reason: str) -> None:
        with self._turn:
            questions, self._questions = list(self._questions), deque()
        for _, answer in questions:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(OSError(reason))

    def _rest(self) -> float:
        """How long there is nothing to do unless somebody says otherwise; the turn is ours."""
        now = time.monotonic()
        if self._questions:
            return 0.0
        due = [self._prune_at]
        if not self._loaded:
            due += [at for _, at in self._incidents.values()]
            due += [now] if self._counts or self._totals or self._slots is not None else []
        return max(min(due), self._written_at + SPACING_SECONDS, self._retry_at) - now


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
