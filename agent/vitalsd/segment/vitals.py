"""
Turns the records of a segment into vitals: counters brought up to this instant, stalls in progress included.

Totals in the segment lag by up to 100 ms, at rest by half a second and a wait; a stretch in progress that is sure
to be booked when it ends is added here, so a scrape during a stall shows the stall, and no counter ever steps back
(see `layout`). Costs about 25 us with one loop, and as much again for each stall that is new.
"""

from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import itemgetter

from vitalsd.errors import VitalsdError
from vitalsd.model import (
    ActiveResource,
    Frame,
    HeapSpace,
    Histogram,
    LoopVitals,
    PoolVitals,
    ProbeVitals,
    Stack,
    Stall,
    StallInProgress,
    UnhandledError,
)
from vitalsd.probe.python import layout
from vitalsd.segment.delay import cumulative
from vitalsd.segment.reader import RawRecord, Reading, SegmentFile

__all__ = ["ProbeDisabled", "read_vitals"]

LATE_SHARE = 0.5
"""Of the threshold: from then on a stretch in progress is told with its stacks."""
TOLERANCE_SECONDS = 0.02
"""What is due and comes later than this is late; less may be the timer's own grain."""
LARGEST = 1e15
"""Beyond it a number is damage and no measurement: it would be 30 million years, or a petabyte."""
LOOKS = 6
"""A loop that turns 20000 times a second writes its live words during one look in twenty."""
PAUSE_SECONDS = 0.001
BOUNDS = layout.DELAY_BOUNDS_SECONDS
UPPER_BOUNDS = (*BOUNDS[1:], math.inf)
OVER = layout.LOOP_FIELDS.index(f"over_{BOUNDS[0]}")
"""Where the buckets of a loop begin; those of a generation follow its seconds."""
GC = [layout.PROCESS_FIELDS.index(f"gc{generation}_seconds") for generation in range(layout.GC_GENERATIONS)]
GC_BUCKETS = len(layout.GC_BOUNDS_SECONDS) + 1
USED = struct.Struct("<" + "".join(f"16xd{record.words * 8 - 24}x" for record in layout.LOOP))
"""The first field of every loop's record, to know which are worth reading."""
NUMBER = re.compile("[0-9]{1,9}")
"""Of a line, or of samples: what is longer is damage, and no JSON could tell it."""
Settled = tuple[RawRecord, float, float]


class ProbeDisabled(VitalsdError):  # noqa: N818 - it is a state
    """A probe that met something it could not handle and stays silent from then on."""


