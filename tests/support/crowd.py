"""
The control port over made-up targets, as many as a test wants, that change as real ones do; no process is behind.

Served by a thread with a loop of its own, by the same app and listener as in the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from support.views import BLOCKING, NOW, PROBE, WATCHED, FixedView
from vitalsd.model import Frame, Incident, RecentLoop, TargetSnapshot, WorkerKey, WorkerSample
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.serve import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Crowd", "crowd"]

PER_TARGET = 20
KINDS = ("stall", "starvation", "leak", "error_surge", "worker_down")
HOST = "127.0.0.1"


class Crowd:
    """Who is served, and where."""

    def __init__(self, workers: int, incidents: int) -> None:
        self.view = FixedView(all_targets=_targets(workers), all_incidents=_incidents(incidents, workers))
        self.token = "a-token-of-the-test"
        self.origin = ""
        self._round = 0
        self.shift()

    @property
    def link(self) -> str:
        """The path that a person opens."""
        return f"/?token={self.token}"

    def shift(self) -> None:
        """Another round of samples: a tenth of the workers has other figures."""
        self._round += 1
        changed = []
        for target in self.view.all_targets:
            workers = tuple(
                self._moved(worker, number) if (number + self._round) % 10 == 0 else worker
                for number, worker in enumerate(target.workers)
            )
            changed.append(replace(target, workers=workers))
        self.view.all_targets = tuple(changed)

    def _moved(self, worker: WorkerSample, number: int) -> WorkerSample:
        share = ((self._round * 7 + number * 13) % 97) / 100
        self.view.last_minute[worker.key] = {"main": RecentLoop(60.0, share, (0.01, 0.025), number % 3)}
        assert worker.process is not None
        grown = (worker.process.resident_bytes or 0) + (1 << 20)
        process = replace(worker.process, resident_bytes=grown, anonymous_bytes=grown)
        return replace(worker, at=worker.at + 5.0, process=process)

    def stall(self, summary: str, **changes: object) -> Incident:
        """One more incident, of now; it is open."""
        name = f"new{len(self.view.all_incidents):08}"
        found = replace(BLOCKING, id=name, opened_at=time.time(), summary=summary, **changes)
        self.view.all_incidents = (found, *self.view.all_incidents)
        return found


def _targets(workers: int) -> tuple[TargetSnapshot, ...]:
    probe = replace(PROBE, loops=(replace(PROBE.loops[0], current_stall=None),))
    made = [
        replace(
            WATCHED,
            target=f"service-{number // PER_TARGET:02}",
            slot=str(number % PER_TARGET),
            key=WorkerKey(10_000 + number, number),
            probe=probe,
        )
        for number in range(workers)
    ]
    names = dict.fromkeys(worker.target for worker in made)
    return tuple(
        TargetSnapshot(name=name, up=True, workers=tuple(each for each in made if each.target == name))
        for name in names
    )


def _incidents(count: int, workers: int) -> tuple[Incident, ...]:
    """Every fiftieth is open, the latest first."""
    return tuple(
        replace(
            BLOCKING,
            id=f"old{number:08}",
            kind=KINDS[number % len(KINDS)],
            target=f"service-{number % max(1, workers // PER_TARGET):02}",
            worker=str(number % PER_TARGET),
            severity="critical" if number % 7 == 0 else "warning",
            state="open" if number % 50 == 0 else "resolved",
            opened_at=NOW - 60.0 * number,
            resolved_at=None if number % 50 == 0 else NOW - 60.0 * number + 30,
            culprit=Frame(f"handle_{number % 211}", "/srv/shop/orders.py", number % 400),
            summary=f"Worker {number % PER_TARGET} was blocked by handle_{number % 211} in orders.py.",
        )
        for number in range(count)
    )


@contextlib.contextmanager
def crowd(workers: int, incidents: int, *, every_seconds: float | None = 1.0) -> Iterator[Crowd]:
    """Serve them; they change that often, or only when they are told to."""
    made = Crowd(workers, incidents)
    started, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        listener = Listener(control_app(made.view, Token(made.token), HOST), f"{HOST}:0", "control.listen")
        made.origin = f"http://{listener.addresses[0]}"
        running = asyncio.create_task(listener.run())
        started.set()
        while not ended.is_set():
            await asyncio.sleep(every_seconds or 0.1)
            if every_seconds is not None:
                made.shift()
        listener.stop()
        await running

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield made
    finally:
        ended.set()
        thread.join(20)
