"""
Which event loops run in which thread, and which slot of the segment each has.

A slot belongs to a thread, so loops that end and start again there go on in the same books. The first slot is kept
for the main thread. A loop's name is the thread's without the number, since names end as label values: `main`,
`ThreadPoolExecutor`, `loop-2`.
"""

from __future__ import annotations

import sys

from . import layout
from .heartbeat import HeartbeatMeter
from .ledger import Ledger
from .lifecycle import allocate_lock, get_ident
from .selectormeter import SelectorMeter

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .gcspans import GcSpans
    from .segment import Segment
    from .stalls import StallBook
if TYPE_CHECKING:
    Meter = SelectorMeter | HeartbeatMeter


class Loops:
    """The loops of this process."""

    def __init__(
        self,
        segment: Segment,
        stalls: StallBook,
        gcspans: GcSpans,
        iteration_cost: float,
        failed: Callable[[], None],
    ) -> None:
        self._segment = segment
        self._stalls = stalls
        self._gcspans = gcspans
        self._iteration_cost = iteration_cost
        self._failed = failed
        self._ledgers: dict[int, Ledger] = {}
        self.running: dict[int, Meter] = {}
        """By the identity of the thread, as `sys._current_frames` has it."""
        self.unwatched = 0
        self._opening = allocate_lock()
        self._retired_own_seconds = 0.0
        self._closed = False

    @property
    def busy_seconds(self) -> float:
        """Busy time booked so far, of all loops that have a slot."""
        return sum(ledger.busy_seconds for ledger in list(self._ledgers.values()))

    @property
    def own_seconds(self) -> float:
        """What measuring has cost all loops so far."""
        return self._retired_own_seconds + sum(ledger.own_seconds for ledger in list(self._ledgers.values()))

    def attach(self, loop: Any) -> None:
        """Measure `loop`, which has just started, or is running, in this thread."""
        if self._closed:
            return
        try:
            ident = get_ident()
            meter = self.running.get(ident)
            if meter is not None:
                if meter.loop is loop:
                    return
                self.detach(ident)
            ledger = self._ledgers.get(ident)
            if ledger is None:
                with self._opening:
                    ledger = self._open(ident)
            if ledger is None:
                return
            kind = SelectorMeter if _has_selector(loop) else HeartbeatMeter
            self.running[ident] = kind(loop, ledger, self._segment.words, self._failed)
        except Exception:
            self._failed()

    def detach(self, ident: int) -> None:
        """The loop of thread `ident`, which is this one, has stopped."""
        meter = self.running.pop(ident, None)
        if meter is not None:
            meter.end()

    def unhook_all(self) -> None:
        """Leave every loop as it was, for good; safe from any thread and in a forked child."""
        self._closed = True
        for meter in list(self.running.values()):
            meter.unhook()
        self.running.clear()

    def _open(self, ident: int) -> Ledger | None:
        taken = {ledger.slot: owner for owner, ledger in self._ledgers.items()}
        mine = (0,) if _is_main(ident) else range(1, layout.LOOPS)
        free = [slot for slot in mine if slot not in taken]
        if not free:
            alive = sys._current_frames()
            free = [slot for slot in mine if taken[slot] not in alive]
        if not free:
            self.unwatched += 1
            return None
        slot = min(free)
        retired = self._ledgers.pop(taken.get(slot, -1), None)
        if retired is not None:
            self._retired_own_seconds += retired.own_seconds
        name = _unused_name(_thread_name(ident), [ledger.name for ledger in self._ledgers.values()])
        ledger = Ledger(slot, name, self._segment, self._stalls, self._gcspans, self._iteration_cost)
        self._ledgers[ident] = ledger
        return ledger


def _has_selector(loop: Any) -> bool:
    selector = getattr(loop, "_selector", None)
    return hasattr(loop, "_run_once") and hasattr(selector, "select") and hasattr(selector, "__dict__")


def _is_main(ident: int) -> bool:
    threading = sys.modules.get("threading")
    return threading is None or bool(ident == threading.main_thread().ident)


def _thread_name(ident: int) -> str:
    if _is_main(ident):
        return "main"
    thread = sys.modules["threading"]._active.get(ident)  # current_thread() would register one it does not know
    name = thread.name if thread is not None else "thread"
    return name.split(" (")[0].rstrip("0123456789-_ ") or "thread"


def _unused_name(name: str, taken: list[str]) -> str:
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = "%s-%d" % (name, number)
    return candidate
