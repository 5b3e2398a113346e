"""
One capture from its beginning to its end: a folder aside, the engine with a time limit, a look at the harm it
does, and files that are kept whole or not at all.

Raises CaptureError, whatever goes wrong; cancelled, it ends the engine first and leaves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import structlog
from msgspec.structs import replace

from vitalsd.capture.engines.registry import FULL, CaptureError, DiskError, Engine, Job, Made, Subject
from vitalsd.capture.harm import HarmWatch, harm_of
from vitalsd.capture.model import Capture, Wanted
from vitalsd.capture.store import Store
from vitalsd.capture.summaries import bounded

__all__ = ["Order", "make"]

T = TypeVar("T")
log = structlog.get_logger(__name__)
GRACE_SECONDS = 120.0
"""Beyond what was asked for: to start, to stop, to write the report. Then the engine is ended."""


class Order:
    """A capture that waits or runs."""

    def __init__(self, wanted: Wanted, engine: Engine, instead: str | None) -> None:
        self.wanted = wanted
        self.engine = engine
        self.instead = instead
        """Why it is not a better one."""
        self.stop = asyncio.Event()
        self.cancelled = False
        self.task: asyncio.Task[None] | None = None
        self.turn: tuple[bool, int] = (False, 0)
        """Whose turn comes before whose."""
        self.other_agent = False
        """Another agent of this host is capturing, and has to be done first."""
        self.began: float | None = None
        """CLOCK_MONOTONIC at which the engine did."""


async def make(
    capture: Capture,
    order: Order,
    subject: Subject,
    store: Store,
    *,
    late_seconds: Callable[[], float | None],
    most_bytes: int,
    before: Path | None,
    clock: Callable[[], float],
) -> Capture:
    """Take it with the engine of the order; the answer is the capture as it is in the end."""
    folder = await _whole(asyncio.to_thread(store.begin, capture.id))
    job = Job(capture.id, subject, capture.seconds, folder, order.stop, most_bytes, before, order.wanted.redact)
    watch = HarmWatch(late_seconds)
    looking = asyncio.create_task(watch.look())
    try:
        made = bounded(await _taken(order.engine, job), order.instead)
    except BaseException:
        await _whole(asyncio.to_thread(store.abandon, capture.id))
        raise
    finally:
        looking.cancel()
    if watch.loop_late_seconds is not None:
        made = replace(made, summary={**made.summary, "loop_late_seconds": watch.loop_late_seconds})
    done = replace(
        capture,
        state="done",
        ended_at=clock(),
        pause_seconds=made.pause_seconds,
        summary=made.summary,
        harm=harm_of(made.pause_seconds, capture.holds_seconds),
    )
    artifacts = await _whole(asyncio.to_thread(store.finish, done, made.files))
    return replace(done, artifacts=artifacts)


async def _taken(engine: Engine, job: Job) -> Made:
    try:
        async with asyncio.timeout(job.seconds + GRACE_SECONDS):
            return await engine.take(job)
    except TimeoutError:
        after = f"{GRACE_SECONDS:g} s after its time"
        raise CaptureError(f"{engine.name} had not ended {after}, and was ended") from None
    except CaptureError:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise DiskError(f"{engine.name} could not write its files: {error}") from error
        raise CaptureError(f"{engine.name} could not be used: {error}") from error
    except Exception as error:
        log.exception("engine_failed", engine=engine.name, pid=job.subject.pid)
        raise CaptureError(f"{engine.name} could not be used: {type(error).__name__}: {error}") from error


async def _whole(work: Coroutine[None, None, T]) -> T:
    """Something at the disk, which goes on in its thread whatever comes: wait for it, then be cancelled."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
