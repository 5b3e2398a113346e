"""
Stable slots for workers: a replacement inherits the lowest free slot of its target. Pure.

Slots are what labels carry, so a service that recycles its workers for a year still has as many series as it has
workers. A slot is free from the moment its worker is gone; while nobody takes it, it is told as down for
HOLD_SECONDS, and then the target counts as having shrunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec

from vitalsd.model import WorkerKey

__all__ = ["Slots"]

HOLD_SECONDS = 60.0


class _Slot(msgspec.Struct):
    key: WorkerKey | None
    last: WorkerKey
    gone_at: float = 0.0
    restarts: int = 0


class Slots:
    """The slots of one target."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}

    def assign(self, keys: Iterable[WorkerKey], now: float, alive: Iterable[WorkerKey] = ()) -> None:
        """
        Keep those who stay, free the slots of those who went, and seat the new ones, oldest first.

        Who is still `alive` and no worker any more never was one: a master is alone before it has forked. Its slot
        goes with it, since whoever comes next does not replace it.
        """
        present, mistaken = set(keys), set(alive)
        for number, slot in list(self._slots.items()):
            if slot.key is not None and slot.key not in present:
                if slot.key in mistaken:
                    del self._slots[number]
                else:
                    slot.key, slot.gone_at = None, now
        seated = {slot.key for slot in self._slots.values() if slot.key is not None}
        for key in sorted(present - seated, key=_age):
            self._seat(key)
        for number, slot in list(self._slots.items()):
            if slot.key is None and now - slot.gone_at > HOLD_SECONDS:
                del self._slots[number]

    def _seat(self, key: WorkerKey) -> None:
        for number in sorted(self._slots):
            slot = self._slots[number]
            if slot.key is None:
                slot.restarts += slot.last != key  # who was only out of sight for a while comes back as nobody new
                slot.key = slot.last = key
                return
        lowest = next(number for number in itertools.count() if number not in self._slots)
        self._slots[lowest] = _Slot(key, key)

    def seated(self) -> dict[str, WorkerKey | None]:
        """Slot -> who sits there, None for a worker that is gone and not replaced yet."""
        return {str(number): slot.key for number, slot in sorted(self._slots.items())}

    def restarts(self) -> dict[str, int]:
        """Slot -> how many workers it has seen after its first."""
        return {str(number): slot.restarts for number, slot in sorted(self._slots.items())}


def _age(key: WorkerKey) -> tuple[int, int]:
    return (key.start_ticks, key.pid)
