"""
Sums over slots of time that follow each other, as far back as there are slots: a day in a kilobyte.

Pure. Costs an addition, and at the turn of a slot a loop over those that nobody has added to.
"""

from __future__ import annotations

from array import array

__all__ = ["Slots"]


class Slots:
    """One sum for each slot; those that are too old make room for new ones."""

    def __init__(self, count: int) -> None:
        self._values = array("f", bytes(4 * count))
        self._latest: int | None = None

    def add(self, slot: int, value: float) -> None:
        """Add to the sum of a slot; what a clock that was set back calls an earlier one is added to the latest."""
        slot = self._advance(slot)
        self._values[slot % len(self._values)] += value

    def ending(self, slot: int) -> list[float]:
        """The sums of as many slots as there are, `slot` the last of them, oldest first."""
        count = len(self._values)
        latest = self._latest
        if latest is None:
            return [0.0] * count
        return [
            self._values[number % count] if latest - count < number <= latest else 0.0
            for number in range(slot - count + 1, slot + 1)
        ]

    def _advance(self, slot: int) -> int:
        latest, count = self._latest, len(self._values)
        if latest is None:
            self._latest = slot
            return slot
        for number in range(max(latest, slot - count) + 1, slot + 1):
            self._values[number % count] = 0.0
        self._latest = max(latest, slot)
        return self._latest
