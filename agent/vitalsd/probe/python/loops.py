"""
Which event loops run in which thread, and which slot of the segment each has.

A slot has one set of books for good. The first is the main thread's; the others belong to whichever thread runs a
loop there, so loops that end and start again, and threads that come and go, carry on the same counters under the
same few labels: `main`, `loop-1` to `loop-7`. The thread's own name is told beside them, where it is no label.
"""

from __future__ import annotations

import os
import sys
from _thread import get_native_id

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
        self._slots: dict[int, int] = {}
        """Thread -> the slot that it had last."""
        self.running: dict[int, Meter] = {}
        """By the identity of the thread, as `sys._current_frames` has it."""
        self._unwatched: set[int] = set()
        self._opening = allocate_lock()
        self._closed = False

    @property
    def unwatched(self) -> int:
        """Threads that run a loop for which there is no slot."""
        return len(self._unwatched)

    @property
    def busy_seconds(self) -> float:
        """Busy time booked so far, of all loops."""
        return sum(ledger.busy_seconds for ledger in list(self._ledgers.values()))

    @property
    def own_seconds(self) -> float:
        """What measuring has cost all loops so far."""
        return sum(ledger.own_seconds for ledger in list(self._ledgers.values()))

    def objects(self) -> list[Any]:
        """The loops that are measured now."""
        return [meter.loop for meter in list(self.running.values())]

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
            kind = SelectorMeter if _has_selector(loop) else HeartbeatMeter
            with self._opening:
                ledger = self._open(ident)
                if ledger is None:
                    self._unwatched.add(ident)
                    return
                self._unwatched.discard(ident)
                self.running[ident] = kind(loop, ledger, self._segment.words, self._failed)
            self._unhook_if_closed(ledger)
        except Exception:
            self._failed()

    def _unhook_if_closed(self, ledger: Ledger) -> None:
        """Another thread may have closed everything while a loop was being attached."""
        if self._closed:
            self.unhook_all()
            ledger.mark(0.0)

    def detach(self, ident: int) -> None:
        """The loop of thread `ident`, which is this one, has stopped."""
        self._unwatched.discard(ident)
        meter = self.running.get(ident)
        if meter is not None:
            meter.end()
            del self.running[ident]

    def attach_again(self) -> None:
        """Have each loop be measured anew, in its own thread: the segment has moved."""
        for meter in list(self.running.values()):
            self._ask_to_attach(meter.loop)

    def _ask_to_attach(self, loop: Any) -> None:
        try:
            loop.call_soon_threadsafe(self._attach_again, loop)
        except RuntimeError:
            pass  # it has been closed; the others go on

    def _attach_again(self, loop: Any) -> None:
        try:
            self.detach(get_ident())
            self.attach(loop)
        except Exception:
            self._failed()

    def unhook_all(self) -> None:
        """Leave every loop as it was, for good; safe from any thread and in a forked child."""
        self._closed = True
        for meter in list(self.running.values()):
            meter.unhook()
        self.running.clear()

    def _open(self, ident: int) -> Ledger | None:
        taken = {self._slots[other] for other in list(self.running)}
        mine = self._slots.get(ident)
        if mine is None or mine in taken:
            allowed = (0,) if _is_main() else range(1, layout.LOOPS)
            free = [slot for slot in allowed if slot not in taken]
            if not free:
                return None
            mine = min(free)
            self._slots = {other: slot for other, slot in self._slots.items() if slot != mine}
            self._slots[ident] = mine
        if mine not in self._ledgers:
            self._ledgers[mine] = Ledger(mine, self._segment, self._stalls, self._gcspans, self._iteration_cost)
        ledger = self._ledgers[mine]
        ledger.thread_name, ledger.thread_id = _thread_name(ident), get_native_id()
        return ledger


def _has_selector(loop: Any) -> bool:
    selector = getattr(loop, "_selector", None)
    return hasattr(loop, "_run_once") and hasattr(selector, "select") and hasattr(selector, "__dict__")


def _is_main() -> bool:
    """By the kernel's number: the ones of `threading` are those of greenlets where gevent has patched it."""
    return bool(get_native_id() == os.getpid())


def _thread_name(ident: int) -> str:
    if _is_main():
        return "main"
    threading = sys.modules.get("threading")
    thread = threading._active.get(ident) if threading is not None else None  # current_thread() would register one
    return str(thread.name) if thread is not None else "a thread of its own"