def read_vitals(segment: SegmentFile, now: float, wall: float) -> ProbeVitals | None:
    """
    Everything the segment says at CLOCK_MONOTONIC `now`; None while it has nothing whole to say.

    Raises ProbeDisabled when the probe has switched itself off; one that has given up only some of its instruments
    says which (`lost`).
    """
    reading = segment.look(layout.PROCESS.offset, layout.LOOP[-1].end)
    process = reading.record(layout.PROCESS) or segment.read(layout.PROCESS)
    if process is None:
        return None
    if process.text.startswith(layout.OFF):
        reason = process.text.removeprefix(layout.OFF)
        raise ProbeDisabled(f"The probe has switched itself off, the service is not affected: {reason}")
    for _ in range(LOOKS):
        until = _until(reading, now)
        if until is not None:
            break
        reading = segment.look_again(reading)
    else:
        return None
    settled = {slot: _settled(segment, reading, slot) for slot in _used(reading)}
    if None in settled.values():
        return None  # sums over the others would step back
    stalls = _recent_stalls(segment)  # after the counters, so that each stall they count is told
    known = _known(layout.PROCESS_FIELDS[: GC[0]], process.values)
    heartbeat, of_node = known["heartbeat"], segment.header.runtime == "node"
    errors = tuple(_count(known["errors_" + name]) for name in layout.ERROR_CHANNELS)
    return ProbeVitals(
        runtime=segment.header.runtime,
        version=segment.header.version,
        loops=tuple(
            _loop(segment, slot, found, until, stalls.get(slot, ()))
            for slot, found in settled.items()
            if found is not None
        ),
        loops_unwatched=_count(known["loops_unwatched"]),
        gc_pauses=tuple(
            segment.remember(-at, process.values[at : at + 1 + GC_BUCKETS], _gc_histogram) for at in GC
        ),
        heap_used_bytes=_count(known["heap_used_bytes"]),
        heap_live_bytes=_count(known["heap_live_bytes"]),
        heap_blocks=_count(known["heap_blocks"]),
        heap_live_blocks=_count(known["heap_live_blocks"]),
        malloc_used_bytes=_count(known["malloc_used_bytes"]),
        malloc_held_bytes=_count(known["malloc_held_bytes"]),
        tasks=_count(known["tasks"]),
        threads=_count(known["threads"]),
        executor_threads=_count(known["executor_threads"]),
        executor_busy=_count(known["executor_busy"]),
        executor_queued=_count(known["executor_queued"]),
        unhandled_errors=errors,
        probe_cpu_seconds=known["probe_cpu_seconds"],
        heartbeat_at=None if heartbeat is None else wall - max(0.0, now - heartbeat),
        lost=tuple(line for line in process.text.split("\n") if line),
        pools=_pools(segment) if known["executor_threads"] else (),
        latest_errors=_latest_errors(segment) if any(errors) else (),
        heap_limit_bytes=_count(known["heap_limit_bytes"]),
        external_bytes=_count(known["external_bytes"]),
        listener_warnings=_count(known["listener_warnings"]),
        resources=_resources(segment) if of_node else (),
        spaces=_spaces(segment) if of_node else (),
    )


def _until(reading: Reading, now: float) -> float | None:
    """Up to when the live words tell what happens: of a copy on a disk, until it was made; None meanwhile."""
    copied = reading.word(layout.COPIED)
    if copied is None:
        return None
    return min(now, copied) if copied > 0 else now


def _used(reading: Reading) -> list[int]:
    """The slots that have ever had a loop."""
    start = (layout.LOOP[0].offset - reading.first) * 8
    return [slot for slot, used in enumerate(USED.unpack_from(reading.after, start)) if used == 1.0]


def _loop(segment: SegmentFile, slot: int, settled: Settled, now: float, recent: tuple[Stall, ...]) -> LoopVitals:
    record, since, due = settled
    known = _known(layout.LOOP_FIELDS[:OVER], record.values)
    selector = known["flavour"] == layout.SELECTOR
    began = _busy_since(since, due, now, selector)
    in_progress = now - began if began is not None else 0.0
    flushed_at = known["flushed_at"] or 0.0
    will_be_booked = began is not None and flushed_at <= began and in_progress > layout.LONG_BUSY_SECONDS
    unbooked = in_progress if will_be_booked else 0.0
    # A heartbeat tells what its lateness was once it has come: until then nothing is sure of any bucket.
    beyond_grid = 0.0 if selector else unbooked
    waits_until = min(now, due) if due > 0 else now
    waiting = waits_until + since if selector and since < 0 else 0.0
    if waiting <= layout.LONG_IDLE_SECONDS or flushed_at > -since:
        waiting = 0.0
    busy = (known["busy_seconds"] or 0.0) + unbooked
    idle = (known["idle_seconds"] or 0.0) + waiting
    in_buckets = unbooked - beyond_grid
    wait_integral = (known["wait_integral"] or 0.0) + in_buckets * in_buckets / 2
    threshold = segment.header.stall_threshold_seconds
    late = _late(segment, slot, began, in_progress, threshold)
    return LoopVitals(
        name="main" if slot == 0 else f"loop-{slot}",
        thread=record.text,
        thread_id=_count(known["thread_id"]),
        flavour="selector" if selector else "heartbeat",
        running=since != 0.0,
        delay=_delay_histogram(record.values[OVER:], busy + idle - beyond_grid, in_buckets, wait_integral),
        delay_max_seconds=max(known["delay_max_seconds"] or 0.0, unbooked),
        busy_seconds=busy,
        idle_seconds=idle,
        iterations=_count(known["iterations"]) if selector else None,
        stalls=_count(known["stalls"]) or 0,
        stall_seconds=known["stall_seconds"] or 0.0,
        ready_callbacks=_count(known["ready_callbacks"]),
        timers=_count(known["timers"]),
        current_stall=late if in_progress >= threshold else None,
        late=late,
        late_seconds=in_progress,
        recent_stalls=recent,
    )


