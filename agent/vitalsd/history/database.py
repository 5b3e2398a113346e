"""
The file in which history lies: a row for each worker and hour, added to every few minutes, forgotten in time.

Rows lie in the order of time, so that what is forgotten makes room for what comes, and a week of all workers is
read from one end to the other. Others may read while the agent writes: `Reading` is theirs, and opens nothing for
writing. Everything here may wait for the disk and raise; `store` sees to that.
"""

from __future__ import annotations

import sqlite3
from array import array
from pathlib import Path
from typing import Any

import msgspec
import structlog

from vitalsd.errors import VitalsdError
from vitalsd.history.minutes import Batch
from vitalsd.history.packing import DamagedRowError, pack, unpack
from vitalsd.history.records import GRAINS, HOUR_SECONDS, SPAN, Place, Row, merge
from vitalsd.storage.file import StorageFile, is_damage
from vitalsd.times import rfc3339

__all__ = ["KIND", "Database", "Hour", "Reading", "Rows"]

log = structlog.get_logger(__name__)

KIND = "history"
"""What the file's name begins with."""
MIGRATIONS = (
    """
    CREATE TABLE worker (
        id INTEGER PRIMARY KEY, target TEXT NOT NULL, slot TEXT NOT NULL, hour INTEGER NOT NULL,
        UNIQUE (target, slot)
    );
    CREATE TABLE hour (id INTEGER PRIMARY KEY, records BLOB NOT NULL);
    """,
)
"""What brings a file from each version of the schema to the next."""
TABLES = {"worker": "id, target, slot, hour", "hour": "id, records"}
"""`worker.hour` is the latest it was seen in; `hour.id` the hour since 1970 and, in WORKER_BITS, the worker."""
WORKER_BITS = 24
MOST_BYTES = 256 * 2**20
"""Half as much again as a thousand workers take in eight days."""
CACHE_KIB = 128
"""Each page is needed once in four minutes."""
PATIENCE_SECONDS = 5.0
MOST_HOURS = 200
"""Of one worker at a time: all that is usually kept, and a bound where a clock was wrong."""


class Hour(msgspec.Struct, frozen=True):
    """One row: what is known of one worker in one hour."""

    place: Place
    hour: int
    records: bytes


