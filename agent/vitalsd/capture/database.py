"""
The file in which captures lie: its schema, and the thread that writes it, as `storage` has them.

What is to be written waits in memory, the latest state of each capture, and there are never more of these than the
ledger has. Costs one small transaction per half second at most.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from vitalsd.capture.model import Capture
from vitalsd.capture.packed import MOST_WHOLE, Packed
from vitalsd.storage.file import StorageFile
from vitalsd.storage.loading import LoadingKeeper

__all__ = ["KIND", "Database", "Entry", "LedgerFile", "Loaded", "lying"]

log = structlog.get_logger(__name__)

KIND = "captures"
"""What the file's name begins with."""
MIGRATIONS = (
    """
    CREATE TABLE capture (
        id TEXT PRIMARY KEY, number INTEGER NOT NULL, removed INTEGER NOT NULL,
        boot TEXT NOT NULL, asked REAL NOT NULL, started REAL, ended REAL, document BLOB NOT NULL
    );
    CREATE INDEX capture_number ON capture (number);
    """,
)
"""What brings a file from each version of the schema to the next."""
TABLES = {"capture": "id, number, removed, boot, asked, started, ended, document"}
CACHE_KIB = 128
SPACING_SECONDS = 0.5
"""Between two transactions: what an agent that is killed may not have told of a capture."""
IDLE_SECONDS = 3600.0
MOST_LOADED = 4000


class Entry(msgspec.Struct, frozen=True):
    """A capture as the ledger remembers it."""

    capture: Capture
    number: int
    """Counts up: the order in which they were asked for, whatever the clock said."""
    removed: bool
    """Deleted with its files; what it has used up of the budget is used up all the same."""
    boot: str
    """In which the following three are seconds since its beginning."""
    asked: float
    started: float | None
    ended: float | None


class Loaded(NamedTuple):
    """What lay in a file when it was opened."""

    entries: tuple[Entry, ...]
    """First asked for first."""
    ids: frozenset[str]
    """All of them, those included that cannot be read."""
    packed: Packed
    """The summaries that the entries are without."""


class Database(StorageFile):
    """The open file. All of its errors are OSError or sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MIGRATIONS, TABLES, cache_kib=CACHE_KIB)

    def load(self) -> Loaded:
        """All that lies there."""
        ids = frozenset(name for (name,) in self._connection.execute("SELECT id FROM capture"))
        entries, packed, whole = [], Packed(), 0
        for entry in lying(self._connection):
            whole += bool(entry.capture.summary)
            light = entry.capture if whole <= MOST_WHOLE else packed.take(entry.capture)
            entries.append(msgspec.structs.replace(entry, capture=light))
        return Loaded(tuple(reversed(entries)), ids, packed)

    def write(self, entries: Iterable[Entry], gone: Iterable[str]) -> None:
        """Write all of it or nothing."""
        with self._transaction():
            for each in entries:
                known = each.boot, each.asked, each.started, each.ended
                document = msgspec.json.encode(each.capture)
                row = each.capture.id, each.number, each.removed, *known, document
                self._connection.execute(self._insert("capture"), row)
            self._connection.executemany("DELETE FROM capture WHERE id = ?", ((name,) for name in gone))


class LedgerFile(LoadingKeeper[Database, Loaded]):
    """The file and its thread. Every method but `start` and `close` returns at once."""

    def __init__(self, folder: Callable[[], Path], listen: str) -> None:
        super().__init__(folder, KIND, listen)
        self._waiting: dict[str, Entry | None] = {}
        """What is to be written; None is to be deleted."""
        self._there: set[str] = set()
        """What may lie in the file."""
        self._written_at = -SPACING_SECONDS

    def put(self, entry: Entry) -> None:
        """Keep this state of a capture."""
        with self._turn:
            self._waiting[entry.capture.id] = entry
            self._turn.notify()

    def forget(self, name: str) -> None:
        """Keep nothing of it."""
        with self._turn:
            if name in self._there:
                self._waiting[name] = None
            else:
                self._waiting.pop(name, None)
            self._turn.notify()

    def _open_file(self, path: Path) -> Database:
        return Database(path)

    def _load(self, database: Database) -> Loaded:
        return database.load()

    def _lies_there(self, loaded: Loaded) -> None:
        self._there = set(loaded.ids)

    def _write(self, database: Database, now: float, *, everything: bool) -> None:
        with self._turn:
            if self._loaded and not everything:
                return  # what lies there is to be taken over before it is written over
            waiting, there = dict(self._waiting), self._there
            self._there = there | waiting.keys()
        if not waiting:
            return
        try:
            database.write(
                [entry for entry in waiting.values() if entry is not None],
                [name for name, entry in waiting.items() if entry is None],
            )
        except BaseException:
            with self._turn:  # or what is forgotten while a disk is full would pile up here
                self._there = there
                unneeded = [name for name, entry in self._waiting.items() if entry is None and name not in there]
                for name in unneeded:
                    del self._waiting[name]
            raise
        self._written_at = now
        with self._turn:
            for name, entry in waiting.items():
                if name in self._waiting and self._waiting[name] is entry:
                    del self._waiting[name]
                    if entry is None:
                        self._there.discard(name)

    def _due(self) -> float:
        if self._loaded or not self._waiting:
            return time.monotonic() + IDLE_SECONDS
        return self._written_at + SPACING_SECONDS


def lying(connection: sqlite3.Connection) -> Iterator[Entry]:
    """The entries of a file but for those that are damaged, latest asked for first."""
    rows = connection.execute(
        "SELECT id, number, removed, boot, asked, started, ended, document FROM capture"
        " ORDER BY number DESC LIMIT ?",
        (MOST_LOADED,),
    )
    for row in rows:
        entry = _entry(*row)
        if entry is not None:
            yield entry


def _entry(
    name: str,
    number: int,
    removed: int,
    boot: str,
    asked: float,
    started: float | None,
    ended: float | None,
    document: bytes,
) -> Entry | None:
    try:
        capture = msgspec.json.decode(document, type=Capture)
        known = {"boot": boot, "asked": asked, "started": started, "ended": ended}
        entry = msgspec.convert({"capture": capture, "number": number, "removed": bool(removed), **known}, Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError) as error:
        log.warning("store_record_unreadable", id=name, reason=str(error))
        return None
    return entry if capture.id == name else None
