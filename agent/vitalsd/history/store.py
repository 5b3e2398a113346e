"""
History on disk, as the agent's loop meets it: batches are handed over, and nothing is ever waited for.

Costs a transaction every four minutes, in a thread: 0.3 ms of processor time for each worker. An agent that is
young writes more often, so that one which lives for a minute leaves something. One that is killed loses what came
after the last of these.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from vitalsd.history.database import KIND, Database, Hour
from vitalsd.history.memory import memory_rows
from vitalsd.history.minutes import Batch
from vitalsd.history.records import Place, Row
from vitalsd.storage.keeper import Keeper

__all__ = ["Store"]

FIRST_SECONDS = 5.0
"""After the start; then twice as long each time, up to LONGEST_SECONDS."""
LONGEST_SECONDS = 240.0
PRUNE_SECONDS = 3600.0


class Store(Keeper[Database]):
    """The file and its thread. Every method but `start` and `close` returns at once."""

    def __init__(
        self, folder: Callable[[], Path], listen: str, kept_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(folder, KIND, listen)
        self._clock = clock
        self._kept_seconds = kept_seconds
        self._batches: list[Batch] = []
        self._spacing = FIRST_SECONDS
        self._put_at = time.monotonic()
        self._prune_at = 0.0

    def wants(self) -> bool:
        """Whether it is time for a batch, and the one before is written."""
        return not self._batches and time.monotonic() >= self._put_at + self._spacing

    def put(self, batch: Batch) -> None:
        """Write this."""
        with self._turn:
            self._batches.append(batch)
            self._put_at = time.monotonic()
            self._spacing = min(2 * self._spacing, LONGEST_SECONDS)
            self._turn.notify()

    def first(self, since: int) -> Future[int | None]:
        """The first hour of which there is something, from `since` on."""
        return self.ask(lambda database: database.rows.first(since))

    def of(self, hour: int) -> Future[list[Hour]]:
        """What is known of an hour, worker by worker."""
        return self.ask(lambda database: database.rows.of(hour))

    def memory(self, place: Place, since: int, until: int) -> Future[list[Row]]:
        """What is known of the memory of one worker in these hours."""
        return self.ask(lambda database: memory_rows(database.rows, place, since, until))

    def _open(self, path: Path) -> Database:
        return Database(path)

    def _write(self, database: Database, now: float, *, everything: bool) -> None:
        while self._batches:
            database.add(self._batches[0])
            with self._turn:
                del self._batches[0]
        if now >= self._prune_at and not everything:
            database.prune(self._clock(), self._kept_seconds)
            self._prune_at = now + PRUNE_SECONDS

    def _due(self) -> float:
        return 0.0 if self._batches else self._prune_at
