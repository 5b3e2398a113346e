"""How much memory is a worker's own, and how much of its limit is used: what every face tells. Pure."""

from __future__ import annotations

from vitalsd.model.samples import WorkerSample

__all__ = ["limit_share", "own_bytes"]


def own_bytes(worker: WorkerSample) -> int | None:
    """Anonymous and swapped out: without pages of files, which are there while nobody needs the room."""
    process = worker.process
    if process is None or process.anonymous_bytes is None:
        return None
    return process.anonymous_bytes + (process.swap_bytes or 0)


def limit_share(worker: WorkerSample) -> float | None:
    """Of a group's limit all that is in the group counts, but for what the kernel takes back before it kills."""
    memory = worker.memory
    if memory is None or not memory.limit_bytes:
        return None
    if memory.limit_kind == "group":
        left = memory.group.left_bytes if memory.group is not None else None
        return min(1.0, max(0.0, 1.0 - left / memory.limit_bytes)) if left is not None else None
    own = own_bytes(worker)
    return own / memory.limit_bytes if own is not None else None
