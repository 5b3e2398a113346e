"""
The desk: the one place that has a capture made. It chooses the engine, asks the policy, runs one at a time, and
writes down what came of it.

What was asked for and refused is a capture too, with its reason. Whatever an engine does, nothing raises out of
here, and nothing waits for the disk: that is done in a thread. All methods belong to the thread of the agent's
loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog
from msgspec.structs import replace

from vitalsd.capture.choice import Choice, choose
from vitalsd.capture.engines.registry import CaptureError, Engine, Subject, ladder, make_engines
from vitalsd.capture.facts import read_facts
from vitalsd.capture.harm import HarmWatch
from vitalsd.capture.hostlock import host_lock
from vitalsd.capture.ledger import Ledger
from vitalsd.capture.making import Order, make
from vitalsd.capture.model import (
    AskedBy,
    Capture,
    CaptureCounts,
    CaptureKind,
    OpenFile,
    Refusal,
    RefusalWord,
    Wanted,
)
from vitalsd.capture.policy import refusal
from vitalsd.capture.shelf import Shelf
from vitalsd.capture.store import Store
from vitalsd.errors import NotFound
from vitalsd.model import WorkerKey
from vitalsd.settings.model import Settings
from vitalsd.targets.processes import has_gone

__all__ = ["Desk", "Surroundings"]

log = structlog.get_logger(__name__)

HOST_SECONDS = 60.0
"""So long a capture waits for that of another agent of this host."""
HOST_RETRY_SECONDS = 0.5
AGENT_LOOK_SECONDS = 5.0


class Surroundings(Protocol):
    """What the desk asks of the rest of the agent."""

    def subject(self, target: str, worker: str | None) -> Subject:
        """The worker as it is now, the first that is up where none is named; raises NotFound."""
        ...

    def late_seconds(self, key: WorkerKey) -> float | None:
        """For how long a loop of this worker has been late; None where none is."""
        ...

    def stalls_lately(self, subject: Subject) -> int:
        """How often its loops have stalled in the last minute."""
        ...

    def busy_share(self, subject: Subject) -> float | None:
        """Of the last minute, of the loop of this worker that is busiest; None where it has none that is known."""
        ...

    def agent_late_seconds(self, seconds: float) -> float:
        """By how much the agent itself was late in this time, at the most."""
        ...

    def captured(self, capture: Capture) -> None:
        """What was asked for has ended, one way or another."""
        ...


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
        self._given = tuple(engines) if engines is not None else None
        self._made: tuple[Engine, ...] | None = None
        self._whole = settings
        self._clock = clock
        self._orders: dict[str, Order] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._closing = False
        self._taken: Counter[tuple[str, CaptureKind]] = Counter()
        self._failed: Counter[tuple[str, CaptureKind]] = Counter()
        self._refused: Counter[tuple[str, CaptureKind, RefusalWord]] = Counter()
        self._pauses: dict[tuple[str, CaptureKind], float] = {}

    def reconfigure(self, settings: Settings) -> None:
        """Hold to this from now on; what runs goes on."""
        self._settings = self._shelf.settings = settings.capture
        self._whole, self._made = settings, None

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that are known here, by kind and rank; made when one is needed, which may be never."""
        if self._given is not None:
            return self._given
        if self._made is None:
            self._made = make_engines(self._whole)
        return self._made

    async def run(self) -> None:
        """Take what is asked for, one after the other, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._shelf.tidy_now_and_then())
            while True:
                name = await self._queue.get()
                order = self._orders.get(name)
                if order is None:
                    continue  # it was cancelled
                order.task = asyncio.create_task(self._follow(name, order))
                await asyncio.wait({order.task})

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
        incident: str | None = None,
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
            force=force,
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
        )
        chosen = self._choose(wanted, subject)
        if isinstance(chosen, Refusal):
            return self._refuse(capture, chosen)
        self._orders[capture.id] = Order(wanted, chosen.engine, chosen.instead)
        self._queue.put_nowait(capture.id)
        log.info("capture_waits", **_who(capture))
        return self._put(replace(capture, engine=chosen.engine.name))

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

    def stop(self, name: str) -> Capture | None:
        """End a running one early, and keep what it has; one that waits is cancelled."""
        order, capture = self._orders.get(name), self._ledger.one(name)
        if order is None or capture is None:
            return capture
        if order.began is None:
            return self.cancel(name)
        order.stop.set()
        return self._put(replace(capture, state="stopping"))

    def cancel(self, name: str) -> Capture | None:
        """End one that waits or runs at once, and keep nothing."""
        order, capture = self._orders.get(name), self._ledger.one(name)
        if order is None or capture is None:
            return capture
        if order.task is not None:
            order.task.cancel()
            return self._put(replace(capture, state="stopping"))
        del self._orders[name]
        return self._end(replace(capture, state="cancelled", ended_at=self._clock()))

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
        return CaptureCounts(self._taken, self._failed, self._refused, self._pauses)

    async def close(self) -> None:
        """End what runs; what it was is told to the next agent."""
        self._closing = True
        running = [order.task for order in self._orders.values() if order.task is not None]
        for name in list(self._orders):
            self.cancel(name)
        if running:
            await asyncio.wait(running, timeout=2.0)
        self._ledger.close()

    def _choose(self, wanted: Wanted, subject: Subject, itself: str = "") -> Choice | Refusal:
        """What may take it now; else why nothing may."""
        if self._closing or not self._ledger.tried:
            return Refusal("closed", "the agent begins or ends at this moment: ask again in a few seconds", 5.0)
        facts = read_facts(
            subject.worker,
            late_seconds=self._around.late_seconds(wanted.key),
            agent_late_seconds=self._around.agent_late_seconds(AGENT_LOOK_SECONDS),
            free=self._shelf.free_bytes,
            busy_share=self._around.busy_share(subject),
            proc=subject.proc,
        )
        others = [capture for capture in self._ledger.recent() if capture.id != itself]

        def refuse(engine: Engine, heavy: bool) -> Refusal | None:
            return refusal(wanted, facts, others, self._settings, self._clock(), heavy=heavy, engine=engine.name)

        kinds: tuple[CaptureKind, ...] = (wanted.kind, "heap") if wanted.kind == "memory" else (wanted.kind,)
        rungs = (rung for kind in kinds for rung in ladder(self.engines, kind, subject))
        return choose(rungs, refuse, wanted.kind)

    def _duration(self, kind: CaptureKind) -> float:
        durations = {"cpu": self._settings.cpu_duration, "memory": self._settings.memory_duration}
        return durations.get(kind, 0.0)

    async def _follow(self, name: str, order: Order) -> None:
        """One order from its turn to its end; an engine's mistakes are the capture's, never the agent's."""
        try:
            if not await self._its_turn(name, order):
                other = "another agent of this host has been capturing all the time: ask again"
                self._refuse(self._known(name), Refusal("host", other, HOST_SECONDS))
        except CaptureError as error:
            self._fail(name, order, str(error))
        except asyncio.CancelledError:
            await self._shelf.undo(name)
            why = "the agent has ended" if self._closing else None
            ended = replace(self._known(name), ended_at=self._clock(), problem=why)
            self._end(
                replace(ended, state="failed", refusal="closed") if why else replace(ended, state="cancelled")
            )
        except Exception as error:
            log.exception("capture_broken", id=name)
            self._fail(name, order, f"{type(error).__name__}: {error}")
        finally:
            self._orders.pop(name, None)

    async def _its_turn(self, name: str, order: Order) -> bool:
        """Take it while no other agent of this host takes one; whether there was such a moment."""
        until = time.monotonic() + HOST_SECONDS
        while time.monotonic() < until:
            with host_lock() as mine:
                if mine:
                    await self._take(name, order)
                    return True
            await asyncio.sleep(HOST_RETRY_SECONDS)
        return False

    async def _take(self, name: str, order: Order) -> None:
        wanted = order.wanted
        await self._shelf.look_at_disk()
        subject = self._still(wanted)
        if isinstance(subject, Refusal):
            self._refuse(self._known(name), subject)
            return
        chosen = self._choose(wanted, subject, name)  # what was so when it was asked for may be so no longer
        if isinstance(chosen, Refusal):
            self._refuse(self._known(name), chosen)
            return
        order.engine, order.instead = chosen.engine, chosen.instead
        before = await self._shelf.before(wanted, order.engine)
        most = self._shelf.most_bytes
        await self._shelf.make_room(most)
        watch = HarmWatch(lambda: self._around.late_seconds(wanted.key), self._around.stalls_lately(subject))
        running = replace(self._known(name), state="running", engine=order.engine.name, started_at=self._clock())
        self._put(running)
        log.info("capture_began", **_who(running))
        order.began = time.monotonic()
        done = await make(
            running, order, subject, self._shelf.store, watch, most_bytes=most, before=before, clock=self._clock
        )
        done = replace(done, pinned=self._known(name).pinned)
        self._taken[done.target, done.kind] += 1
        if done.pause_seconds is not None:
            self._pauses[done.target, done.kind] = done.pause_seconds
        self._end(done)

    def _still(self, wanted: Wanted) -> Subject | Refusal:
        """The same process as it is now."""
        try:
            subject = self._around.subject(wanted.target, wanted.worker)
        except NotFound as error:
            return Refusal("gone", str(error))
        if subject.worker.key == wanted.key:
            return subject
        return Refusal("gone", f"process {wanted.key.pid} has ended: ask for the worker that came in its place")

    def _known(self, name: str) -> Capture:
        capture = self._ledger.one(name)
        assert capture is not None, f"capture {name} has been forgotten while it was active"
        return capture

    def _put(self, capture: Capture) -> Capture:
        self._ledger.put(capture)
        return capture

    def _refuse(self, capture: Capture, why: Refusal) -> Capture:
        self._refused[capture.target, capture.kind, why.word] += 1
        refused = replace(
            capture,
            state="refused",
            ended_at=self._clock(),
            problem=why.sentence,
            refusal=why.word,
            retry_after_seconds=why.retry_after_seconds,
        )
        return self._end(refused)

    def _fail(self, name: str, order: Order, problem: str) -> None:
        """The engine's fault, unless its process has gone."""
        capture = self._known(name)
        gone = has_gone(Path("/proc"), order.wanted.key)
        self._failed[capture.target, capture.kind] += 1
        word: RefusalWord | None = "gone" if gone else None
        self._end(replace(capture, state="failed", ended_at=self._clock(), problem=problem, refusal=word))

    def _end(self, capture: Capture) -> Capture:
        self._put(capture)
        tell = log.warning if capture.state in ("failed", "refused") or capture.harm else log.info
        tell("capture_" + capture.state, **_who(capture), reason=capture.harm or capture.problem)
        self._around.captured(capture)
        return capture


def _who(capture: Capture) -> dict[str, object]:
    return {
        "id": capture.id,
        "target": capture.target,
        "worker": capture.worker,
        "kind": capture.kind,
        "engine": capture.engine,
        "asked_by": capture.asked_by,
    }
