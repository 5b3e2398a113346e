"""
Readings that are kept some time apart: a window of any length in a bounded number of them.

The latest reading is always there; one before it stays if it is far enough from the one before that. Pure. Costs a
few comparisons per reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Spaced"]

V = TypeVar("V")


class Spaced(Generic[V]):
    """The readings of the last `seconds`, and one before them to compare with."""

    def __init__(self, seconds: float, parts: int) -> None:
        self.seconds = seconds
        self._spacing = seconds / parts
        self._kept: deque[tuple[float, V]] = deque()

    def put(self, at: float, value: V) -> None:
        """Take in the reading of this time; a clock that was set back begins anew."""
        kept = self._kept
        if kept and at <= kept[-1][0]:
            if at == kept[-1][0]:
                return
            kept.clear()
        if len(kept) > 1 and kept[-1][0] - kept[-2][0] < self._spacing:
            kept[-1] = at, value
        else:
            kept.append((at, value))
        while len(kept) > 1 and kept[1][0] <= at - self.seconds:
            kept.popleft()

    def clear(self) -> None:
        """Begin anew."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[tuple[float, V]]:
        """Time and reading, oldest first."""
        return iter(self._kept)

    def __reversed__(self) -> Iterator[tuple[float, V]]:
        return reversed(self._kept)

    @property
    def newest(self) -> tuple[float, V] | None:
        """The latest."""
        return self._kept[-1] if self._kept else None

    @property
    def oldest(self) -> tuple[float, V] | None:
        """The first that is kept."""
        return self._kept[0] if self._kept else None

    def back(self, seconds: float) -> tuple[float, V] | None:
        """The latest that is at least so much older than the newest; None where none is."""
        if not self._kept:
            return None
        until = self._kept[-1][0] - seconds
        return next((reading for reading in reversed(self._kept) if reading[0] <= until), None)
