"""
The file in which incidents, counts and slots lie: its schema, what is written, read and forgotten.

Everything here may wait for the disk and raise; `store` sees to that.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from vitalsd.history.stalls import StallRow
from vitalsd.incidents.query import TotalOf, Wanted
from vitalsd.model import Incident
from vitalsd.storage.boot import boot_id
from vitalsd.storage.file import StorageFile
from vitalsd.targets.slots import OF_SUPERVISOR, SlotRow

__all__ = ["KIND", "Database", "Loaded", "decoded", "selected"]

log = structlog.get_logger(__name__)
Row = TypeVar("Row", StallRow, SlotRow)
KIND = "incidents"
"""What the file's name begins with."""

MIGRATIONS = (
    """
    CREATE TABLE incident (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL,
        opened_at REAL NOT NULL, resolved_at REAL, document BLOB NOT NULL
    );
    CREATE INDEX incident_opened_at ON incident (opened_at);
    CREATE TABLE total (
        target TEXT NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (target, kind, severity)
    );
    CREATE TABLE stall (
        boot TEXT NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, cause TEXT NOT NULL,
        target TEXT NOT NULL, slot TEXT NOT NULL,
        count INTEGER NOT NULL, seconds REAL NOT NULL, seen_at REAL NOT NULL,
        PRIMARY KEY (boot, pid, start_ticks, cause)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE slot (
        boot TEXT NOT NULL, target TEXT NOT NULL, slot INTEGER NOT NULL,
        pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, restarts INTEGER NOT NULL, seen_at REAL NOT NULL,
        PRIMARY KEY (target, slot)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE slot ADD COLUMN match TEXT",
    """
    ALTER TABLE slot RENAME TO slot_before;
    CREATE TABLE slot (
        boot TEXT NOT NULL, target TEXT NOT NULL, slot INTEGER NOT NULL,
        pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, restarts TEXT NOT NULL, seen_at REAL NOT NULL,
        match TEXT, PRIMARY KEY (target, slot)
    ) WITHOUT ROWID;
    INSERT INTO slot SELECT boot, target, slot, pid, start_ticks, '{"unknown":' || restarts || '}', seen_at, match
        FROM slot_before;
    DROP TABLE slot_before;
    """,
    "ALTER TABLE slot ADD COLUMN ended TEXT",
    "ALTER TABLE slot ADD COLUMN lately TEXT NOT NULL DEFAULT '[]'",
)
"""What brings a file from each version of the schema to the next."""
TABLES = {
    "incident": "id, state, target, kind, opened_at, resolved_at, document",
    "total": "target, kind, severity, count",
    "stall": "boot, pid, start_ticks, cause, target, slot, count, seconds, seen_at",
    "slot": "boot, target, slot, pid, start_ticks, restarts, seen_at, match, ended, lately",
}
MOST_COUNT = 1 << 53
DOCUMENTS = frozenset(SlotRow.__struct_fields__.index(name) for name in ("restarts", "ended", "lately"))
"""Of a row of a slot: columns that hold JSON."""
KEPT_SECONDS = 30 * 86_400.0
COUNTS_KEPT_SECONDS = 86_400.0
MOST_INCIDENTS = 10_000
MOST_TOTALS = 1000
MOST_BYTES = 64 * 2**20
MOST_ADOPTED = 1000
"""Open incidents that a restarted agent goes on with."""
RECENT_SECONDS = 600.0
"""Resolved ones that it takes over too, because they may come back."""


class Loaded(msgspec.Struct, frozen=True):
    """What lay in a file when it was opened."""

    incidents: tuple[Incident, ...]
    counts: tuple[StallRow, ...]
    totals: dict[TotalOf, int]
    slots: tuple[SlotRow, ...] = ()


class Database(StorageFile):
    """The open file. All of its errors are OSError or sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MIGRATIONS, TABLES)
        self._boot = boot_id()

    def load(self, now: float) -> Loaded:
        """What an agent that starts goes on with."""
        rows = self._connection.execute(
            "SELECT id, document FROM incident WHERE state = 'open' OR resolved_at >= ?"
            " ORDER BY state, opened_at DESC LIMIT ?",
            (now - RECENT_SECONDS, MOST_ADOPTED),
        )
        incidents = list(decoded(rows.fetchall()))
        counts = self._connection.execute(
            "SELECT target, slot, pid, start_ticks, cause, count, seconds, seen_at FROM stall"
            " WHERE boot = ? AND seen_at >= ?",
            (self._boot, now - COUNTS_KEPT_SECONDS),
        )
        totals = self._connection.execute("SELECT target, kind, severity, count FROM total").fetchall()
        slots = self._connection.execute(
            f"SELECT {', '.join(SlotRow.__struct_fields__)} FROM slot WHERE boot = ?",  # noqa: S608 - names of ours
            (self._boot,),
        )
        return Loaded(
            tuple(incidents),
            tuple(_rows(StallRow, counts.fetchall())),
            dict(_total_rows(totals)),
            tuple(_rows(SlotRow, map(_with_documents, slots.fetchall()))),
        )

    def find(self, wanted: Wanted) -> list[Incident]:
        """The latest incidents that fit."""
        return list(decoded(selected(self._connection, wanted)))

    def write(
        self,
        incidents: Iterable[Incident],
        counts: Iterable[StallRow],
        totals: Mapping[TotalOf, int],
        slots: Iterable[SlotRow] | None = None,
    ) -> None:
        """Write all of it or nothing; `slots` take the place of all that were there."""
        with self._transaction():
            for each in incidents:
                ends = each.opened_at, each.resolved_at
                values = (each.id, each.state, each.target, each.kind, *ends, msgspec.json.encode(each))
                self._connection.execute(self._insert("incident"), values)
            for row in counts:
                what = self._boot, row.pid, row.start_ticks, row.cause
                known = row.target, row.slot, row.count, row.seconds, row.seen_at
                self._connection.execute(self._insert("stall"), (*what, *known))
            for of, count in totals.items():
                self._connection.execute(self._insert("total"), (*of, count))
            if slots is not None:
                self._connection.execute("DELETE FROM slot")
                self._connection.executemany(self._insert("slot"), map(self._slot_values, slots))

    def _slot_values(self, row: SlotRow) -> tuple[object, ...]:
        who = row.pid, row.start_ticks
        counts = msgspec.json.encode(row.restarts).decode()
        ended = msgspec.json.encode(row.ended).decode() if row.ended is not None else None
        lately = msgspec.json.encode(row.lately).decode()
        return (self._boot, row.target, row.slot, *who, counts, row.seen_at, row.match, ended, lately)

    def prune(self, now: float) -> None:
        """Forget what is too old or too much. The space is used again, so the file stays within its bound."""
        delete = "DELETE FROM incident WHERE "
        with self._transaction():
            execute = self._connection.execute
            execute("DELETE FROM stall WHERE boot != ? OR seen_at < ?", (self._boot, now - COUNTS_KEPT_SECONDS))
            newest = "SELECT rowid FROM total ORDER BY rowid DESC LIMIT ?"
            execute(f"DELETE FROM total WHERE rowid NOT IN ({newest})", (MOST_TOTALS,))  # noqa: S608
            execute(delete + "state != 'open' AND resolved_at < ?", (now - KEPT_SECONDS,))
            # An open one that no agent has taken over, because there were too many of them.
            execute(delete + "state = 'open' AND opened_at < ?", (now - 2 * KEPT_SECONDS,))
            (count,) = execute("SELECT count(*) FROM incident").fetchone()
            used = self._used_bytes()
            # A tenth more than there must be, or the next one would have to make room again.
            too_heavy = int(count * (1 - 0.9 * MOST_BYTES / used)) if used > MOST_BYTES else 0
            excess = max(count - MOST_INCIDENTS, too_heavy)
            if excess > 0:
                oldest = "SELECT id FROM incident ORDER BY state = 'open', opened_at LIMIT ?"
                execute(delete + f"id IN ({oldest})", (excess,))


