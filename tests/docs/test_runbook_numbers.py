"""Bounds that no key has, as the runbooks tell them: each from the constant that the code goes by."""

from __future__ import annotations

import pytest
from support.pages import section, text_of

from vitalsd.capture.breaker import FIRST_SECONDS, LONGEST_SECONDS
from vitalsd.capture.harm import MOST_PAUSE_SECONDS
from vitalsd.detect import (
    cause,
    error_surge,
    exhaustion,
    fd_exhaustion,
    gc_pressure,
    heap_exhaustion,
    imbalance,
    leak,
    pool_saturation,
    stall,
    worker_hung,
    zombie,
)
from vitalsd.detect.growth.plan import COUNT_LEAST
from vitalsd.detect.growth.watch import FLAT_SHARE
from vitalsd.detect.starvation import CONTENDED_SHARE, READY_LONG, STALLED_SHARE, StarvationBounds
from vitalsd.detect.words import percent

SHARES = {
    0.1: "a tenth",
    0.2: "a fifth",
    0.25: "a quarter",
    0.5: "half",
    0.75: "three quarters",
    0.8: "four fifths",
    0.9: "nine tenths",
}
STARVATION = StarvationBounds()
BY_PAGE = {
    "starvation": (
        f"beyond {STARVATION.p99_seconds * 1000:.0f} ms",
        f"its mean beyond {STARVATION.mean_seconds * 1000:.0f} ms",
        f"more than {STARVATION.ready_callbacks} callbacks",
        f"percentile of {STARVATION.critical_p99_seconds * 1000:.0f} ms on",
        f"less than {SHARES[STALLED_SHARE]} of the busy time",
        f"a processor for {SHARES[CONTENDED_SHARE]} of the busy time",
        f"more than {READY_LONG} callbacks are ready",
    ),
    "leak": (f"less than {leak.CRITICAL_SECONDS / 3600:g} hours away",),
    "fragmentation": (f"less than {SHARES[FLAT_SHARE]} of that",),
    "exhaustion": (f"critical within {exhaustion.CRITICAL_SECONDS / 3600:g} hour",),
    "fd_leak": (f"by {COUNT_LEAST['fds']:g} descriptors at the least",),
    "thread_leak": (f"by {COUNT_LEAST['threads']:g} threads at the least",),
    "task_leak": (f"by {COUNT_LEAST['tasks']:g} tasks at the least",),
    "fd_exhaustion": (
        f"Beyond {SHARES[fd_exhaustion.LEAST]} of the limit",
        f"beyond {SHARES[fd_exhaustion.HIGH]} for {fd_exhaustion.HELD_SECONDS:g} s",
        f"or beyond {percent(fd_exhaustion.FULL)}",
    ),
    "heap_exhaustion": (
        f"beyond {percent(heap_exhaustion.LEAST)}, and the line",
        f"beyond {percent(heap_exhaustion.HALF)} all the time",
        f"beyond {percent(heap_exhaustion.HIGH)} twice in a row, or {percent(heap_exhaustion.FULL)} once",
        f"{percent(heap_exhaustion.STAYS)} in use, and never less for {heap_exhaustion.STAYS_SECONDS:g} s",
        f"where collections take {percent(heap_exhaustion.COLLECTS_MUCH)}",
        f"full collections took {SHARES[heap_exhaustion.COLLECTS]} of the last",
    ),
    "gc_pressure": (f"less than {SHARES[gc_pressure.HELD_SHARE]} of that",),
    "error_surge": (
        f"within the last {SHARES[error_surge.STILL_SHARE].removeprefix('a ')} of it",
        f"{SHARES[error_surge.HALF]} as many",
    ),
    "pool_saturation": (f"{pool_saturation.CRITICAL_ROUNDS} calls wait for each thread",),
    "imbalance": (
        f"busy for {percent(imbalance.FULL)} of the time",
        f"{imbalance.TIMES:g} times its fair share",
        f"for {percent(imbalance.RESTING)} at most",
        f"the other for {percent(imbalance.RESTING_ALONE)} at most",
        f"busy for {percent(imbalance.NOTHING)} of the time at most",
    ),
    "zombie": (f"not fetched for {zombie.WORKER_SECONDS:g} s (fixed)",),
    "worker_hung": (f"(`docker pause`), for {worker_hung.STOPPED_SECONDS:g} s",),
    "capture_harmful": (
        f"Longer than {MOST_PAUSE_SECONDS:g} s",
        f"for {FIRST_SECONDS / 3600:g} hour,",
        f"up to {LONGEST_SECONDS / 3600:g} hours",
    ),
    "stall": (
        f"less than {stall.NOTHING_SECONDS * 1000:g} ms of a processor",
        f"told from {stall.OWN_HOST_SECONDS:g} s on",
    ),
}
BY_CAUSE = {
    "host_wide": (
        f"more than {SHARES[cause.LATE_SHARE]} of the stall",
        f"({percent(cause.COMPUTES_SHARE)})",
        f"next to nothing ({percent(cause.NOTHING_SHARE)})",
        f"by {SHARES[cause.ALSO_LATE_SHARE]} too",
    ),
    "stopped": (f"in {SHARES[cause.MOST]} of the looks",),
    "page_faults": (
        f"More than {cause.MAJOR_FAULTS_PER_SECOND} major page faults",
        f"{SHARES[cause.PAGE_WAIT_SHARE]} of the looks",
    ),
    "swap": (f"{SHARES[cause.MEMORY_PRESSURE_SHARE]} of the time", f"{cause.SWAPPED_BYTES >> 20} MiB"),
    "disk_io": (f"{SHARES[cause.DISK_SHARE]} did", SHARES[cause.DISK_OF_WAITS]),
    "cpu_throttled": (
        f"{SHARES[cause.RUNQUEUE_SHARE]} of the time",
        f"{percent(cause.THROTTLED_SHARE)} of the time",
        f"{SHARES[cause.THROTTLED_PERIODS_SHARE]} of the periods",
    ),
    "cpu_contention": (
        f"computes for {cause.ITSELF_SECONDS * 1000:g} ms",
        f"for {cause.LONG_ITSELF_SECONDS * 1000:g} ms",
        f"processor {SHARES[cause.CROWDED_SHARE]} of the time",
    ),
    "gc_pause": (f"cover {SHARES[cause.GC_SHARE]} of it",),
    "blocking_cpu": (f"computed for {percent(cause.COMPUTES_SHARE)}", f"for {SHARES[cause.MOST]}, where"),
    "ready_flood": (f"more than {cause.READY_CALLBACKS} were ready",),
    "microtask_flood": (f"{SHARES[cause.MOST]} of its stacks",),
    "gil_contention": (
        f"{percent(cause.GIL_FUTEX_SHARE)} of the looks",
        f"{SHARES[cause.SIBLING_CPU_SHARE]} of the time",
    ),
    "lock_wait": (f"{SHARES[cause.MOST].capitalize()} of the looks",),
    "blocking_call": (f"{SHARES[cause.MOST].capitalize()} of the looks",),
}


def missing(text: str, told: tuple[str, ...]) -> list[str]:
    """What it does not say, wherever its lines are broken."""
    words = " ".join(text.split())
    return [phrase for phrase in told if phrase not in words]


@pytest.mark.parametrize("kind", BY_PAGE)
def test_a_page_has_the_bounds_of_the_detector(kind: str) -> None:
    """A constant that changes changes the page."""
    assert missing(text_of(kind), BY_PAGE[kind]) == []


@pytest.mark.parametrize("name", BY_CAUSE)
def test_a_cause_has_the_bounds_of_its_test(name: str) -> None:
    """Likewise."""
    assert missing(section(text_of("stall"), name), BY_CAUSE[name]) == []
