"""
Measures a loop that has a selector, by wrapping its `select`: exact, without a timer or a wake-up of its own.

An iteration that only asks what is ready is busy from end to end, as in libuv's books: it pays for one look at
the clock, one store into the segment and a few additions. One that waits pays for two looks and three stores.
Totals go into the ledger when a stretch was long or 100 ms have passed, 2 s at rest. A wait that ends later
than it was to end is busy from then on: its thread was ready, and had to wait for the interpreter, a processor, or
to be continued. The stores let the agent see a stall in progress even when the interpreter cannot run another
thread.
"""

from __future__ import annotations

from time import monotonic, perf_counter

from . import layout

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .ledger import Ledger

FIRST_BOUND = layout.DELAY_BOUNDS_SECONDS[0]
LONG_BUSY = layout.LONG_BUSY_SECONDS
LONG_IDLE = layout.LONG_IDLE_SECONDS
ON_TIME = layout.ON_TIME_SECONDS
FOREVER = float("inf")


class SelectorMeter:
    """One running loop whose selector is wrapped. Made and ended in the loop's own thread."""

    flavour = layout.SELECTOR

    def __init__(self, loop: Any, ledger: Ledger, words: Any, failed: Callable[[], None]) -> None:
        self.loop = loop
        self.ledger = ledger
        self._selector = loop._selector
        self._found = self._selector.__dict__.get("select")
        """What somebody else had put in the same place, which is put back."""
        self._words, self._since = words, layout.SINCE + ledger.slot
        self._wrap(self._selector.select, words, failed)
        self._selector.select = self._hook

    def _wrap(self, select: Any, words: Any, failed: Callable[[], None]) -> None:
        ledger = self.ledger
        book_stretch: Callable[[float], None] = ledger.book_stretch
        since, due = layout.SINCE + ledger.slot, layout.DUE + ledger.slot
        woke = settled_at = monotonic()
        busy = square = 0.0
        laps = 0
        finished = False
        flush_at = ledger.flush(woke, layout.SELECTOR, True)
        words[since] = woke

        def measured_select(timeout: float | None = None) -> Any:
            nonlocal busy, square, laps, woke
            laps += 1
            if timeout == 0:
                try:
                    return select(timeout)
                finally:
                    turned = monotonic()
                    stretch = turned - woke
                    if stretch > FIRST_BOUND or turned > flush_at:
                        book(turned, stretch)
                    else:
                        busy += stretch
                        square += stretch * stretch
                    words[since] = woke = turned
            slept = monotonic()
            stretch = slept - woke
            if stretch > FIRST_BOUND or slept > flush_at:
                book(slept, stretch)
            else:
                busy += stretch
                square += stretch * stretch
            words[due] = due_at = slept + (FOREVER if timeout is None else timeout)
            words[since] = -slept
            try:
                return select(timeout)
            finally:
                woke = monotonic()
                waited = woke - slept
                if waited > ON_TIME:
                    if woke > due_at + ON_TIME:
                        settle(woke, woke - due_at, due_at, waited)
                    elif waited > LONG_IDLE:
                        settle(woke, 0.0, woke, waited)
                words[since] = woke

        def book(now: float, stretch: float) -> None:
            """Book a busy stretch that is not among the shortest, or that ends when all is to be settled."""
            nonlocal busy, square
            if stretch > LONG_BUSY or now > flush_at:
                settle(now, stretch, woke, 0.0)
                return
            busy += stretch
            square += stretch * stretch
            book_stretch(stretch)

        def settle(now: float, stretch: float, began: float, waited: float) -> None:
            """Book everything up to `now`, where a busy stretch that `began`, or a wait, has ended."""
            nonlocal busy, square, laps, flush_at, settled_at
            if finished:
                return
            try:
                ledger.book(busy + stretch, (square + stretch * stretch) / 2, laps)
                ledger.book_idle(max(0.0, now - settled_at - busy - stretch))  # what was not busy was waiting
                settled_at = now
                busy = square = 0.0
                laps = 0
                if stretch > FIRST_BOUND:
                    book_stretch(stretch)
                    ledger.book_stall(began, stretch)
                if stretch > LONG_BUSY or waited > LONG_IDLE or now > flush_at:
                    flush_at = ledger.flush(now, layout.SELECTOR, True)
            except Exception:
                flush_at = float("inf")
                failed()

        def finish(now: float) -> None:
            settle(now, now - woke, woke, 0.0)
            ledger.flush(now, layout.SELECTOR, False)

        def release() -> None:
            """From now on only pass calls on: where somebody has wrapped the hook it cannot be taken out."""
            nonlocal words, finished, book_stretch
            finished, book_stretch = True, _nothing
            words = [0.0] * (due + 1)

        self._finish, self._release, self._hook = finish, release, measured_select

    def overdue(self, now: float) -> tuple[float, float]:
        """
        Since when the loop has been busy, and for how long; (0, 0) while it waits for events, which may come now.

        One that should have come back from its wait waits for a processor or for the interpreter, and its stack
        does not tell for whom.
        """
        since = self._words[self._since]
        return (since, now - since) if since > 0 else (0.0, 0.0)

    def waiting(self) -> tuple[float, float]:
        """Callbacks that are ready, and timers that are set."""
        return float(len(self.loop._ready)), float(len(self.loop._scheduled))

    def end(self) -> None:
        """The loop has stopped: book the rest and leave it as it was."""
        self._finish(monotonic())
        self.unhook()
        self.ledger.mark(0.0)

    def unhook(self) -> None:
        """Take the wrapper out, whatever the loop is doing, unless somebody has wrapped it in turn."""
        self._release()
        own = self._selector.__dict__
        if own.get("select") is self._hook:
            if self._found is not None:
                own["select"] = self._found
            else:
                del own["select"]


def cost_per_iteration() -> float:
    """
    What the wrapper adds to an iteration that waits, the dearer kind, in seconds.

    The best of a few short runs over a stand-in.
    """

    class Selector:
        def select(self, timeout: float | None = None) -> None:
            return None

    class Stub:
        _selector: Any = None

    class NoLedger:
        slot = 0
        book_stretch = staticmethod(_nothing)

        def flush(self, now: float, flavour: int, running: bool) -> float:
            return now + 60.0

    loop = Stub()
    loop._selector = Selector()
    bare = _time_of(loop._selector)
    SelectorMeter(loop, NoLedger(), [0.0] * (layout.DUE + 1), _nothing)  # type: ignore[arg-type]
    return max(0.0, _time_of(loop._selector) - bare)


def _nothing(*_arguments: Any) -> None:
    pass


def _time_of(selector: Any) -> float:
    best = 1.0
    for _ in range(5):
        began = perf_counter()
        for _ in range(50):
            selector.select(60)
        best = min(best, (perf_counter() - began) / 50)
    return best
