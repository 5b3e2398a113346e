"""
The file in which incidents, counts and slots lie: opened, brought up to date, set aside when it cannot be read.

SQLite in WAL mode, for one agent alone: a lock beside the file keeps a second one out, and SQLite's own exclusive
mode needs no memory shared with anybody. Everything here may wait for the disk and raise; `store` sees to that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from vitalsd.history.stalls import StallRow
from vitalsd.incidents.query import TotalOf, Wanted
from vitalsd.model import Incident
from vitalsd.settings.model import split_listen
from vitalsd.targets.slots import SlotRow

__all__ = ["DamagedError", "Database", "Loaded", "file_name", "is_damage"]

log = structlog.get_logger(__name__)
Row = TypeVar("Row", StallRow, SlotRow)

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
)
"""What brings a file from each version of the schema to the next."""
TABLES = {
    "incident": "id, state, target, kind, opened_at, resolved_at, document",
    "total": "target, kind, severity, count",
    "stall": "boot, pid, start_ticks, cause, target, slot, count, seconds, seen_at",
    "slot": "boot, target, slot, pid, start_ticks, restarts, seen_at",
}
KEPT_SECONDS = 30 * 86_400.0
COUNTS_KEPT_SECONDS = 86_400.0
MOST_INCIDENTS = 10_000
MOST_TOTALS = 1000
MOST_BYTES = 64 * 2**20
MOST_ADOPTED = 1000
"""Open incidents that a restarted agent goes on with."""
RECENT_SECONDS = 600.0
"""Resolved ones that it takes over too, because they may come back."""
LOCK_SECONDS = 1.5
"""An agent that ends gives its file back before its ports. Where the disk is slow, the next waits a little."""
LOCK_AGAIN_SECONDS = 0.05
DAMAGED_KEPT = 3
CACHE_KIB = 512
SMALLEST_PAGE = 512
WAL_BYTES = 4 * 2**20
SIDES = ("", "-wal", "-shm", "-journal")


class Loaded(msgspec.Struct, frozen=True):
    """What lay in a file when it was opened."""

    incidents: tuple[Incident, ...]
    counts: tuple[StallRow, ...]
    totals: dict[TotalOf, int]
    slots: tuple[SlotRow, ...] = ()


class DamagedError(Exception):
    """The file is not what this version has written."""


def file_name(listen: str) -> str:
    """A file for each agent of a host: no two listen on the same address."""
    return f"incidents-{split_listen(listen)[1]}-{zlib.crc32(listen.encode()):08x}.db"


class Database:
    """The open file. All of its errors are OSError or sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._boot = _boot_id()
        self._lock = _take_lock(path)
        try:
            try:
                self._connection = self._open()
            except Exception as error:
                if not is_damage(error):
                    raise
                self.set_aside(str(error))
                self._connection = self._open()
            self._inode = path.stat().st_ino
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> sqlite3.Connection:
        # SQLite makes files that everybody may read; the side files take their mode from this one.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        size = os.fstat(descriptor).st_size
        os.close(descriptor)
        if size % SMALLEST_PAGE and not _holds_something(self.path.with_name(self.path.name + "-wal")):
            # SQLite takes a byte for an empty file, and zeros for what is missing of the last page.
            raise DamagedError(f"its {size} bytes are not whole pages")
        connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedError(verdict)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise DamagedError(f"its schema is version {version}, and {len(MIGRATIONS)} the newest known here")
        if version == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
            raise DamagedError("it holds something else")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
        try:
            for table, columns in TABLES.items():
                connection.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608 - both are written above
        except sqlite3.OperationalError as error:
            raise DamagedError(str(error)) from error

    def is_gone(self) -> bool:
        """Whether somebody has taken the file away, or put another in its place."""
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def load(self, now: float) -> Loaded:
        """What an agent that starts goes on with."""
        rows = self._connection.execute(
            "SELECT id, document FROM incident WHERE state = 'open' OR resolved_at >= ?"
            " ORDER BY state, opened_at DESC LIMIT ?",
            (now - RECENT_SECONDS, MOST_ADOPTED),
        )
        incidents = list(self._incidents(rows.fetchall()))
        counts = self._connection.execute(
            "SELECT target, slot, pid, start_ticks, cause, count, seconds, seen_at FROM stall"
            " WHERE boot = ? AND seen_at >= ?",
            (self._boot, now - COUNTS_KEPT_SECONDS),
        )
        totals = self._connection.execute("SELECT target, kind, severity, count FROM total").fetchall()
        slots = self._connection.execute(
            "SELECT target, slot, pid, start_ticks, restarts, seen_at FROM slot WHERE boot = ?", (self._boot,)
        )
        return Loaded(
            tuple(incidents),
            tuple(_rows(StallRow, counts.fetchall())),
            dict(_total_rows(totals)),
            tuple(_rows(SlotRow, slots.fetchall())),
        )

    def find(self, wanted: Wanted) -> list[Incident]:
        """The latest incidents that fit."""
        asked = {"id": wanted.id, "state": wanted.state, "target": wanted.target, "kind": wanted.kind}
        known = {name: value for name, value in asked.items() if value is not None}
        where = " AND ".join(f"{name} = :{name}" for name in known) or "1"
        rows = self._connection.execute(
            f"SELECT id, document FROM incident WHERE {where} ORDER BY opened_at DESC LIMIT :limit",  # noqa: S608
            known | {"limit": wanted.limit},
        )
        return list(self._incidents(rows.fetchall()))

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
                self._connection.execute(_insert("incident"), values)
            for row in counts:
                what = self._boot, row.pid, row.start_ticks, row.cause
                known = row.target, row.slot, row.count, row.seconds, row.seen_at
                self._connection.execute(_insert("stall"), (*what, *known))
            for of, count in totals.items():
                self._connection.execute(_insert("total"), (*of, count))
            if slots is not None:
                self._connection.execute("DELETE FROM slot")
                values_of_slots = ((self._boot, *msgspec.structs.astuple(row)) for row in slots)
                self._connection.executemany(_insert("slot"), values_of_slots)

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

    def set_aside(self, reason: str) -> None:
        """Give the file another name, under which somebody may look at it, and keep only the latest of those."""
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._connection.close()
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        for side in SIDES:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{side}").rename(f"{aside}{side}")
        log.error("store_damaged", path=str(self.path), kept_as=str(aside), reason=reason)
        damaged = sorted(self.path.parent.glob(f"{self.path.name}.damaged-*Z"))
        for old in damaged[:-DAMAGED_KEPT]:
            for side in SIDES:
                Path(f"{old}{side}").unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the file as one, without its side files, and the lock to others."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        os.close(self._lock)

    def _incidents(self, rows: list[tuple[str, bytes]]) -> Iterator[Incident]:
        for name, document in rows:
            try:
                yield msgspec.json.decode(document, type=Incident)
            except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
                log.warning("store_record_unreadable", id=name, reason=str(error))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk has ended it already
                self._connection.execute("ROLLBACK")
            raise

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