def _settled(segment: SegmentFile, reading: Reading, slot: int) -> Settled | None:
    """
    A loop's record with the live words `since` and `due` of the same moment; None when there is no such moment.

    Live words that are newer than the record would leave out what was booked in between.
    """
    for look in range(LOOKS):
        if look == LOOKS // 2:
            time.sleep(PAUSE_SECONDS)  # a writer that was interrupted in the middle of a record
        record = reading.record(layout.LOOP[slot])
        since, due = reading.word(layout.SINCE + slot), reading.word(layout.DUE + slot)
        if record is not None and since is not None and due is not None:
            return record, since, due
        reading = segment.look_again(reading)
    return None


def _busy_since(since: float, due: float, now: float, selector: bool) -> float | None:
    """When the stretch in progress began; a live word from the future, or from before any boot, is damage."""
    if selector and since > 0:
        return since if since <= now else None
    return due if since != 0.0 and 0 < due < now - TOLERANCE_SECONDS else None


def _delay_histogram(
    over_seconds: Sequence[float], total_seconds: float, in_progress: float, wait_integral: float
) -> Histogram:
    over = [seconds if 0.0 <= seconds <= LARGEST else 0.0 for seconds in over_seconds]
    for index, bound in enumerate(BOUNDS):
        if in_progress <= bound:
            break
        over[index] += min(in_progress, UPPER_BOUNDS[index]) - bound
    beyond = sum(over)
    buckets = cumulative((max(total_seconds, beyond) - beyond, *over))
    return Histogram(bounds=BOUNDS, buckets=buckets, sum=wait_integral / layout.DELAY_INTERVAL_SECONDS)


def _gc_histogram(values: Sequence[float]) -> Histogram:
    seconds, *counts = [value if 0.0 <= value <= LARGEST else 0.0 for value in values]
    buckets = tuple(accumulate(map(int, counts)))
    return Histogram(bounds=layout.GC_BOUNDS_SECONDS, buckets=buckets, sum=seconds)


def _late(
    segment: SegmentFile, slot: int, began: float | None, seconds: float, threshold: float
) -> StallInProgress | None:
    if began is None or seconds < LATE_SHARE * threshold:
        return None
    record = segment.read(layout.CURRENT_STALL[slot])
    fits = record is not None and record.fields["since"] == began
    stacks = _stacks(record.text) if record is not None and fits else ()
    return StallInProgress(since=began, seconds=seconds, stacks=stacks)


def _recent_stalls(segment: SegmentFile) -> dict[int, tuple[Stall, ...]]:
    """By loop, oldest first."""
    found: dict[int, tuple[Stall, ...]] = {}
    entries = [entry for entry in segment.read_row(layout.RECENT_STALL, _numbered_stall) if entry is not None]
    for _, slot, stall in sorted(entries, key=itemgetter(0)):
        found[slot] = (*found.get(slot, ()), stall)
    return found


