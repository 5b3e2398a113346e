"""
Counts what the process runs: asyncio tasks, threads, and executors with their busy threads and queues.

Reads lengths only, once a second, and only of modules that the service itself has loaded.
"""

from __future__ import annotations

import sys

UNKNOWN = float("nan")


def tasks() -> float:
    """Tasks that exist, over all loops; unknown where asyncio keeps them out of sight (3.14)."""
    module = sys.modules.get("asyncio.tasks")
    if module is None:
        return 0.0
    if sys.version_info >= (3, 14):
        return UNKNOWN
    if sys.version_info >= (3, 12):
        return float(len(module._scheduled_tasks.data) + len(module._eager_tasks))
    return float(len(module._all_tasks.data))


def threads() -> float:
    """Threads that the service started through `threading`, the main one included."""
    module = sys.modules.get("threading")
    return float(len(module._active)) if module is not None else 1.0


def executors() -> tuple[float, float, float]:
    """Threads, busy threads and queued calls of all thread pool executors."""
    module = sys.modules.get("concurrent.futures.thread")
    if module is None:
        return 0.0, 0.0, 0.0
    pools = {}
    queues = {}
    alive = 0
    for thread, queue in list(module._threads_queues.items()):
        arguments = getattr(thread, "_args", None)
        if not thread.is_alive() or not arguments:
            continue
        alive += 1
        queues[id(queue)] = queue
        pool = arguments[0]()
        if pool is not None:
            pools[id(pool)] = pool
    idle = sum(pool._idle_semaphore._value for pool in pools.values())
    return float(alive), float(max(0, alive - idle)), float(sum(queue.qsize() for queue in queues.values()))