def is_damage(error: Exception) -> bool:
    """Whether the file itself is wrong, and not the disk, the permission or another agent."""
    if isinstance(error, sqlite3.DatabaseError):
        # An extended code tells more in its upper bytes: SQLITE_CORRUPT_VTAB is SQLITE_CORRUPT.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    # A schema with bytes turned over makes messages that the module itself cannot decode.
    return isinstance(error, DamagedError | UnicodeDecodeError)


def _insert(table: str) -> str:
    columns = TABLES[table]
    places = ", ".join("?" for _ in columns.split(","))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - constants of this file


def _rows(kind: type[Row], rows: list[tuple[object, ...]]) -> Iterator[Row]:
    for row in rows:
        with contextlib.suppress(msgspec.ValidationError):
            yield msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)


def _total_rows(rows: list[tuple[object, ...]]) -> Iterator[tuple[TotalOf, int]]:
    for row in rows:
        with contextlib.suppress(msgspec.ValidationError):
            yield msgspec.convert((row[:3], row[3]), tuple[TotalOf, int])


def _take_lock(path: Path) -> int:
    """Be the only agent that writes this file. The lock ends with the process, however that ends."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(
        path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        while not (locked := _locked(descriptor)) and time.monotonic() < deadline:
            time.sleep(LOCK_AGAIN_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
    if not locked:
        os.close(descriptor)
        raise BlockingIOError(f"another agent uses {path}")
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _boot_id() -> str:
    """What tells this boot from others: pid and start time of a process may be the same in the next."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
