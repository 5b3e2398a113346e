"""
Turns the records of a segment into vitals: counters brought up to this instant, stalls in progress included.

Totals in the segment lag by up to 100 ms; a stretch in progress that is sure to be booked when it ends is added
here, so a scrape during a stall shows the stall, and no counter ever steps back (see `layout`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from vitalsd.errors import VitalsdError
from vitalsd.model import Frame, Histogram, LoopVitals, ProbeVitals, Stack, Stall, StallInProgress
from vitalsd.probe.python import layout
from vitalsd.segment.reader import RawRecord, SegmentFile

__all__ = ["ProbeDisabled", "read_vitals"]

HEARTBEAT_TOLERANCE_SECONDS = 0.02
"""A heartbeat later than this is late; less may be the timer's own grain."""
ROUNDING = 1e-6
"""Sums of the same times in another order differ in their last digits; a count must not fall by one for that."""
LARGEST = 1e15
"""Beyond it a number is damage and no measurement: it would be 30 million years, or a petabyte."""
BOUNDS = layout.DELAY_BOUNDS_SECONDS
OVER = tuple(f"over_{bound}" for bound in BOUNDS)
GC_BUCKETS = tuple(
    tuple(f"gc{generation}_le_{bound}" for bound in (*layout.GC_BOUNDS_SECONDS, "inf"))
    for generation in range(layout.GC_GENERATIONS)
)


class ProbeDisabled(VitalsdError):  # noqa: N818 - it is a state
    """A probe that met something it could not handle and stays silent from then on."""


def read_vitals(segment: SegmentFile, now: float, wall: float) -> ProbeVitals | None:
    """Everything the segment says at CLOCK_MONOTONIC `now`; None while it has nothing whole to say."""
    process = segment.read(layout.PROCESS)
    if process is None:
        return None
    if process.text:
        raise ProbeDisabled(f"The probe has switched itself off, the service is not affected: {process.text}")
    stalls = _recent_stalls(segment)
    used = [slot for slot, record in enumerate(layout.LOOP) if segment.field(record, "used") == 1.0]
    loops = [_loop(segment, slot, now, stalls.get(slot, ())) for slot in used]
    fields = process.fields
    heartbeat = _number(fields["heartbeat"])
    return ProbeVitals(
        runtime=segment.header.runtime,
        version=segment.header.version,
        loops=tuple(loop for loop in loops if loop is not None),
        loops_unwatched=_count(fields["loops_unwatched"]) or 0,
        gc_pauses=tuple(_gc_histogram(fields, generation) for generation in range(layout.GC_GENERATIONS)),
        heap_used_bytes=_count(fields["heap_used_bytes"]),
        heap_live_bytes=_count(fields["heap_live_bytes"]),
        heap_blocks=_count(fields["heap_blocks"]),
        heap_live_blocks=_count(fields["heap_live_blocks"]),
        malloc_used_bytes=_count(fields["malloc_used_bytes"]),
        malloc_held_bytes=_count(fields["malloc_held_bytes"]),
        tasks=_count(fields["tasks"]),
        threads=_count(fields["threads"]),
        executor_threads=_count(fields["executor_threads"]) or 0,
        executor_busy=_count(fields["executor_busy"]) or 0,
        executor_queued=_count(fields["executor_queued"]) or 0,
        unhandled_errors=tuple(_count(fields["errors_" + name]) or 0 for name in layout.ERROR_CHANNELS),
        probe_cpu_seconds=_seconds(fields["probe_cpu_seconds"]),
        heartbeat_at=None if heartbeat is None else wall - max(0.0, now - heartbeat),
    )


def _loop(segment: SegmentFile, slot: int, now: float, recent: tuple[Stall, ...]) -> LoopVitals | None:
    record, since, due = _settled(segment, slot)
    if record is None or record.fields["used"] != 1.0:
        return None
    fields = record.fields
    selector = fields["flavour"] == layout.SELECTOR
    began = _busy_since(since, due, now, selector)
    in_progress = now - began if began is not None else 0.0
    flushed_at = _seconds(fields["flushed_at"])
    will_be_booked = began is not None and flushed_at <= began and in_progress > layout.LONG_BUSY_SECONDS
    unbooked = in_progress if will_be_booked else 0.0
    # A heartbeat tells what its lateness was once it has come: until then nothing is sure of any bucket.
    beyond_grid = 0.0 if selector else unbooked
    waiting = now + since if selector and since < 0 else 0.0
    if waiting <= layout.LONG_IDLE_SECONDS or flushed_at > -since:
        waiting = 0.0
    busy = _seconds(fields["busy_seconds"]) + unbooked
    idle = _seconds(fields["idle_seconds"]) + waiting
    threshold = segment.header.stall_threshold_seconds
    return LoopVitals(
        name="main" if slot == 0 else f"loop-{slot}",
        thread=record.text,
        flavour="selector" if selector else "heartbeat",
        running=since != 0.0,
        delay=_delay_histogram(fields, busy + idle - beyond_grid, unbooked - beyond_grid),
        delay_max_seconds=max(_seconds(fields["delay_max_seconds"]), unbooked),
        busy_seconds=busy,
        idle_seconds=idle,
        iterations=_count(fields["iterations"]) if selector else None,
        stalls=_count(fields["stalls"]) or 0,
        stall_seconds=_seconds(fields["stall_seconds"]),
        ready_callbacks=_count(fields["ready_callbacks"]),
        timers=_count(fields["timers"]),
        current_stall=_current_stall(segment, slot, began, in_progress, threshold),
        recent_stalls=recent,
    )


