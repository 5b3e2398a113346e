"""
Finds `heap_exhaustion`: a Node worker that V8 is about to end, because its heap meets `--max-old-space-size`.

V8 lets a heap fill with garbage, so how much is in use says little: judged is what was alive after the full
collections of late. Beyond three quarters of the limit, the line through them; beyond 85 %, that two in a row have
left so much; beyond 93 %, one. Where collections take a tenth of the last ten seconds beside that, V8 collects for
its life, and it gives up when they free too little (from 80 % on). A small heap does so from half of its limit on:
one of 64 MiB had a hundred full collections a second from 33 MiB on, and was ended at 51; there the line counts,
too, where that much is alive all the time. Only where no full collection was seen counts what is in use and stays
so. Other runtimes have no such limit. Costs a multiplication a round below half of the limit.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.detect.growth.words import rate, size, span
from vitalsd.detect.probed import no_probe_reason
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.detect.rising import rising
from vitalsd.detect.words import percent
from vitalsd.history.alive import Alive
from vitalsd.model import Finding, ProbeVitals, Severity, WorkerSample
from vitalsd.settings.model import Settings

__all__ = ["LEAST", "HeapExhaustionDetector"]

HALF = 0.5
"""Of the limit: below, V8 has room."""
LEAST = 0.75
"""Of the limit: V8 gives up from 0.8 on, where collections free little."""
HIGH = 0.85
"""After two full collections in a row: a cache that was made to fit, and has no more room than that."""
FULL = 0.93
STAYS = 0.9
"""Of the limit, in use all the time: where no full collection was seen."""
STAYS_SECONDS = 45.0
RECENT_SECONDS = 600.0
"""A full collection that is older says nothing of now."""
LATELY_SECONDS = 10.0
COLLECTS = 0.1
"""Of that time, in full collections and their steps."""
COLLECTS_MUCH = 0.3
AGAIN_PER_SECOND = 2.0
"""Full collections: where those have freed something, the next is seconds away."""
WINDOWS = (60.0, 300.0)
"""Through whose points a line is looked for, the shortest first; then through those of half an hour."""
AHEAD = 4
"""Times as far as it looks back."""
CRITICAL_SECONDS = 120.0
ROOM = 0.25
"""Of the limit, left of the container's memory: less is no room to raise it."""


class _Heap(msgspec.Struct, frozen=True):
    """A heap as it was seen of late."""

    limit: int
    used: int
    alive: int | None
    """After the latest full collection, if that was of late."""
    before: int | None
    """After the one before that."""
    collects: float
    """The share of the last seconds that full collections took, with their steps."""
    per_second: float
    """Full collections."""
    stays: int | None
    """The least that was in use, over the samples; None where they are too few."""

    @property
    def fights(self) -> bool:
        """Whether V8 collects again and again and frees little."""
        return self.collects >= COLLECTS and self.per_second >= AGAIN_PER_SECOND


class _Pace(msgspec.Struct, frozen=True):
    """How fast what is alive grows."""

    per_second: float
    seconds: float
    """Over so long."""
    left_seconds: float
    """Until it meets the limit."""


@register
class HeapExhaustionDetector:
    """The rule `heap_exhaustion`."""

    kind = "heap_exhaustion"

    def __init__(self, _settings: Settings) -> None:
        pass

    def is_quiet(self, seen: Seen) -> bool:
        """It has less than half of its limit in use, garbage and all, or no limit."""
        probe = seen.samples[-1].probe if seen.samples else None
        if probe is None or probe.heap_limit_bytes is None or probe.heap_used_bytes is None:
            return True
        return probe.heap_used_bytes < HALF * probe.heap_limit_bytes

    def judge(self, seen: Seen) -> Judgement:
        """Whether V8 will end it soon, or why not."""
        reason = no_probe_reason(seen, "heap")
        probe = seen.samples[-1].probe if seen.samples else None
        if reason is not None or probe is None or seen.past is None:
            return nothing(self.kind, seen, "unavailable", reason or "nothing is known of this worker")
        if probe.heap_limit_bytes is None or probe.heap_used_bytes is None:
            only = "its heap has no limit of its own: only V8 ends a process for that"
            return nothing(self.kind, seen, "unavailable", only)
        alive = seen.past.alive
        heap = _heap(seen, list(alive.lately), probe, probe.heap_limit_bytes, probe.heap_used_bytes)
        if heap.used < HALF * heap.limit:
            return nothing(self.kind, seen, "quiet", f"it has {_of(heap.used, heap.limit)} in use")
        pace = _pace(alive, seen.now, heap)
        severity = _severity(heap, pace)
        if severity is None:
            return nothing(self.kind, seen, "watching", _why_not(heap))
        return fired(self.kind, seen, _finding(self.kind, seen, heap, pace, severity))


def _heap(seen: Seen, points: Sequence[tuple[float, int]], probe: ProbeVitals, limit: int, used: int) -> _Heap:
    own = [each for each in seen.samples if each.key == seen.samples[-1].key]
    recent = [alive for at, alive in points if seen.now - at <= RECENT_SECONDS]
    known = probe.heap_live_bytes
    collects, per_second = _collecting(own)
    may_stay = not recent and (known is None or known >= LEAST * limit)
    return _Heap(
        limit=limit,
        used=used,
        alive=recent[-1] if recent else None,
        before=recent[-2] if len(recent) > 1 else None,
        collects=collects,
        per_second=per_second,
        stays=_least_used(own) if may_stay else None,
    )