def _numbered_stall(record: RawRecord) -> tuple[float, int, Stall] | None:
    """A stall with its number and its loop; None in a place that none has come to yet."""
    known = _known(layout.RECENT_STALL_FIELDS, record.values)
    number, slot = known["number"], _count(known["loop"])
    if not number or slot is None:
        return None
    stall = Stall(
        number=int(number),
        since=known["since"] or 0.0,
        ended_at=known["ended_at_unix"] or 0.0,
        duration_seconds=known["duration_seconds"] or 0.0,
        cpu_seconds=known["cpu_seconds"],
        gc_seconds=known["gc_seconds"] or 0.0,
        ready_callbacks=_count(known["ready_callbacks"]),
        stacks=_stacks(record.text),
        stack_after_seconds=known["stack_after_seconds"],
    )
    return number, slot, stall


def _pools(segment: SegmentFile) -> tuple[PoolVitals, ...]:
    return tuple(pool for pool in segment.read_row(layout.POOL, _pool) if pool is not None)


def _pool(record: RawRecord) -> PoolVitals | None:
    """None in a place that no pool has."""
    known = _known(layout.POOL_FIELDS, record.values)
    threads, busy, queued = (_count(known[name]) for name in layout.POOL_FIELDS)
    if threads is None or busy is None or queued is None:
        return None
    return PoolVitals(record.text, threads, busy, queued)


def _resources(segment: SegmentFile) -> tuple[ActiveResource, ...]:
    return tuple(found for found in segment.read_row(layout.RESOURCE, _resource) if found is not None)


def _resource(record: RawRecord) -> ActiveResource | None:
    count = _count(_known(layout.RESOURCE_FIELDS, record.values)["count"])
    return ActiveResource(record.text, count) if count and _is_name(record.text) else None


def _spaces(segment: SegmentFile) -> tuple[HeapSpace, ...]:
    return tuple(found for found in segment.read_row(layout.SPACE, _space) if found is not None)


def _space(record: RawRecord) -> HeapSpace | None:
    known = _known(layout.SPACE_FIELDS, record.values)
    used, held = _count(known["used_bytes"]), _count(known["held_bytes"])
    return (
        HeapSpace(record.text, used, held)
        if used is not None and held is not None and _is_name(record.text)
        else None
    )


def _is_name(text: str) -> bool:
    """Whether it can be the label of a metric: V8's own words can."""
    return text != "" and text.isprintable()


def _latest_errors(segment: SegmentFile) -> tuple[UnhandledError | None, ...]:
    """Of every channel; one whose record is being written is not known this time."""
    found = dict(segment.read_row(layout.ERROR, _placed_error))
    return tuple(found.get(record.offset) for record in layout.ERROR)


def _placed_error(record: RawRecord) -> tuple[int, UnhandledError | None]:
    """Where its record lies, and the error; None in the place of a channel that has had none."""
    number = _count(_known(layout.ERROR_FIELDS, record.values)["number"])
    if not number:
        return record.record.offset, None
    name, _, text = record.text.partition("\n")
    frames = (stack.frames for stack in _stacks(text))
    return record.record.offset, UnhandledError(number, name, next(frames, ()))


def _stacks(text: str) -> tuple[Stack, ...]:
    stacks: list[tuple[int, list[Frame]]] = []
    for line in text.split("\n"):
        if line.startswith("#") and NUMBER.fullmatch(line, 1):
            stacks.append((int(line[1:]), []))
            continue
        parts = line.split("\t")
        if stacks and len(parts) == 3 and NUMBER.fullmatch(parts[2]):
            stacks[-1][1].append(Frame(function=parts[0], file=parts[1], line=int(parts[2])))
    return tuple(Stack(samples=samples, frames=tuple(frames)) for samples, frames in stacks)


def _known(names: Iterable[str], values: Iterable[float]) -> dict[str, float | None]:
    """The first values by their names; None for what is not known, or cannot be."""
    return {name: value if 0.0 <= value <= LARGEST else None for name, value in zip(names, values, strict=False)}


def _count(value: float | None) -> int | None:
    return int(value) if value is not None else None
