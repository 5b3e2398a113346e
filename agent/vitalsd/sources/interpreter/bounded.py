"""Another process's memory, of which no more is read than so many bytes, and not for longer than so."""

from __future__ import annotations

import time
from collections.abc import Callable

from vitalsd.sources.interpreter.memory import ProcessMemory

__all__ = ["BoundedMemory", "SpentError"]


class SpentError(Exception):
    """More is wanted than may be read."""


class BoundedMemory:
    """Whoever wants more gets SpentError. The time is the thread's own on a processor."""

    def __init__(
        self,
        memory: ProcessMemory,
        most_bytes: int,
        seconds: float,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._memory = memory
        self._left = most_bytes
        self._until = clock() + seconds
        self._clock = clock

    def read(self, address: int, size: int) -> bytes:
        """Exactly so many bytes."""
        self._take(size)
        return self._memory.read(address, size)

    def read_most(self, address: int, size: int) -> bytes:
        """So many bytes, or as many as there are."""
        self._take(size)
        return self._memory.read_most(address, size)

    def _take(self, size: int) -> None:
        if size > self._left or self._clock() > self._until:
            raise SpentError
        self._left -= size
