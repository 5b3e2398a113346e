"""
The desk: the one place where captures are asked for, stopped, cancelled, listed and deleted.

What was asked for and refused is a capture too, with its reason. Nothing but NotFound raises out of here, and
nothing waits for the disk: that is done in a thread. All methods belong to the thread of the agent's loop.
`chooser` says what may take one, `turns` has it taken, one at a time, and `outcomes` writes down what came of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count

import structlog
from msgspec.structs import replace

from vitalsd.capture.breaker import Breaker, open_breakers
from vitalsd.capture.chooser import Chooser
from vitalsd.capture.engines.registry import Engine
from vitalsd.capture.ledger import Ledger
from vitalsd.capture.making import Order
from vitalsd.capture.model import AskedBy, Capture, CaptureCounts, CaptureKind, OpenFile, Refusal, Wanted
from vitalsd.capture.outcomes import Outcomes, keys_of
from vitalsd.capture.policy import full_disk
from vitalsd.capture.shelf import Shelf
from vitalsd.capture.store import Store
from vitalsd.capture.surroundings import Surroundings
from vitalsd.capture.turns import Turns
from vitalsd.capture.uploads import Uploads
from vitalsd.settings.model import Settings

__all__ = ["Desk"]

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 2.0
Place = tuple[bool, int, str]
"""In a queue: people first, then who has asked first; and the id."""


class Desk:
    """All captures of this agent."""

    def __init__(
        self,
        around: Surroundings,
        ledger: Ledger,
        store: Store,
        settings: Settings,
        engines: Sequence[Engine] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._around = around
        self._ledger = ledger
        self._settings = settings.capture
        self._shelf = Shelf(ledger, store, settings.capture, clock)
        self._chooser = Chooser(around, ledger, self._shelf, settings, engines, clock)
        self._outcomes = Outcomes(around, ledger, clock)
        self._turns = Turns(around, self._chooser, self._shelf, self._outcomes, clock)
        self._uploads = Uploads(ledger, store, settings.capture, clock)
        self._clock = clock
        self._orders: dict[str, Order] = {}
        self._looks: asyncio.PriorityQueue[Place] = asyncio.PriorityQueue()
        self._watches: asyncio.PriorityQueue[Place] = asyncio.PriorityQueue()
        self._number = count()

    def reconfigure(self, settings: Settings) -> None:
        """Hold to this from now on; what runs goes on."""
        self._settings = self._shelf.settings = self._uploads.settings = settings.capture
        self._chooser.reconfigure(settings)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that are known here, by kind and rank."""
        return self._chooser.engines

    async def run(self) -> None:
        """Take what is asked for, one after the other, for ever: looks beside watches, which take minutes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._shelf.watch_disk())
            tasks.create_task(self._shelf.tidy_now_and_then())
            tasks.create_task(self._uploads.run())
            tasks.create_task(self._serve(self._looks))
            tasks.create_task(self._serve(self._watches))

    async def _serve(self, queue: asyncio.PriorityQueue[Place]) -> None:
        while True:
            *_, name = await queue.get()
            order = self._orders.get(name)
            if order is None:
                continue  # it was cancelled
            order.task = asyncio.create_task(self._turns.follow(name, order))
            try:
                await asyncio.wait({order.task})
            finally:
                if order.task.done():
                    self._over(name, order.task)

    def ask(
        self,
        kind: CaptureKind,
        target: str,
        worker: str | None,
        *,
        seconds: float | None = None,
        reason: str,
        asked_by: AskedBy,
        who: str,
        force: bool = False,
        redact: bool = False,
        incident: str | None = None,
        about: str = "",
    ) -> Capture:
        """Ask for one; one that is refused says why. Raises NotFound where there is no such worker."""
        subject = self._around.subject(target, worker)
        assert subject.worker.key is not None
        wanted = Wanted(
            kind=kind,
            target=target,
            worker=subject.worker.slot,
            key=subject.worker.key,
            seconds=self._duration(kind) if seconds is None else seconds,
            asked_by=asked_by,
            who=who,
            reason=reason,
            incident=incident,
            about=about,
            force=force,
            redact=redact or self._settings.redact,
        )
        capture = Capture(
            id=self._ledger.new_id(),
            kind=kind,
            target=target,
            worker=wanted.worker,
            pid=wanted.key.pid,
            state="waiting",
            asked_by=asked_by,
            who=who,
            reason=reason,
            incident=incident,
            seconds=wanted.seconds,
            asked_at=self._clock(),
            about=about,
        )
        chosen = self._chooser.choose(wanted, subject)
        if isinstance(chosen, Refusal):
            return self._outcomes.refused(capture, chosen)
        order = self._orders[capture.id] = Order(wanted, chosen.engine, chosen.instead)
        order.turn = asked_by != "person", next(self._number)
        queue = self._looks if kind == "stacks" else self._watches
        queue.put_nowait((*order.turn, capture.id))
        told = {"engine": chosen.engine.name, "holds_seconds": chosen.holds_seconds}
        capture = self._outcomes.put(replace(capture, **told))
        log.info("capture_waits", **keys_of(capture))
        return capture

    def latest(self) -> tuple[Capture, ...]:
        """All that are known, latest asked for first; the same object until one changes."""
        return self._ledger.all()

    def one(self, name: str) -> Capture | None:
        """The capture of this id."""
        return self._ledger.one(name)

    def progress(self, name: str) -> float | None:
        """How much of a running one is done; what comes after its time is the last hundredth."""
        order = self._orders.get(name)
        if order is None or order.began is None:
            return None
        elapsed = time.monotonic() - order.began
        return min(0.99, elapsed / order.wanted.seconds if order.wanted.seconds else elapsed)

    def waits_for(self, name: str) -> str | None:
        """What has to be over before this one begins, in half a sentence; None where it does not wait."""
        order = self._orders.get(name)
        if order is None or order.began is not None:
            return None
        if order.other_agent:
            return "for another agent of this host, which is capturing"
        looks = order.wanted.kind == "stacks"
        alike = {each: other for each, other in self._orders.items() if (other.wanted.kind == "stacks") == looks}
        runs = next((each for each, other in alike.items() if other.task is not None and each != name), None)
        if runs is None or order.task is not None:
            return None
        before = sum(other.task is None and other.turn < order.turn for other in alike.values())
        whose = alike[runs].wanted
        told = f"for capture {runs} (`{whose.kind}` of {whose.target}/{whose.worker}), one is taken at a time"
        return f"{told}; {before} more before it" if before else told

    def stop(self, name: str) -> Capture | None:
        """End a running one early, and keep what it has; one that waits is cancelled."""
        order, capture = self._active(name)
        if order is None or capture is None:
            return capture
        if order.began is None:
            return self.cancel(name)
        order.stop.set()
        return self._outcomes.put(replace(capture, state="stopping"))

    def cancel(self, name: str) -> Capture | None:
        """End one that waits or runs at once, and keep nothing; to ask for it twice changes nothing."""
        order, capture = self._active(name)
        if order is None or capture is None:
            return capture
        if order.task is None:
            del self._orders[name]
            return self._outcomes.cancelled(name, closing=self._chooser.closing)
        if not order.cancelled:
            order.cancelled = True
            order.task.cancel()
        return self._outcomes.put(replace(capture, state="stopping"))

    async def delete(self, name: str) -> bool:
        """Delete an ended one with its files; False where there is none."""
        return await self._shelf.delete(name)

    async def pin(self, name: str, *, pinned: bool) -> Capture | None:
        """Have one kept, or no longer."""
        return self._shelf.pin(name, pinned=pinned)

    async def open_file(self, name: str, file: str) -> OpenFile | None:
        """A file of an ended one, by the name that its capture tells."""
        return await self._shelf.open_file(name, file)

    def counts(self) -> CaptureCounts:
        """For the metrics."""
        uploads = self._uploads
        return replace(self._outcomes.counts(), uploaded=uploads.uploaded, uploads_failed=uploads.failed)

    @property
    def problem(self) -> str | None:
        """Why nothing of this is stored now, if that is so."""
        return self._ledger.problem

    @property
    def disk_problem(self) -> str | None:
        """Why the disk has no room for captures, if it had none when it was last looked at."""
        return full_disk(self._shelf.free_bytes, self._settings)

    def breakers(self) -> tuple[Breaker, ...]:
        """The engines that are left alone on a target now."""
        return open_breakers(self._ledger.recent(), self._clock())

    async def close(self) -> None:
        """End what runs; what it was is told to the next agent."""
        self._chooser.closing = True
        running = [order.task for order in self._orders.values() if order.task is not None]
        for name in list(self._orders):
            self.cancel(name)
        if running:
            await asyncio.wait(running, timeout=CLOSE_SECONDS)
        self._ledger.close()

    def _active(self, name: str) -> tuple[Order | None, Capture | None]:
        """The order, unless it has ended and is about to be taken off the list."""
        order, capture = self._orders.get(name), self._ledger.one(name)
        over = order is not None and order.task is not None and order.task.done()
        return (None if over else order), capture

    def _over(self, name: str, task: asyncio.Task[None]) -> None:
        del self._orders[name]
        if task.cancelled():  # before its first step, so that it could not say so itself
            self._outcomes.cancelled(name, closing=self._chooser.closing)

    def _duration(self, kind: CaptureKind) -> float:
        durations = {"cpu": self._settings.cpu_duration, "memory": self._settings.memory_duration}
        return durations.get(kind, 0.0)
