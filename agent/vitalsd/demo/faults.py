"""
The faults of the demo service: what really goes wrong in services, in small and on demand.

Each fault is one coroutine that lasts for some seconds. The functions it calls carry names as they might stand in
a real service, since these are what stacks and incidents show. What a fault leaves behind is given back by `calm`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["FAULTS", "MAX_SECONDS", "Faults"]

DEFAULT_SECONDS = 4.0
MAX_SECONDS = 60.0

BLOCK_SECONDS = 1.0
QUERY_SECONDS = 1.5
SESSIONS = 800_000
SUBSCRIBERS = 15_000
"""Enough for turns of some 20 ms: too short for a stall, long enough that every request waits."""
VISITORS_AT_ONCE = 5_000
MAX_VISITORS = 1_500_000
"""About 150 MiB of 100 bytes each."""
MAX_LOST_REPLIES = 5_000
DISK_JOBS = 60

CATALOGUE = ("sku;price;stock;title",) * 1_000


@dataclass
class Mess:
    """What faults leave behind until `calm`."""

    visitors: list[str] = field(default_factory=list)
    replies: set[asyncio.Task[None]] = field(default_factory=set)
    disk_answers: threading.Event = field(default_factory=threading.Event)


async def block(_mess: Mess, seconds: float) -> None:
    """One second of computing in every two, in the loop's own thread."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        parse_whole_catalogue()
        await asyncio.sleep(BLOCK_SECONDS)


def parse_whole_catalogue() -> None:
    """Compute for a second without a pause."""
    until = time.monotonic() + BLOCK_SECONDS
    while time.monotonic() < until:
        for row in CATALOGUE:
            row.split(";")


async def sync_call(_mess: Mess, seconds: float) -> None:
    """A synchronous call in a coroutine, now and then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ask_old_database()
        await asyncio.sleep(0.5)


def ask_old_database() -> None:
    """Wait as a driver without async support would."""
    time.sleep(QUERY_SECONDS)


async def gc_storm(_mess: Mess, seconds: float) -> None:
    """Many objects in cycles, and full collections over all of them."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rebuild_every_session()
        await asyncio.sleep(0.2)


def rebuild_every_session() -> None:
    """Make objects that only the collector can free, and have it look at each."""
    sessions: list[list[object]] = []
    for _ in range(SESSIONS):
        session: list[object] = []
        session.append(session)
        sessions.append(session)
    gc.collect()
    sessions.clear()
    gc.collect()


async def ready_flood(_mess: Mess, seconds: float) -> None:
    """Thousands of tasks that never wait, so whatever arrives waits for all of them."""
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as subscribers:
        for number in range(SUBSCRIBERS):
            subscribers.create_task(notify_subscriber(until))
            if number % 1_000 == 0:
                await asyncio.sleep(0)  # to create all of them at once would be a stall, another fault


async def notify_subscriber(until: float) -> None:
    """Give way and be back at once."""
    while time.monotonic() < until:  # noqa: ASYNC110 - the fault itself
        await asyncio.sleep(0)


async def leak(mess: Mess, seconds: float) -> None:
    """A list of small objects that only grows."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(mess.visitors) < MAX_VISITORS:
        remember_visitors(mess.visitors)
        await asyncio.sleep(0.02)


def remember_visitors(visitors: list[str]) -> None:
    """Remember some more, for ever."""
    begin = len(visitors)
    visitors.extend(f"visitor {number:>8} came from a search" for number in range(begin, begin + VISITORS_AT_ONCE))


async def task_leak(mess: Mess, seconds: float) -> None:
    """Tasks that wait for ever."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(mess.replies) < MAX_LOST_REPLIES:
        mess.replies.update(asyncio.create_task(wait_for_lost_reply()) for _ in range(100))
        await asyncio.sleep(0.1)


async def wait_for_lost_reply() -> None:
    """Wait for what nobody will send."""
    await asyncio.get_running_loop().create_future()


async def error_surge(_mess: Mess, seconds: float) -> None:
    """Errors that nobody looks at, through three channels."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        payment = asyncio.create_task(charge_card())
        receipt = send_receipt()
        threading.Thread(target=write_audit_log).start()
        await asyncio.sleep(0.1)
        del payment, receipt


async def charge_card() -> None:
    """Fail in a task whose result is never asked for."""
    raise ConnectionError("the bank has hung up")


async def send_receipt() -> None:
    """Never run: who calls this forgets to await it."""


def write_audit_log() -> None:
    """Fail in a thread."""
    raise PermissionError("the audit log is read-only")


async def executor(mess: Mess, seconds: float) -> None:
    """Slow jobs in every thread of the default pool, and more that queue for one."""
    loop = asyncio.get_running_loop()
    until = time.monotonic() + seconds
    jobs = [loop.run_in_executor(None, read_from_slow_disk, mess.disk_answers, until) for _ in range(DISK_JOBS)]
    await asyncio.gather(*jobs)


def read_from_slow_disk(answers: threading.Event, until: float) -> None:
    """Hold a thread until the disk answers."""
    answers.wait(max(0.0, until - time.monotonic()))


async def crash(_mess: Mess, _seconds: float) -> None:
    """End this worker as a fault in native code would: at once, without a word."""
    await asyncio.sleep(0.05)  # the answer to who asked for it leaves first
    os._exit(1)


FAULTS: dict[str, Callable[[Mess, float], Awaitable[None]]] = {
    "block": block,
    "sync_call": sync_call,
    "leak": leak,
    "task_leak": task_leak,
    "gc_storm": gc_storm,
    "ready_flood": ready_flood,
    "error_surge": error_surge,
    "executor": executor,
    "crash": crash,
}


class Faults:
    """The faults of one worker, and the mess they make."""

    def __init__(self) -> None:
        self._mess = Mess()
        self._running: dict[str, asyncio.Task[None]] = {}

    def switch_on(self, name: str, seconds: float = DEFAULT_SECONDS) -> None:
        """Begin the fault `name`, or begin it anew."""
        earlier = self._running.pop(name, None)
        if earlier is not None:
            earlier.cancel()
        self._running[name] = asyncio.create_task(self._play(name, seconds))

    async def _play(self, name: str, seconds: float) -> None:
        await FAULTS[name](self._mess, seconds)

    def calm(self) -> None:
        """End all of them and give everything back."""
        for task in (*self._running.values(), *self._mess.replies):
            task.cancel()
        self._running.clear()
        self._mess.disk_answers.set()
        self._mess = Mess()
