"""
Stable slots for workers: a replacement inherits the lowest free slot of its target. Pure.

Slots are what labels carry, so a service that recycles its workers for a year still has as many series as it has
workers. A slot is free from the moment its worker is gone; while nobody takes it, it is told as down for
HOLD_SECONDS, and then the target counts as having shrunk. One whose worker has ended out of order is told for as
long as nobody takes it, and is taken before those whose workers were asked to end: that one is missed. At a reload
the new are there before the old have ended: then they move into the places that become free.

Restarts are counted by why the worker before has ended. That may not be known yet when it is replaced, so it is
asked for until it is: a count never steps back.

An agent that starts goes on with the slots that the one before it has left: who still lives sits where it sat, and
who has gone meanwhile is replaced like any other. How often in between nobody knows, so that counts once. Why
somebody had gone before, it knows: how the worker of an empty slot has ended is kept with it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from vitalsd.model import IN_ORDER, OUT_OF_ORDER, Exit, ExitReason, WorkerKey
from vitalsd.ticks import TICKS

__all__ = ["OF_SUPERVISOR", "ReasonOf", "SlotRow", "Slots", "no_reason"]

HOLD_SECONDS = 60.0
NEWCOMER_SECONDS = 90.0
"""A supervisor that reloads starts the new ones first; the old take as long as it lets them (gunicorn: 30 s)."""
TOGETHER_SECONDS = 2.0
OF_SUPERVISOR = -1
"""The number of a row that is about no slot: how the supervisor of its target has ended lately."""
ReasonOf = Callable[[WorkerKey], ExitReason | None]
"""Why a worker that is gone has ended; None while that is being found out."""


def no_reason(_key: WorkerKey) -> ExitReason:
    """Of an agent that watches nobody's end."""
    return "unknown"


class SlotRow(msgspec.Struct, frozen=True):
    """One slot as it is kept over restarts of the agent."""

    target: str
    slot: int
    pid: int
    start_ticks: int
    """With the pid: who sits there, or sat there last."""
    restarts: dict[ExitReason, int]
    seen_at: float = 0.0
    """Unix time at which an agent last knew it so."""
    match: str | None = None
    """The pattern that its target was found by, if that is known: by another, the same name is another service."""
    ended: Exit | None = None
    """How who sat there last has ended, where nobody sits there now and that is known."""
    lately: tuple[Exit, ...] = ()
    """The latest ends out of order of who sat there, the oldest first: a loop may go on over many short agents."""

    @property
    def key(self) -> WorkerKey:
        """Who that is, in this boot."""
        return WorkerKey(self.pid, self.start_ticks)

    @property
    def why(self) -> ExitReason:
        """Why who sat there last has ended."""
        known = (*self.lately, self.ended) if self.ended is not None else self.lately
        return next((end.reason for end in known if end.key == self.key), "unknown")


class _Slot(msgspec.Struct):
    key: WorkerKey | None
    last: WorkerKey
    gone_at: float = 0.0
    restarts: dict[ExitReason, int] = {}
    owed: tuple[WorkerKey, ...] = ()
    """Who was replaced, and of whom it is not known yet why they ended."""
    newcomer_until: float = -math.inf
    """Who came while nobody was missed, and sits here as the first, may be to replace one that is about to end."""
    counted: bool = False
    """The next to sit here was counted already, when somebody took the slot who was no worker."""

    def settle(self, reason_of: ReasonOf) -> None:
        """Count those of whom it is known by now."""
        reasons = [(key, reason_of(key)) for key in self.owed]
        self.owed = tuple(key for key, reason in reasons if reason is None)
        for _, reason in reasons:
            if reason is not None:
                self.restarts = _added(self.restarts, {reason: 1})

    @property
    def told(self) -> dict[ExitReason, int]:
        """With those that are owed."""
        return _added(self.restarts, {"unknown": len(self.owed)}) if self.owed else self.restarts