def _collecting(own: Sequence[WorkerSample]) -> tuple[float, float]:
    """The share of the last seconds that full collections took with their steps, and how many a second."""
    since = own[-1].at - LATELY_SECONDS
    told = [(each.at, each.probe.gc_pauses) for each in own if each.at >= since and each.probe is not None]
    if len(told) < 2:
        return 0.0, 0.0
    (first_at, first), (last_at, last) = told[0], told[-1]
    took = sum(each.sum for each in last[1:]) - sum(each.sum for each in first[1:])
    count = last[-1].buckets[-1] - first[-1].buckets[-1]
    seconds = max(LATELY_SECONDS / 2, last_at - first_at)
    return took / seconds, count / seconds


def _least_used(own: Sequence[WorkerSample]) -> int | None:
    used = [
        (each.at, each.probe.heap_used_bytes)
        for each in own
        if each.probe is not None and each.probe.heap_used_bytes is not None
    ]
    return min(amount for _, amount in used) if used and used[-1][0] - used[0][0] >= STAYS_SECONDS else None


def _pace(alive: Alive, now: float, heap: _Heap) -> _Pace | None:
    """From the shortest look back that leads up to the limit, no further ahead than `AHEAD` times itself."""
    if heap.alive is None:
        return None
    lately = [amount for at, amount in alive.lately if now - at <= LATELY_SECONDS]
    fights = heap.fights and min(lately, default=0) >= HALF * heap.limit
    if heap.alive < LEAST * heap.limit and not fights:
        return None
    looks = [[point for point in alive.lately if now - point[0] <= window] for window in WINDOWS]
    for within in (*looks, list(alive.long)):
        slope = rising(within)
        if slope is None:
            continue
        seconds = within[-1][0] - within[0][0]
        left = max(0.0, (heap.limit - heap.alive) / slope - (now - within[-1][0]))
        if left <= AHEAD * seconds:
            return _Pace(slope, seconds, left)
    return None


def _severity(heap: _Heap, pace: _Pace | None) -> Severity | None:
    """How bad it is; None where V8 has room."""
    if heap.alive is None:
        return "warning" if heap.stays is not None and heap.stays >= STAYS * heap.limit else None
    share = heap.alive / heap.limit
    if share < LEAST:
        if pace is None:
            return None  # a small heap that is half full collects so for days: that is `gc_pressure`
        return "critical" if pace.left_seconds < CRITICAL_SECONDS else "warning"
    near = share >= FULL or heap.collects >= COLLECTS_MUCH
    if near or (pace is not None and pace.left_seconds < CRITICAL_SECONDS):
        return "critical"
    held = share >= HIGH and heap.before is not None and heap.before >= HIGH * heap.limit
    return "warning" if held or pace is not None or heap.collects >= COLLECTS else None


def _why_not(heap: _Heap) -> str:
    used = f"it has {_of(heap.used, heap.limit)} in use"
    if heap.alive is not None:
        return f"{used}, and {size(heap.alive)} were alive after the last full collection"
    return f"{used}, and no full collection of late tells what of it is garbage"


def _of(amount: int, limit: int) -> str:
    return f"{size(amount)} of the {size(limit)} that V8 lets its heap have"


def _finding(kind: str, seen: Seen, heap: _Heap, pace: _Pace | None, severity: Severity) -> Finding:
    amount = heap.alive if heap.alive is not None else (heap.stays or heap.used)
    evidence: dict[str, object] = {
        "live_bytes": heap.alive,
        "used_bytes": heap.used,
        "limit_bytes": heap.limit,
        "share": round(amount / heap.limit, 3),
        "collecting_share": round(heap.collects, 3),
    }
    state = "alive after its last full collection" if heap.alive is not None else "in use, and never less of late"
    told = [f"has {size(amount)} {state}, of the {size(heap.limit)} at which V8 ends it"]
    if heap.collects >= COLLECTS:
        told.append(f"V8 takes {percent(heap.collects)} of its time to collect it")
    if pace is not None:
        told.append(f"at {rate(pace.per_second)} it meets that in {span(pace.left_seconds)}")
        evidence |= {
            "bytes_per_second": round(pace.per_second),
            "window_seconds": round(pace.seconds),
            "time_to_limit_seconds": round(pace.left_seconds),
        }
    memory = seen.samples[-1].memory
    room = memory.group.left_bytes if memory is not None and memory.group is not None else None
    if room is not None:
        evidence["container_left_bytes"] = room
    return Finding(
        kind=kind,
        target=seen.target,
        worker=seen.worker,
        severity=severity,
        at=seen.now,
        summary=f"Worker {seen.worker} of `{seen.target}` {_joined(told)}; {_advice(room, heap.limit)}.",
        evidence=evidence,
    )


def _joined(told: Sequence[str]) -> str:
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])}, and {told[-1]}"


def _advice(room: int | None, limit: int) -> str:
    if room is None:
        raised = "raise --max-old-space-size if there is memory for it"
    elif room >= ROOM * limit:
        raised = f"raise --max-old-space-size, its container has {size(room)} left"
    else:
        return f"restart it in time, its container has no room for a larger heap ({size(room)} left)"
    return f"restart it in time, or {raised}"
