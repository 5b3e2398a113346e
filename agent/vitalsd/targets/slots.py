"""
Stable slots for workers: a replacement inherits the lowest free slot of its target. Pure.

Slots are what labels carry, so a service that recycles its workers for a year still has as many series as it has
workers. A slot is free from the moment its worker is gone; while nobody takes it, it is told as down for
HOLD_SECONDS, and then the target counts as having shrunk.

An agent that starts goes on with the slots that the one before it has left: who still lives sits where it sat, and
who has gone meanwhile is replaced like any other. How often in between nobody knows, so that counts once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import msgspec

from vitalsd.model import WorkerKey

__all__ = ["SlotRow", "Slots"]

HOLD_SECONDS = 60.0


class SlotRow(msgspec.Struct, frozen=True):
    """One slot as it is kept over restarts of the agent."""

    target: str
    slot: int
    pid: int
    start_ticks: int
    """With the pid: who sits there, or sat there last."""
    restarts: int
    seen_at: float = 0.0
    """Unix time at which an agent last knew it so."""
    match: str | None = None
    """The pattern that its target was found by, if that is known: by another, the same name is another service."""

    @property
    def key(self) -> WorkerKey:
        """Who that is, in this boot."""
        return WorkerKey(self.pid, self.start_ticks)


class _Slot(msgspec.Struct):
    key: WorkerKey | None
    last: WorkerKey
    gone_at: float = 0.0
    restarts: int = 0
    counted: bool = False
    """The next to sit here was counted already, when somebody took the slot who was no worker."""


class Slots:
    """The slots of one target."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}

    def restore(self, left: Iterable[SlotRow]) -> None:
        """
        Go on with what an earlier agent has left, be it known late; no count steps back.

        Who sat in a slot then sits there now. Who has replaced somebody meanwhile stays, and counts.
        """
        rows = list(left)
        own, self._slots = self._slots, {}
        seated = {slot.key for slot in own.values()}
        moving = {row.key for row in rows}
        for row in rows:
            here = own.pop(row.slot, None)
            if here is not None and here.key not in {None, *moving} and row.key not in seated:
                here.restarts = row.restarts + max(1, here.restarts)
                self._slots[row.slot] = here
            else:
                told = here.restarts if here is not None else 0
                self._slots[row.slot] = _Slot(row.key, row.key, restarts=max(row.restarts, told))
        self._slots |= {number: slot for number, slot in own.items() if slot.key not in moving}

    def assign(self, keys: Iterable[WorkerKey], now: float, alive: Iterable[WorkerKey] = ()) -> None:
        """
        Keep those who stay, free the slots of those who went, and seat the new ones, oldest first.

        Who is still `alive` and no worker any more never was one: a master is alone before it has forked. Its slot
        goes with it, since whoever comes next does not replace it; one that others have had before is free again.
        """
        present, mistaken = set(keys), set(alive)
        for number, slot in list(self._slots.items()):
            if slot.key is not None and slot.key not in present:
                wrong = slot.key in mistaken
                if wrong and not slot.restarts:
                    del self._slots[number]
                else:
                    slot.key, slot.gone_at, slot.counted = None, now, wrong
        seated = {slot.key for slot in self._slots.values() if slot.key is not None}
        for key in sorted(present - seated, key=_age):
            self._seat(key)
        for number, slot in list(self._slots.items()):
            if slot.key is None and now - slot.gone_at > HOLD_SECONDS:
                del self._slots[number]

    def _seat(self, key: WorkerKey) -> None:
        free = [self._slots[number] for number in sorted(self._slots) if self._slots[number].key is None]
        own = [slot for slot in free if slot.last == key]  # out of sight for a while, and nobody new
        if not free:
            lowest = next(number for number in itertools.count() if number not in self._slots)
            self._slots[lowest] = _Slot(key, key)
            return
        slot = (own or free)[0]
        slot.restarts += not own and not slot.counted
        slot.key, slot.last, slot.counted = key, key, False

    def seated(self) -> dict[str, WorkerKey | None]:
        """Slot -> who sits there, None for a worker that is gone and not replaced yet."""
        return {str(number): slot.key for number, slot in sorted(self._slots.items())}

    def restarts(self) -> dict[str, int]:
        """Slot -> how many workers it has seen after its first."""
        return {str(number): slot.restarts for number, slot in sorted(self._slots.items())}

    def rows(self, target: str) -> Iterator[SlotRow]:
        """All that an agent must know to go on with them."""
        for number, slot in self._slots.items():
            yield SlotRow(target, number, slot.last.pid, slot.last.start_ticks, slot.restarts)


def _age(key: WorkerKey) -> tuple[int, int]:
    return (key.start_ticks, key.pid)
