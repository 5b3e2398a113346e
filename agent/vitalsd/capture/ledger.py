"""
Every capture that was asked for, with what became of it: in memory at once, on disk when the disk takes it.

All methods belong to the agent's loop and return at once; only `start` waits, for a bounded moment. Bounded in
number: those that were refused are forgotten first, those of which there are files last. What was deleted is kept,
unseen, since it has used up some of the budget: `recent` has it, for the policy.

`recent` also tells times as the clock of now would have told them, as far as they are of this boot, by the clock
that nobody can set. So a clock that is set back or forward neither opens a budget nor keeps it closed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from vitalsd.capture.database import Entry, LedgerFile, Loaded
from vitalsd.capture.model import ACTIVE, Capture
from vitalsd.capture.packed import MOST_WHOLE, Packed
from vitalsd.ids import new_id
from vitalsd.storage.boot import boot_id

__all__ = ["CUT_OFF", "Ledger", "cut_off"]

START_SECONDS = 2.0
KEPT_SECONDS = 15 * 86_400.0
"""What has no files; what has some is kept as long as these are."""
MOST = 2000
MOST_REFUSED = 500
TIDY_SECONDS = 3600.0
STEP_SECONDS = 1.0
"""A clock that differs by less was not set, and nobody minds."""
CUT_OFF = "the agent ended in the middle of it"


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Ledger:
    """What was captured, what was not, and why."""

    def __init__(
        self,
        folder: Callable[[], Path],
        listen: str,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = _uptime,
    ) -> None:
        self._clock = clock
        self._uptime = uptime
        self._file = LedgerFile(folder, listen)
        self._boot = boot_id() or secrets.token_hex(8)
        self._entries: dict[str, Entry] = {}
        """First asked for first."""
        self._all: tuple[Capture, ...] | None = ()
        self._recent: tuple[Capture, ...] | None = ()
        self._recent_offset = 0.0
        self._tidy_at = 0.0
        self._ours = False
        self._refused: dict[str, None] = {}
        """Those that were, the first at the beginning; a storm of them is not to be a search each."""
        self._whole: dict[str, None] = {}
        """Those that have their summary with them, the first to lose it at the beginning."""
        self._packed = Packed()

    def start(self) -> None:
        """Go on with what is stored."""
        self._file.start(START_SECONDS)
        self._go_on()

    def all(self) -> tuple[Capture, ...]:
        """Every one that is known, latest asked for first; the same object until one changes."""
        self._go_on()
        if self._all is None:
            self._all = tuple(each.capture for each in reversed(self._entries.values()) if not each.removed)
        return self._all

    def recent(self) -> tuple[Capture, ...]:
        """For the policy: what was not refused, deleted ones too, and times as the clock of now has them."""
        self._go_on()
        offset = self._offset()
        if self._recent is None or abs(offset - self._recent_offset) > STEP_SECONDS:
            self._recent_offset = offset
            begun = (each for each in reversed(self._entries.values()) if _worth(each) != REFUSED)
            self._recent = tuple(self._as_of_now(each, offset) for each in begun)
        return self._recent

    def one(self, name: str) -> Capture | None:
        """The capture of this id."""
        self._go_on()
        entry = self._entries.get(name)
        return self._packed.whole(entry.capture) if entry is not None and not entry.removed else None

    def new_id(self) -> str:
        """An id that none of them has."""
        while (drawn := new_id(self._clock())) in self._entries:
            pass
        return drawn

    def put(self, capture: Capture) -> None:
        """Take in a new one, or what has become of one."""
        self._go_on()
        self._keep(capture)
        self._bound()

    def remove(self, name: str) -> None:
        """Show it no longer; its files are deleted."""
        self._go_on()
        entry = self._entries.get(name)
        if entry is not None and not entry.removed:
            bare = msgspec.structs.replace(entry.capture, artifacts=(), summary={}, pinned=False)
            self._set(msgspec.structs.replace(entry, capture=bare, removed=True))

    @property
    def problem(self) -> str | None:
        """Why nothing is stored now, if that is so."""
        return self._file.problem

    @property
    def tried(self) -> bool:
        """Whether the file was opened, or could not be: until then, nobody knows what was captured before."""
        return self._file.tried

    @property
    def is_ours(self) -> bool:
        """Whether the file was opened once, so that all it knows is known here, and no other agent uses it."""
        self._go_on()
        return self._ours

    def close(self) -> None:
        """Write what is waiting, if the disk takes it in a moment."""
        self._file.close()

    def _keep(self, capture: Capture) -> None:
        before = self._entries.get(capture.id)
        number = before.number if before is not None else self._next_number()
        removed = before is not None and before.removed
        asked, started, ended = self._since_boot(capture, before)
        self._set(Entry(capture, number, removed, self._boot, asked or 0.0, started, ended))

    def _since_boot(self, capture: Capture, before: Entry | None) -> list[float | None]:
        """When it was asked for, began and ended, by the clock that nobody sets; what was known stays."""
        known = before if before is not None and before.boot == self._boot else None
        offset = self._offset()
        moments: list[float | None] = []
        for name in ("asked", "started", "ended"):
            at = getattr(capture, f"{name}_at")
            if known is not None and at == getattr(known.capture, f"{name}_at"):
                moments.append(getattr(known, name))
            else:
                moments.append(None if at is None else at - offset)
        return moments

    def _next_number(self) -> int:
        return self._entries[next(reversed(self._entries))].number + 1 if self._entries else 1

    def _set(self, entry: Entry) -> None:
        before = self._entries.get(entry.capture.id)
        self._entries[entry.capture.id] = entry
        self._changed(before)
        self._changed(entry)
        self._refused.pop(entry.capture.id, None)
        if _worth(entry) == REFUSED:
            self._refused[entry.capture.id] = None
        self._file.put(entry)
        self._packed.forget(entry.capture.id)
        self._lighten(entry.capture)

    def _lighten(self, capture: Capture) -> None:
        """Have no more than the latest summaries in memory as they are."""
        self._whole.pop(capture.id, None)
        if capture.summary:
            self._whole[capture.id] = None
        while len(self._whole) > MOST_WHOLE:
            name = next(iter(self._whole))
            del self._whole[name]
            entry = self._entries[name]
            light = self._packed.take(entry.capture)
            self._entries[name] = msgspec.structs.replace(entry, capture=light)
            self._all = self._recent = None

    def _forget(self, name: str) -> None:
        self._changed(self._entries.pop(name))
        self._refused.pop(name, None)
        self._whole.pop(name, None)
        self._packed.forget(name)
        self._file.forget(name)

    def _changed(self, entry: Entry | None) -> None:
        """Have made anew what it is part of: a thousand refusals in a minute are nobody's past."""
        self._all = None
        if entry is not None and _worth(entry) != REFUSED:
            self._recent = None

    def _offset(self) -> float:
        """What the clock of now is ahead of the time since the boot."""
        return self._clock() - self._uptime()

    def _as_of_now(self, entry: Entry, offset: float) -> Capture:
        capture = entry.capture
        if entry.boot != self._boot or abs(entry.asked + offset - capture.asked_at) <= STEP_SECONDS:
            return capture
        started = None if entry.started is None else entry.started + offset
        ended = None if entry.ended is None else entry.ended + offset
        return msgspec.structs.replace(capture, asked_at=entry.asked + offset, started_at=started, ended_at=ended)

    def _go_on(self) -> None:
        """Take over what lies in a file that was just opened, and have it hold all that is known here."""
        while (loaded := self._file.taken()) is not None:
            self._take_over(loaded)
        if self._uptime() >= self._tidy_at:
            self._tidy()

    def _take_over(self, loaded: Loaded) -> None:
        self._ours = True
        lying = {each.capture.id: each for each in loaded.entries}
        here, self._entries = self._entries, {}
        for name, entry in lying.items():
            if name not in here:
                self._entries[name] = entry
        last = max((each.number for each in lying.values()), default=0)
        for place, (name, entry) in enumerate(here.items(), last + 1):
            kept = entry if name in lying else msgspec.structs.replace(entry, number=place)
            self._entries[name] = kept
            if lying.get(name) != kept:
                self._file.put(msgspec.structs.replace(kept, capture=self._packed.whole(kept.capture)))
        self._packed.adopt(loaded.packed, set(here))
        for name in loaded.ids - self._entries.keys():
            self._file.forget(name)
        for entry in list(self._entries.values()):
            if entry.capture.state in ACTIVE and entry.capture.id not in here:
                self._keep(cut_off(entry.capture, self._clock()))
        self._refused = {name: None for name, entry in self._entries.items() if _worth(entry) == REFUSED}
        for entry in list(self._entries.values()):
            if self._packed.whole(entry.capture) is entry.capture:
                self._lighten(entry.capture)
        self._all = self._recent = None
        self._tidy()

    def _tidy(self) -> None:
        """Forget what is too old."""
        self._tidy_at = self._uptime() + TIDY_SECONDS
        for name, entry in list(self._entries.items()):
            here = entry.boot == self._boot
            age = self._uptime() - entry.asked if here else self._clock() - entry.capture.asked_at
            if age > KEPT_SECONDS and _worth(entry) < HAS_FILES:
                self._forget(name)
        self._bound()

    def _bound(self) -> None:
        """Forget what is too much, the oldest first of what matters least."""
        while len(self._refused) > MOST_REFUSED:
            self._forget(next(iter(self._refused)))
        excess = len(self._entries) - MOST
        if excess > 0:
            for name in sorted(self._entries, key=lambda name: _worth(self._entries[name]))[:excess]:
                self._forget(name)


REFUSED, HAS_NONE, HAS_FILES, PINNED, IS_ACTIVE = range(5)


def _worth(entry: Entry) -> int:
    """The more, the longer it is remembered."""
    capture = entry.capture
    if capture.state in ACTIVE:
        return IS_ACTIVE
    if capture.artifacts:
        return PINNED if capture.pinned else HAS_FILES
    return REFUSED if capture.state == "refused" else HAS_NONE


def cut_off(capture: Capture, now: float) -> Capture:
    """One that was under way when an agent ended: over when it would have been over anyway, at the latest."""
    began = capture.asked_at if capture.started_at is None else capture.started_at
    ended_at = max(began, min(now, began + capture.seconds))
    return msgspec.structs.replace(capture, state="failed", ended_at=ended_at, problem=CUT_OFF, refusal="closed")