def selected(connection: sqlite3.Connection, wanted: Wanted) -> list[tuple[str, bytes]]:
    """Id and document of the latest incidents that fit."""
    asked = {"id": wanted.id, "state": wanted.state, "target": wanted.target, "kind": wanted.kind}
    known: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
    where = " AND ".join(f"{name} = :{name}" for name in known) or "1"
    if wanted.before is not None:
        where += " AND (opened_at, id) < (:before_at, :before_id)"
        known |= dict(zip(("before_at", "before_id"), wanted.before, strict=True))
    rows = connection.execute(
        f"SELECT id, document FROM incident WHERE {where} ORDER BY opened_at DESC, id DESC LIMIT :limit",  # noqa: S608
        known | {"limit": wanted.limit},
    )
    return rows.fetchall()


def decoded(rows: Iterable[tuple[str, bytes]]) -> Iterator[Incident]:
    """Incidents from their documents, but for those that are damaged."""
    for name, document in rows:
        try:
            yield msgspec.json.decode(document, type=Incident)
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError) as error:
            log.warning("store_record_unreadable", id=name, reason=str(error))


def _with_documents(row: tuple[object, ...]) -> tuple[object, ...]:
    """A row of a slot with what JSON says in it; as it lies there, where that is damaged."""
    return tuple(_document(value) if at in DOCUMENTS else value for at, value in enumerate(row))


def _document(text: object) -> object:
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        return msgspec.json.decode(text) if isinstance(text, str) else text
    return text


def _rows(kind: type[Row], rows: Iterable[tuple[object, ...]]) -> Iterator[Row]:
    for row in rows:
        with contextlib.suppress(msgspec.ValidationError):
            found = msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
            if _is_possible(found):
                yield found


def _is_possible(row: StallRow | SlotRow) -> bool:
    """Whether all that it counts is a count: a metric that goes on with another would step back."""
    counts = [row.pid, row.start_ticks, row.seen_at]
    if isinstance(row, SlotRow):
        counts += [row.slot - OF_SUPERVISOR, *row.restarts.values()]
    else:
        counts += [row.count, row.seconds]
    return all(0 <= count < MOST_COUNT for count in counts)


def _total_rows(rows: list[tuple[object, ...]]) -> Iterator[tuple[TotalOf, int]]:
    for row in rows:
        with contextlib.suppress(msgspec.ValidationError):
            of, count = msgspec.convert((row[:3], row[3]), tuple[TotalOf, int])
            if 0 <= count < MOST_COUNT:
                yield of, count