class Rows:
    """What a connection can tell of the rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def workers(self) -> dict[Place, int]:
        """Everybody of whom there is something, with the number of each."""
        found = self._ask("SELECT target, slot, id FROM worker ORDER BY target, slot")
        return {(target, slot): number for target, slot, number in found}

    def first(self, since: int) -> int | None:
        """The first hour of which there is something, from `since` on."""
        ((found,),) = self._ask("SELECT min(id) FROM hour WHERE id >= ?", (since << WORKER_BITS,))
        return None if found is None else int(found) >> WORKER_BITS

    def last(self) -> int | None:
        """The last hour of which there is something."""
        ((found,),) = self._ask("SELECT max(id) FROM hour")
        return None if found is None else int(found) >> WORKER_BITS

    def of(self, hour: int) -> list[Hour]:
        """What is known of an hour, worker by worker."""
        names = {number: place for place, number in self.workers().items()}
        between = hour << WORKER_BITS, (hour + 1) << WORKER_BITS
        found = self._ask("SELECT id, records FROM hour WHERE id >= ? AND id < ? ORDER BY id", between)
        rows = ((number - between[0], records) for number, records in found)
        return [Hour(names[worker], hour, records) for worker, records in rows if worker in names]

    def of_one(self, place: Place, since: int, until: int) -> list[Hour]:
        """What is known of one worker from hour `since` on and before `until`, the last MOST_HOURS of them."""
        number, first = self.workers().get(place), self.first(since)
        if number is None or first is None:
            return []
        found = []
        for hour in range(max(first, until - MOST_HOURS), until):
            rows = self._ask("SELECT records FROM hour WHERE id = ?", ((hour << WORKER_BITS) + number,))
            found += [Hour(place, hour, records) for (records,) in rows]
        return found

    def _ask(self, question: str, values: tuple[int, ...] = ()) -> list[Any]:
        return self._connection.execute(question, values).fetchall()


class Reading(Rows):
    """A file that is left as it is, its agent running or not. All errors are VitalsdError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.open("rb").close()  # SQLite has one sentence for whatever keeps it from opening a file
        except OSError as error:
            raise VitalsdError(f"The history in {path} cannot be read: {error.strerror}.") from None
        address = f"{path.absolute().as_uri()}?mode=ro"
        super().__init__(sqlite3.connect(address, uri=True, timeout=PATIENCE_SECONDS))
        ((version,),) = self._ask("PRAGMA user_version")
        if version > len(MIGRATIONS):
            raise VitalsdError(f"The history in {path} was written by a newer vitalsd: read it with that one.")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _ask(self, question: str, values: tuple[int, ...] = ()) -> list[Any]:
        try:
            return super()._ask(question, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                reason = f"is damaged ({error}): an agent that starts sets it aside"
            elif getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN:
                reason = "cannot be read where nothing can be written beside it: copy it elsewhere"
            else:
                reason = f"cannot be read: {error}"
            raise VitalsdError(f"The history in {self._path} {reason}.") from None


class Database(StorageFile):
    """The open file. All of its errors are OSError or sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MIGRATIONS, TABLES, shared=True, cache_kib=CACHE_KIB, damaged_kept=1)
        self.rows = Rows(self._connection)

    def add(self, batch: Batch) -> None:
        """Write all of it or nothing; what is known of the same hours already stays."""
        with self._transaction():
            for place, sections in batch.items():
                for hour, rows in _by_hour(sections).items():
                    number = self._number(place, hour)
                    self._connection.execute(
                        self._insert("hour"), (number, pack(hour, self._merged(place, hour, number, rows)))
                    )

    def prune(self, now: float, kept_seconds: float) -> None:
        """Forget what is too old, or too much. The space is used again, so the file stays within its bound."""
        first = max(0, int((now - kept_seconds) // HOUR_SECONDS))
        execute = self._connection.execute
        with self._transaction():
            execute("DELETE FROM hour WHERE id < ?", (first << WORKER_BITS,))
            used, hour = self._used_bytes(), self.rows.first(first)
            # A tenth more than there must be, or the next hour would have to make room again.
            too_much = used - 0.9 * MOST_BYTES if used > MOST_BYTES else 0
            while too_much > 0 and hour is not None and hour != self.rows.last():
                first = hour + 1
                too_much -= sum(len(each.records) for each in self.rows.of(hour))
                execute("DELETE FROM hour WHERE id < ?", (first << WORKER_BITS,))
                hour = self.rows.first(first)
            execute("DELETE FROM worker WHERE hour < ?", (first,))
        if used > MOST_BYTES:
            log.warning("history_cut_short", most_bytes=MOST_BYTES, kept_since=rfc3339(first * HOUR_SECONDS))

    def _number(self, place: Place, hour: int) -> int:
        execute = self._connection.execute
        execute(
            "INSERT INTO worker (target, slot, hour) VALUES (?, ?, ?)"
            " ON CONFLICT (target, slot) DO UPDATE SET hour = max(hour, excluded.hour)",
            (*place, hour),
        )
        (worker,) = execute("SELECT id FROM worker WHERE target = ? AND slot = ?", place).fetchone()
        return int((hour << WORKER_BITS) + worker)

    def _merged(self, place: Place, hour: int, number: int, rows: list[list[Row]]) -> list[list[Row]]:
        found = self._connection.execute("SELECT records FROM hour WHERE id = ?", (number,)).fetchone()
        here: list[list[Row]] = [[] for _ in GRAINS]
        if found is not None:
            try:
                here = [list(zip(*columns, strict=True)) for columns in unpack(hour, found[0])]
            except DamagedRowError as error:
                log.warning("history_row_unreadable", target=place[0], worker=place[1], reason=str(error))
        return [merge(known, more) for known, more in zip(here, rows, strict=True)]


def _by_hour(sections: tuple[array[int], ...]) -> dict[int, list[list[Row]]]:
    """Hour -> the records of each grain."""
    hours: dict[int, list[list[Row]]] = {}
    for index, (grain, records) in enumerate(zip(GRAINS, sections, strict=True)):
        for at in range(0, len(records), grain.width):
            row = tuple(records[at : at + grain.width])
            hour = row[SPAN] * grain.seconds // HOUR_SECONDS
            hours.setdefault(hour, [[] for _ in GRAINS])[index].append(row)
    return hours