class Slots:
    """The slots of one target."""

    def __init__(self, reason_of: ReasonOf = no_reason) -> None:
        self._slots: dict[int, _Slot] = {}
        self._reason_of = reason_of

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
                here.restarts, here.owed = _added(row.restarts, here.told or {row.why: 1}), ()
                self._slots[row.slot] = here
            else:
                told = here.told if here is not None else {}
                self._slots[row.slot] = _Slot(row.key, row.key, restarts=_most(row.restarts, told))
        self._slots |= {number: slot for number, slot in own.items() if slot.key not in moving}

    def assign(
        self,
        keys: Iterable[WorkerKey],
        now: float,
        alive: Iterable[WorkerKey] = (),
        missed_seconds: float = math.inf,
    ) -> None:
        """
        Keep those who stay, free the slots of those who went, and seat the new ones, oldest first.

        Who is still `alive` and no worker any more never was one: a master is alone before it has forked. Its slot
        goes with it, since whoever comes next does not replace it; one that others have had before is free again.
        A worker that has ended out of order is missed for `missed_seconds` at most.
        """
        present, mistaken = set(keys), set(alive)
        for number, slot in list(self._slots.items()):
            if slot.key is not None and slot.key not in present:
                wrong = slot.key in mistaken
                if wrong and not slot.told:
                    del self._slots[number]
                else:
                    slot.key, slot.gone_at, slot.counted = None, now, wrong
        seated = {slot.key for slot in self._slots.values() if slot.key is not None}
        joins_until = now + NEWCOMER_SECONDS if self._slots else -math.inf
        for key in sorted(present - seated, key=_age):
            self._seat(key, joins_until)
        self._move_newcomers(now)
        for number, slot in list(self._slots.items()):
            slot.settle(self._reason_of)
            if slot.key is None and now - slot.gone_at > HOLD_SECONDS:
                is_missed = not slot.counted and self._reason_of(slot.last) in OUT_OF_ORDER
                if not is_missed or now - slot.gone_at > missed_seconds:
                    del self._slots[number]

    def _move_newcomers(self, now: float) -> None:
        """Seat who was started before the one that it replaces has ended, as at a reload, in that one's place."""
        for number in sorted(self._slots):
            slot = self._slots.get(number)
            if slot is None or slot.key is not None or slot.counted or self._reason_of(slot.last) not in IN_ORDER:
                continue
            newcomers = [
                other
                for other, each in self._slots.items()
                if each.key is not None and now < each.newcomer_until and _is_younger(each.key, slot.last)
            ]
            if not newcomers:
                continue
            newcomer = self._slots.pop(min(newcomers)).key
            assert newcomer is not None
            slot.owed = (*slot.owed, slot.last)
            slot.key = slot.last = newcomer

    def _seat(self, key: WorkerKey, joins_until: float) -> None:
        free = [self._slots[number] for number in sorted(self._slots) if self._slots[number].key is None]
        free.sort(key=lambda slot: self._reason_of(slot.last) in IN_ORDER)
        own = [slot for slot in free if slot.last == key]  # out of sight for a while, and nobody new
        if not free:
            lowest = next(number for number in itertools.count() if number not in self._slots)
            self._slots[lowest] = _Slot(key, key, newcomer_until=joins_until)
            return
        slot = (own or free)[0]
        if not own and not slot.counted:
            slot.owed = (*slot.owed, slot.last)
        slot.key, slot.last, slot.counted = key, key, False

    def seated(self) -> dict[str, WorkerKey | None]:
        """Slot -> who sits there, None for a worker that is gone and not replaced yet."""
        return {str(number): slot.key for number, slot in sorted(self._slots.items())}

    def restarts(self) -> dict[str, dict[ExitReason, int]]:
        """Slot -> reason -> how many that ended so were followed by another; no reason that is not known yet."""
        return {str(number): slot.restarts for number, slot in sorted(self._slots.items())}

    def rows(self, target: str) -> Iterator[SlotRow]:
        """All that an agent must know to go on with them."""
        for number, slot in self._slots.items():
            yield SlotRow(target, number, slot.last.pid, slot.last.start_ticks, slot.told)


def _added(one: Mapping[ExitReason, int], other: Mapping[ExitReason, int]) -> dict[ExitReason, int]:
    return {reason: one.get(reason, 0) + other.get(reason, 0) for reason in {**one, **other}}


def _most(one: Mapping[ExitReason, int], other: Mapping[ExitReason, int]) -> dict[ExitReason, int]:
    return {reason: max(one.get(reason, 0), other.get(reason, 0)) for reason in {**one, **other}}


def _is_younger(key: WorkerKey, than: WorkerKey) -> bool:
    """By more than lies between those that were started together."""
    return key.start_ticks - than.start_ticks > TOGETHER_SECONDS * TICKS


def _age(key: WorkerKey) -> tuple[int, int]:
    return (key.start_ticks, key.pid)