def _settled(segment: SegmentFile, slot: int) -> tuple[RawRecord | None, float, float]:
    """A loop's record with the live words that belong to it: what changes meanwhile belongs to the next."""
    since = segment.word(layout.SINCE + slot)
    for _ in range(5):
        due, record = segment.word(layout.DUE + slot), segment.read(layout.LOOP[slot])
        earlier, since = since, segment.word(layout.SINCE + slot)
        if since == earlier:
            break
    return record, since, due


def _busy_since(since: float, due: float, now: float, selector: bool) -> float | None:
    """When the stretch in progress began; a live word from the future, or from before any boot, is damage."""
    if selector:
        return since if 0 < since <= now else None
    return due if since != 0.0 and 0 < due < now - HEARTBEAT_TOLERANCE_SECONDS else None


def _delay_histogram(fields: Mapping[str, float], total_seconds: float, in_progress: float) -> Histogram:
    interval = layout.DELAY_INTERVAL_SECONDS
    over = [_seconds(fields[name]) for name in OVER]
    for index, bound in enumerate(BOUNDS):
        if in_progress <= bound:
            break
        upper = BOUNDS[index + 1] if index + 1 < len(BOUNDS) else math.inf
        over[index] += min(in_progress, upper) - bound
    at_most = max(total_seconds, sum(over)) - sum(over)
    buckets = []
    for beyond in (*over, 0.0):
        buckets.append(int(at_most / interval + ROUNDING))
        at_most += beyond
    wait_integral = _seconds(fields["wait_integral"]) + in_progress * in_progress / 2
    return Histogram(bounds=BOUNDS, buckets=tuple(buckets), sum=wait_integral / interval)


def _gc_histogram(fields: Mapping[str, float], generation: int) -> Histogram:
    buckets = []
    total = 0
    for name in GC_BUCKETS[generation]:
        total += _count(fields[name]) or 0
        buckets.append(total)
    total_seconds = _seconds(fields[f"gc{generation}_seconds"])
    return Histogram(bounds=layout.GC_BOUNDS_SECONDS, buckets=tuple(buckets), sum=total_seconds)


def _current_stall(
    segment: SegmentFile, slot: int, began: float | None, seconds: float, threshold: float
) -> StallInProgress | None:
    if began is None or seconds < threshold:
        return None
    record = segment.read(layout.CURRENT_STALL[slot])
    fits = record is not None and record.fields["since"] == began
    return StallInProgress(seconds=seconds, stacks=_stacks(record.text) if record is not None and fits else ())


def _recent_stalls(segment: SegmentFile) -> dict[int, tuple[Stall, ...]]:
    found: dict[int, list[tuple[float, Stall]]] = {}
    for place in layout.RECENT_STALL:
        if segment.field(place, "number") == 0.0:
            continue  # never used: most services never stall
        record = segment.read(place)
        if record is None or _number(record.fields["number"]) is None:
            continue
        slot = _count(record.fields["loop"])
        if slot is not None:
            found.setdefault(slot, []).append((record.fields["number"], _stall(record)))
    return {slot: tuple(stall for _, stall in sorted(pairs, key=_number_first)) for slot, pairs in found.items()}


def _number_first(pair: tuple[float, Stall]) -> float:
    return pair[0]


def _stall(record: RawRecord) -> Stall:
    fields = record.fields
    return Stall(
        ended_at=_seconds(fields["ended_at_unix"]),
        duration_seconds=_seconds(fields["duration_seconds"]),
        cpu_seconds=_number(fields["cpu_seconds"]),
        gc_seconds=_seconds(fields["gc_seconds"]),
        ready_callbacks=_count(fields["ready_callbacks"]),
        stacks=_stacks(record.text),
    )


def _stacks(text: str) -> tuple[Stack, ...]:
    stacks: list[tuple[int, list[Frame]]] = []
    for line in text.split("\n"):
        if line.startswith("#") and line[1:].isdecimal():
            stacks.append((int(line[1:]), []))
            continue
        parts = line.split("\t")
        if stacks and len(parts) == 3 and parts[2].isdecimal():
            stacks[-1][1].append(Frame(function=parts[0], file=parts[1], line=int(parts[2])))
    return tuple(Stack(samples=samples, frames=tuple(frames)) for samples, frames in stacks)


def _number(value: float) -> float | None:
    return value if 0 <= value <= LARGEST else None


def _seconds(value: float) -> float:
    return value if 0 <= value <= LARGEST else 0.0


def _count(value: float) -> int | None:
    return int(value) if 0 <= value <= LARGEST else None
