"""
History as the daemon has it: fed with each round, on disk when the disk takes it, read by an agent that starts.

All methods belong to the agent's loop and return at once; only `start` and `close` wait, for a bounded moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import structlog

from vitalsd.history.memory import MemoryPast, hour_of, memory_spans
from vitalsd.history.minutes import Minutes
from vitalsd.history.points import Point
from vitalsd.history.records import HOUR_SECONDS, Row
from vitalsd.history.replay import points_of
from vitalsd.history.store import Store

__all__ = ["History"]

log = structlog.get_logger(__name__)

START_SECONDS = 1.0
PATIENCE_SECONDS = 30.0
"""How long an agent that starts waits for its file, which the one before may still have."""
AGAIN_SECONDS = 0.5
ANSWER_SECONDS = 2.0
"""How long somebody who asks waits for the disk."""


class History:
    """What was read of every worker, minute by minute, over restarts of workers and agents."""

    def __init__(
        self, folder: Callable[[], Path], listen: str, kept_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._minutes = Minutes()
        self._store = Store(folder, listen, kept_seconds, clock)
        self._lost_told = False
        self._patient_until = 0.0

    def start(self) -> None:
        """Open the file, or begin to try."""
        self._patient_until = time.monotonic() + PATIENCE_SECONDS
        self._store.start(START_SECONDS)

    def keep(self, points: Iterable[Point]) -> None:
        """Take in a round."""
        for point in points:
            self._minutes.keep(point)
        if self._store.wants() and (batch := self._minutes.drain()):
            self._store.put(batch)
        if self._minutes.lost and not self._lost_told:
            self._lost_told = True
            log.error("history_lost", reason=self.problem or "the disk is too slow")

    async def replay(self, since: float = 0.0) -> AsyncIterator[list[Point]]:
        """
        What lies in the file of the time until now, one worker's hour after the other, as far as it can be read.

        Each of them costs the loop a third of a millisecond, and others have their turn in between.
        """
        until, damaged = self._clock(), list[str]()
        try:
            await self._opened()
            hour = await asyncio.wrap_future(self._store.first(int(since // HOUR_SECONDS)))
            while hour is not None and hour * HOUR_SECONDS < until:
                for row in await asyncio.wrap_future(self._store.of(hour)):
                    points = points_of(row, damaged.append, since)
                    while points and points[-1].t >= until:  # of a clock that was wrong
                        points.pop()
                    yield points
                    await asyncio.sleep(0)
                hour = await asyncio.wrap_future(self._store.first(hour + 1))
        except Exception as error:  # noqa: BLE001 - whatever the disk has, the agent goes on
            log.error("history_not_replayed", reason=self.problem or str(error))  # noqa: TRY400 - told by the store
        if damaged:
            log.warning("history_rows_unreadable", count=len(damaged), first=damaged[0])

    async def memory(self, target: str, worker: str, since: float) -> MemoryPast:
        """The memory of one worker from unix time `since` on; what the disk does not tell in time is missing."""
        place, problem = (target, worker), None
        stored: list[Row] = []
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                stored = await asyncio.wrap_future(
                    self._store.memory(place, hour_of(since), hour_of(self._clock()) + 1)
                )
        except TimeoutError:
            problem = "What was earlier is missing: the disk has not answered in time."
        except Exception as error:  # noqa: BLE001 - whatever the disk has, what is in memory is told
            problem = f"What was earlier is missing: {error}."
        return MemoryPast(memory_spans(stored, self._minutes.of(place), since), problem)

    @property
    def problem(self) -> str | None:
        """Why nothing is stored now, if that is so."""
        return self._store.problem

    def close(self) -> None:
        """Write what is waiting, if the disk takes it in a moment."""
        if batch := self._minutes.drain():
            self._store.put(batch)
        self._store.close()

    async def _opened(self) -> None:
        while not self._store.tried or self.problem is not None:
            if time.monotonic() >= self._patient_until:
                return
            await asyncio.sleep(AGAIN_SECONDS)
