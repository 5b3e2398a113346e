"""
A SQLite file of an agent: opened, brought up to date, set aside when it cannot be read.

In WAL mode, for one agent alone: a lock beside the file keeps a second one out. Everything here may wait for the
disk and raise; `keeper` sees to that.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from vitalsd.settings.types import split_listen

__all__ = ["DamagedError", "StorageFile", "file_name", "is_damage", "left_at", "locked_file"]

log = structlog.get_logger(__name__)

LOCK_SECONDS = 1.5
"""An agent that ends gives its file back before its ports. Where the disk is slow, the next waits a little."""
LOCK_AGAIN_SECONDS = 0.05
SMALLEST_PAGE = 512
WAL_BYTES = 4 * 2**20
SIDES = ("", "-wal", "-shm", "-journal")
FULL_BYTES = 64 * 1024
"""What is left of a disk that has no room for a new file's side files."""


class DamagedError(Exception):
    """The file is not what this version has written."""


def file_name(kind: str, listen: str) -> str:
    """A file of this kind for each agent of a host: no two listen on the same address."""
    return f"{kind}-{split_listen(listen)[1]}-{zlib.crc32(listen.encode()):08x}.db"


def left_at(path: Path) -> float | None:
    """Unix time at which an earlier agent has last written to it; None where there is none."""
    times = []
    for side in SIDES:
        with contextlib.suppress(OSError):
            times.append(Path(f"{path}{side}").stat().st_mtime)
    return max(times, default=None)


class StorageFile:
    """The open file. All of its errors are OSError or sqlite3.Error."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        tables: Mapping[str, str],
        *,
        shared: bool = False,
        cache_kib: int = 512,
        damaged_kept: int = 3,
    ) -> None:
        """
        Open it with the `tables` that the last of the `migrations` leaves, each from one version to the next.

        With `shared`, others may read it meanwhile; without, SQLite needs no memory shared with anybody.
        """
        self.path = path
        self._migrations = migrations
        self._tables = tables
        self._mode = "NORMAL" if shared else "EXCLUSIVE"
        self._cache_kib = cache_kib
        self._damaged_kept = damaged_kept
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
        except BaseException as error:
            connection.close()
            # SQLite calls it an I/O error, before there is a file to be full.
            if isinstance(error, sqlite3.OperationalError) and self._is_full():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path.parent)) from error
            raise
        return connection

    def _is_full(self) -> bool:
        room = os.statvfs(self.path.parent)
        return room.f_bavail * room.f_frsize < FULL_BYTES

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA cache_size = -{self._cache_kib}")
        connection.execute(f"PRAGMA locking_mode = {self._mode}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedError(verdict)
        newest = len(self._migrations)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > newest:
            raise DamagedError(f"its schema is version {version}, and {newest} the newest known here")
        if version == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
            raise DamagedError("it holds something else")
        for number, script in enumerate(self._migrations[version:], version + 1):
            connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
        try:
            for table, columns in self._tables.items():
                connection.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608 - both are constants
        except sqlite3.OperationalError as error:
            raise DamagedError(str(error)) from error

    def is_gone(self) -> bool:
        """Whether somebody has taken the file away, or put another in its place."""
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

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
        for old in damaged[: -self._damaged_kept]:
            for side in SIDES:
                Path(f"{old}{side}").unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the file as one, without its side files, and the lock to others."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        os.close(self._lock)

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

    def _insert(self, table: str) -> str:
        columns = self._tables[table]
        places = ", ".join("?" for _ in columns.split(","))
        return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - constants, all of it

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


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Keep every agent from this file meanwhile; BlockingIOError where one has it."""
    lock = _take_lock(path)
    try:
        yield
    finally:
        os.close(lock)


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
