"""
One reading of one worker as growth is judged by it, and as it is kept, exported and read back.

The format of `vitalsd history export` and `vitalsd backtest`: one JSON object a line. Bytes and counts; `None` is
what was not known. Pure.
"""

from __future__ import annotations

import msgspec

from vitalsd.model import WorkerSample

__all__ = ["METRICS", "Point", "point_of"]

METRICS = ("rss_anon", "swap", "heap_live", "heap_used", "blocks", "fds", "threads", "tasks", "left")
"""What is kept over time; `limit` is kept too, and seldom changes."""
UNKNOWN_LIMIT = frozenset({"memory.limit_bytes", "memory.group"})
"""Of what is missing of a sample."""


class Point(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is known of one worker at one instant."""

    t: float
    """Unix time."""
    target: str
    worker: str
    """The slot."""
    start: float
    """Unix time at which the process began: another one is another lifetime."""
    rss_anon: float | None = None
    swap: float | None = None
    limit: float | None = None
    """Of memory, the least that holds for the process; 0 is none."""
    heap_live: float | None = None
    """After the last full collection."""
    heap_used: float | None = None
    """In use now, garbage that waits for its collection included."""
    blocks: float | None = None
    fds: float | None = None
    threads: float | None = None
    tasks: float | None = None
    left: float | None = None
    """Bytes before somebody meets the limit that the process shares with all others of its control group."""


def point_of(sample: WorkerSample) -> Point | None:
    """The point that a sample makes; None for a slot that waits for its worker."""
    process, probe, memory = sample.process, sample.probe, sample.memory
    if process is None or not sample.up:
        return None
    group = memory.group if memory is not None else None
    return Point(
        t=sample.at,
        target=sample.target,
        worker=sample.slot,
        start=process.started_at,
        rss_anon=process.anonymous_bytes,
        swap=process.swap_bytes,
        limit=_limit(sample),
        heap_live=probe.heap_live_bytes if probe is not None else None,
        heap_used=probe.heap_used_bytes if probe is not None else None,
        blocks=probe.heap_blocks if probe is not None else None,
        fds=process.open_fds,
        threads=process.threads,
        tasks=probe.tasks if probe is not None else None,
        left=group.left_bytes if group is not None else None,
    )


def _limit(sample: WorkerSample) -> int | None:
    """0 where it is known that there is none: one that was there may have been taken away."""
    memory = sample.memory
    if memory is None or (memory.limit_bytes is None and not UNKNOWN_LIMIT.isdisjoint(sample.missing)):
        return None
    return memory.limit_bytes or 0
