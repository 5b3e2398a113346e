"""
Counts what the process runs: asyncio tasks, threads, and executors with their busy threads and queues.

Looks only at modules that the service itself has loaded. What cannot be counted, for whatever reason, raises, and
is left out by whoever asked: a pool of somebody's own kind costs its number, not the probe.
"""

from __future__ import annotations

import sys
from time import thread_time
from weakref import ref

from . import layout
from .lifecycle import sleep

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from .segment import Segment

    Pool = tuple[str, float, float, float]
    """Its name, threads, busy threads and queued calls."""

TASKS_INTERVAL_SECONDS = 2.0
MINIMUM_REST = 1000
"""A count that took t is not repeated within this many t."""
AT_ONCE = 200
UNKNOWN = float("nan")
BY_LOOP = sys.version_info >= (3, 14)


class Tasks:
    """Tasks that are not done, over all loops."""

    def __init__(self, running: Callable[[], Iterable[Any]]) -> None:
        self._running = running
        """The loops that run, which Python 3.14 must be told."""
        self._count = 0.0
        self._next = 0.0

    def count(self, now: float) -> float:
        """The latest count; a new one if it is due."""
        if now >= self._next:
            began = thread_time()
            self._count = _count_by_loop(self._running()) if BY_LOOP else _pending(task_references())
            self._next = now + max(TASKS_INTERVAL_SECONDS, (thread_time() - began) * MINIMUM_REST)
        return self._count


def _count_by_loop(loops: Iterable[Any]) -> float:
    """From any thread, as asyncio itself does it since it keeps its tasks out of sight."""
    module: Any = sys.modules.get("asyncio.tasks")
    return float(sum(len(module.all_tasks(loop)) for loop in loops)) if module is not None else 0.0


def task_references() -> list[Any]:
    """Weak references to the tasks of all loops, before 3.14."""
    module: Any = sys.modules.get("asyncio.tasks")
    if module is None:
        return []
    if sys.version_info >= (3, 12):
        return [*list(module._scheduled_tasks.data), *map(ref, list(module._eager_tasks))]
    return list(module._all_tasks.data)


def _pending(references: list[Any]) -> float:
    count = 0
    for number, reference in enumerate(references):
        task = reference()
        if task is not None and not task.done():
            count += 1
        if number % AT_ONCE == AT_ONCE - 1:
            task = None
            sleep(0)  # let the loop have the interpreter: it may be waiting for it
    return float(count)


def threads() -> float:
    """Threads that the service started through `threading`, the main one included."""
    module: Any = sys.modules.get("threading")
    return float(len(module._active)) if module is not None else 1.0


def executors() -> list[Pool]:
    """All thread pool executors, those with the longest queues first."""
    module: Any = sys.modules.get("concurrent.futures.thread")
    if module is None:
        return []
    # A copy, all at once: to go along the dictionary itself fails when a pool grows meanwhile, or when a
    # collection that just this sets off takes threads that have ended out of it.
    pairs = list(module._threads_queues.data.copy().items())
    return _pools(module, [(reference(), queue) for reference, queue in pairs])


def total(pools: Iterable[Pool]) -> tuple[float, float, float]:
    """Threads, busy threads and queued calls of all of them together."""
    threads = busy = queued = 0.0
    for _, its_threads, its_busy, its_queued in pools:
        threads, busy, queued = threads + its_threads, busy + its_busy, queued + its_queued
    return threads, busy, queued


def _pools(module: Any, pairs: Iterable[tuple[Any, Any]]) -> list[Pool]:
    """
    A thread whose innermost frame is the pool's own waits for a call; any other runs one.

    One that has ended may linger in memory, and its identity be another's by now.
    """
    waiting = module._worker.__code__
    active = module.threading._active
    frames = sys._current_frames()
    found: dict[int, tuple[str, Any, list[int]]] = {}
    for thread, queue in pairs:
        if thread is None or active.get(thread.ident) is not thread:
            continue
        frame = frames.get(thread.ident)
        if frame is None:
            continue
        counts = found.setdefault(id(queue), (thread.name, queue, [0, 0]))[2]
        counts[0] += 1
        counts[1] += frame.f_code is not waiting
    pools = [
        (_pool_name(name), float(threads), float(busy), float(queue.qsize()))
        for name, queue, (threads, busy) in found.values()
    ]
    pools.sort(key=_longest_queue_first)
    return pools


def _longest_queue_first(pool: Pool) -> tuple[float, float]:
    return -pool[3], -pool[2]


def _pool_name(thread: str) -> str:
    """`asyncio` of `asyncio_3`."""
    name, _, number = thread.rpartition("_")
    return name if name and number.isdigit() else thread


class Pools:
    """What the segment says of each pool; written where it changes."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._told: list[Pool | None] = [None] * layout.POOLS

    def tell(self, pools: Sequence[Pool]) -> None:
        """Publish those with the longest queues."""
        for place, record in enumerate(layout.POOL):
            pool = pools[place] if place < len(pools) else None
            if pool == self._told[place]:
                continue
            if pool is None:
                self._segment.put(record, (UNKNOWN,) * len(record.fields))
            else:
                self._segment.put(record, pool[1:], pool[0].encode("utf-8", "replace"))
            self._told[place] = pool
