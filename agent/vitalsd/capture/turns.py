"""
One order from its turn to its end: the host's lock, another look at whether it may be, the engine, the outcome.

Whatever an engine or the disk does, the order ends and its capture is told as ended: one that stayed active for
ever would keep all others of its kind from being taken. Being cancelled ends it early and keeps nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from vitalsd.capture.chooser import Chooser
from vitalsd.capture.engines.registry import CaptureError, DiskError, RoomError, Subject
from vitalsd.capture.hostlock import host_lock, look_lock
from vitalsd.capture.making import Order, make
from vitalsd.capture.model import Refusal, RefusalWord, Wanted
from vitalsd.capture.outcomes import Outcomes, keys_of
from vitalsd.capture.shelf import Shelf
from vitalsd.capture.surroundings import Surroundings
from vitalsd.errors import NotFound

__all__ = ["Turns"]

log = structlog.get_logger(__name__)

HOST_SECONDS = 60.0
"""So long a capture waits for that of another agent of this host."""
HOST_RETRY_SECONDS = 0.5


class Turns:
    """Takes orders, one at a time; who calls sees to that."""

    def __init__(
        self,
        around: Surroundings,
        chooser: Chooser,
        shelf: Shelf,
        outcomes: Outcomes,
        clock: Callable[[], float],
    ) -> None:
        self._around = around
        self._chooser = chooser
        self._shelf = shelf
        self._outcomes = outcomes
        self._clock = clock

    async def follow(self, name: str, order: Order) -> None:
        """Have it taken; an engine's mistakes are the capture's, never the agent's."""
        try:
            if not await self._its_turn(name, order):
                other = "another agent of this host has been capturing all the time"
                self._outcomes.refused(self._outcomes.known(name), Refusal("host", other, HOST_SECONDS))
        except CaptureError as error:
            await self._failed(name, order, str(error), _whose(error))
        except asyncio.CancelledError:
            await self._cancelled(name)
        except Exception as error:
            log.exception("capture_broken", id=name)
            await self._failed(name, order, f"{type(error).__name__}: {error}", None)

    async def _failed(self, name: str, order: Order, problem: str, word: RefusalWord | None) -> None:
        """A disk that is full is nobody's fault here, and an engine is not left alone for it."""
        try:
            if word is None and await self._shelf.is_full():
                word = "disk"
        except asyncio.CancelledError:
            pass  # it has failed before it was cancelled
        self._outcomes.failed(name, order.wanted.key, problem, word=word)

    async def _cancelled(self, name: str) -> None:
        try:
            await self._shelf.undo(name)
        except (asyncio.CancelledError, CaptureError) as error:
            log.warning("capture_leftover", id=name, reason=str(error) or "the agent ends")
        self._outcomes.cancelled(name, closing=self._chooser.closing)

    async def _its_turn(self, name: str, order: Order) -> bool:
        """Take it while no other agent of this host takes one; whether there was such a moment."""
        until = time.monotonic() + HOST_SECONDS
        while time.monotonic() < until:
            with look_lock() if order.wanted.kind == "stacks" else host_lock() as mine:
                order.other_agent = not mine
                if mine:
                    await self._take(name, order)
                    return True
            await asyncio.sleep(HOST_RETRY_SECONDS)
        return False

    async def _take(self, name: str, order: Order) -> None:
        wanted = order.wanted
        await self._shelf.look_at_disk()
        subject = self._still(wanted)
        # What was so when it was asked for may be so no longer.
        chosen = subject if isinstance(subject, Refusal) else self._chooser.choose(wanted, subject, name)
        if isinstance(chosen, Refusal) or isinstance(subject, Refusal):
            assert isinstance(chosen, Refusal)
            self._outcomes.refused(self._outcomes.known(name), chosen)
            return
        order.engine, order.instead = chosen.engine, chosen.instead
        most = self._shelf.most_bytes
        await self._shelf.make_room(most)
        before = await self._shelf.before(wanted, order.engine)
        known = self._outcomes.known(name)
        running = replace(
            known,
            state="running",
            engine=order.engine.name,
            holds_seconds=chosen.holds_seconds,
            started_at=self._clock(),
        )
        self._outcomes.put(running)
        log.info("capture_began", **keys_of(running))
        order.began = time.monotonic()
        done = await make(
            running,
            order,
            subject,
            self._shelf.store,
            late_seconds=lambda: self._around.late_seconds(wanted.key),
            most_bytes=most,
            before=before,
            clock=self._clock,
        )
        self._outcomes.done(replace(done, pinned=self._outcomes.known(name).pinned))

    def _still(self, wanted: Wanted) -> Subject | Refusal:
        """The same process as it is now."""
        try:
            subject = self._around.subject(wanted.target, wanted.worker)
        except NotFound as error:
            return Refusal("gone", str(error))
        if subject.worker.key == wanted.key:
            return subject
        return Refusal(
            "gone", f"process {wanted.key.own_number} has ended: ask for the worker that came in its place"
        )


def _whose(error: CaptureError) -> RefusalWord | None:
    """What was too little, where that is not the engine's fault."""
    if isinstance(error, DiskError):
        return "disk"
    return "own_memory" if isinstance(error, RoomError) else None
