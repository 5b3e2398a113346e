"""
Every recycling of late, in memory and in a SQLite file: what backoff, breaker and a restarted agent go by.

All methods belong to the agent's loop. Nothing waits for the disk but `written`, without which no worker is asked
to end: an agent that restarts again and again must know what it did the last time. Costs a thread and a file where
`remedy.mode` is not `off`, and nothing where it is.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from vitalsd.remedy.model import Outcome, Recycling
from vitalsd.storage.file import StorageFile
from vitalsd.storage.loading import LoadingKeeper

__all__ = ["KIND", "Recyclings"]

log = structlog.get_logger(__name__)

KIND = "remedy"
"""What the file's name begins with."""
MIGRATIONS = ("CREATE TABLE recycling (id TEXT PRIMARY KEY, asked REAL NOT NULL, document BLOB NOT NULL);",)
"""What brings a file from each version of the schema to the next."""
TABLES = {"recycling": "id, asked, document"}
CACHE_KIB = 64
MOST = 500
"""Of all targets; the breaker looks at a handful of each."""
WRITE_SECONDS = 3.0
IDLE_SECONDS = 3600.0


class _Loaded(NamedTuple):
    recyclings: tuple[Recycling, ...]


class _Database(StorageFile):
    """The open file. All of its errors are OSError or sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MIGRATIONS, TABLES, cache_kib=CACHE_KIB)

    def load(self) -> _Loaded:
        """The latest, first asked for first."""
        rows = self._connection.execute("SELECT id, document FROM recycling ORDER BY asked DESC LIMIT ?", (MOST,))
        read = [each for name, document in rows if (each := _recycling(name, document)) is not None]
        return _Loaded(tuple(reversed(read)))

    def write(self, recyclings: Iterable[Recycling]) -> None:
        """Write all of them or none, and keep no more than there is room for."""
        with self._transaction():
            for each in recyclings:
                row = each.id, each.asked_at, msgspec.json.encode(each)
                self._connection.execute(self._insert("recycling"), row)
            self._connection.execute(
                "DELETE FROM recycling WHERE id NOT IN (SELECT id FROM recycling ORDER BY asked DESC LIMIT ?)",
                (MOST,),
            )


class _File(LoadingKeeper[_Database, _Loaded]):
    """The file and its thread."""

    def __init__(self, folder: Callable[[], Path], listen: str) -> None:
        super().__init__(folder, KIND, listen)
        self._waiting: dict[str, Recycling] = {}

    def put(self, recycling: Recycling) -> None:
        """Keep this state of it."""
        with self._turn:
            self._waiting[recycling.id] = recycling
            self._turn.notify()

    def _open_file(self, path: Path) -> _Database:
        return _Database(path)

    def _load(self, database: _Database) -> _Loaded:
        return database.load()

    def _write(self, database: _Database, now: float, *, everything: bool) -> None:
        del now
        with self._turn:
            if self._loaded and not everything:
                return  # what lies there is to be taken over before it is written over
            waiting = dict(self._waiting)
        if not waiting:
            return
        database.write(waiting.values())
        with self._turn:
            for name, written in waiting.items():
                if self._waiting.get(name) is written:
                    del self._waiting[name]

    def _due(self) -> float:
        return time.monotonic() + (0.0 if self._waiting and not self._loaded else IDLE_SECONDS)


class Recyclings:
    """What was recycled, and what came of it."""

    def __init__(self, folder: Callable[[], Path], listen: str) -> None:
        self._file = _File(folder, listen)
        self._all: dict[str, Recycling] = {}
        """First asked for first."""
        self.totals: Counter[tuple[str, Outcome]] = Counter()
        """Target, outcome -> how often, since this agent began."""
        self._started = False
        self._no_thread: str | None = None
        """Why there is none to write with."""
        self._known = False

    def start(self, wait_seconds: float = 0.0) -> None:
        """Go on with what is stored, which is known when the disk has told; so long it is waited for."""
        if self._started:
            return
        try:
            self._file.start(wait_seconds)
        except RuntimeError as error:  # the group has no room for another thread: it may have later
            if self._no_thread is None:
                log.error("store_unavailable", store=KIND, reason=str(error))  # noqa: TRY400 - it says it all
            self._no_thread = str(error)
        else:
            self._started, self._no_thread = True, None

    @property
    def is_reading(self) -> bool:
        """Whether what lies there has been asked for a moment ago, and will be known in another."""
        self._go_on()
        return self._started and not self._known and self._file.problem is None

    @property
    def problem(self) -> str | None:
        """Why nothing may be recycled now, if that is so: nobody would know of it later."""
        self._go_on()
        if self._no_thread is not None:
            return f"what was recycled cannot be written down: {self._no_thread}"
        if self._file.problem is not None:
            return f"what was recycled cannot be written down: {self._file.problem}"
        return None if self._known else "what was recycled before is not known yet"

    def of(self, target: str) -> tuple[Recycling, ...]:
        """Those of one target, first asked for first."""
        self._go_on()
        return tuple(each for each in self._all.values() if each.target == target)

    def pending(self) -> tuple[Recycling, ...]:
        """Those that are not judged yet."""
        self._go_on()
        return tuple(each for each in self._all.values() if each.outcome is None)

    def put(self, recycling: Recycling) -> None:
        """Take in what has become of one."""
        self._go_on()
        before = self._all.get(recycling.id)
        if recycling.outcome is not None and (before is None or before.outcome is None):
            self.totals[recycling.target, recycling.outcome] += 1
        self._all[recycling.id] = recycling
        while len(self._all) > MOST:
            del self._all[next(iter(self._all))]
        self._file.put(recycling)

    async def written(self, recycling: Recycling) -> str | None:
        """Take in a new one and wait until it lies on the disk; why it does not, if that is so."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await asyncio.wrap_future(self._file.ask(lambda database: database.write([recycling])))
        except TimeoutError:
            return "what is recycled cannot be written down: the disk does not answer"
        except Exception as error:  # noqa: BLE001 - whatever the disk has, nothing is recycled
            return f"what is recycled cannot be written down: {error}"
        self.put(recycling)
        return None

    def close(self) -> None:
        """Write what is waiting, if the disk takes it in a moment."""
        if self._started:
            self._file.close()

    def _go_on(self) -> None:
        """Take over what lies in a file that was just opened, and have it hold what is known here."""
        while self._started and (loaded := self._file.taken()) is not None:
            self._known = True
            here = self._all
            self._all = {each.id: each for each in loaded.recyclings if each.id not in here} | here
            for each in here.values():
                self._file.put(each)


def _recycling(name: str, document: bytes) -> Recycling | None:
    try:
        return msgspec.json.decode(document, type=Recycling)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError) as error:
        log.warning("store_record_unreadable", id=name, reason=str(error))
        return None
