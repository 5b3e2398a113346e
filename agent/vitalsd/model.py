"""The words of vitalsd as frozen structs: the ground floor that every room may stand on.

Nothing here does I/O or imports another room. Units are in the names. `None` always means "not known",
never zero; what kept it from being known is told beside it (`WorkerSample.missing`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.probe.python.layout import (
    DELAY_BOUNDS_SECONDS,
    ERROR_CHANNELS,
    GC_BOUNDS_SECONDS,
    GC_GENERATIONS,
)

__all__ = [
    "DELAY_BOUNDS_SECONDS",
    "ERROR_CHANNELS",
    "GC_BOUNDS_SECONDS",
    "GC_GENERATIONS",
    "Frame",
    "Histogram",
    "LoopVitals",
    "ProbeVitals",
    "ProcessVitals",
    "SourceReading",
    "Stack",
    "Stall",
    "StallInProgress",
    "TargetSnapshot",
    "WorkerKey",
    "WorkerSample",
]

LagSource = Literal["probe", "none"]


class WorkerKey(msgspec.Struct, frozen=True):
    """Who a worker is: a pid alone is reused, a pid and its start time is not."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks between boot and the start of the process."""


class Histogram(msgspec.Struct, frozen=True):
    """A cumulative histogram: `buckets[i]` counts what was at most `bounds[i]`, the last one everything."""

    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    """One longer than `bounds`: the last is +Inf."""
    sum: float


class Frame(msgspec.Struct, frozen=True):
    """One frame of a stack."""

    function: str
    file: str
    line: int


class Stack(msgspec.Struct, frozen=True):
    """A stack as it was seen `samples` times, innermost frame first."""

    samples: int
    frames: tuple[Frame, ...]


class Stall(msgspec.Struct, frozen=True):
    """One stall that has ended, as the probe remembers it."""

    number: int
    """Counts up over all loops of the process."""
    since: float
    """CLOCK_MONOTONIC at which it began, exactly as it was told while it lasted."""
    ended_at: float
    duration_seconds: float
    cpu_seconds: float | None
    """CPU time of the loop's thread meanwhile."""
    gc_seconds: float
    ready_callbacks: int | None
    stacks: tuple[Stack, ...]


class StallInProgress(msgspec.Struct, frozen=True):
    """A loop that is late right now."""

    since: float
    """CLOCK_MONOTONIC."""
    seconds: float
    stacks: tuple[Stack, ...]


class LoopVitals(msgspec.Struct, frozen=True):
    """One event loop. Counters run since the probe became active and never step back."""

    name: str
    """`main` in the main thread, else `loop-1` to `loop-7`."""
    flavour: Literal["selector", "heartbeat"]
    running: bool
    delay: Histogram
    """What a callback scheduled at a random moment waits, one sample per 20 ms of time."""
    delay_max_seconds: float
    busy_seconds: float
    idle_seconds: float
    iterations: int | None
    stalls: int
    stall_seconds: float
    ready_callbacks: int | None
    timers: int | None
    current_stall: StallInProgress | None
    recent_stalls: tuple[Stall, ...]
    thread: str = ""
    """The name of the thread that ran it last."""
    thread_id: int | None = None
    """Its number, in the pid namespace of the service."""


class ProbeVitals(msgspec.Struct, frozen=True):
    """What a probe publishes about its process."""

    runtime: str
    """`python` or `node`."""
    version: str
    """The runtime's own version, `3.11.7`."""
    loops: tuple[LoopVitals, ...]
    loops_unwatched: int
    """Loops beyond the eight that a segment has room for."""
    gc_pauses: tuple[Histogram, ...]
    """By generation, youngest first."""
    heap_used_bytes: int | None
    heap_live_bytes: int | None
    """After the last full collection."""
    heap_blocks: int | None
    heap_live_blocks: int | None
    malloc_used_bytes: int | None
    malloc_held_bytes: int | None
    tasks: int | None
    threads: int | None
    executor_threads: int
    executor_busy: int
    executor_queued: int
    unhandled_errors: tuple[int, ...]
    """In the order of ERROR_CHANNELS."""
    probe_cpu_seconds: float
    """What the probe itself has cost the service."""
    heartbeat_at: float | None
    """Unix time at which the probe last showed life."""
    lost: tuple[str, ...] = ()
    """Instruments that the probe has given up while it goes on, each as `name: reason`."""


class ProcessVitals(msgspec.Struct, frozen=True):
    """What /proc says of one process; a field that may not be read is None."""

    state: str
    """The kernel's letter: R S D Z T t X I."""
    started_at: float
    """Unix time."""
    cpu_seconds: float
    threads: int
    resident_bytes: int | None = None
    anonymous_bytes: int | None = None
    swap_bytes: int | None = None
    open_fds: int | None = None
    max_fds: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None


class SourceReading(msgspec.Struct, frozen=True):
    """How the latest reading of one source of one target went."""

    target: str
    source: str
    success: bool
    duration_seconds: float
    problem: str | None = None


class WorkerSample(msgspec.Struct, frozen=True):
    """What was read of one worker at one instant."""

    target: str
    slot: str
    key: WorkerKey | None
    """None while the slot waits for a replacement."""
    at: float
    """Unix time of the sample."""
    up: bool
    command: str
    """The command line, shortened and scrubbed."""
    lag_source: LagSource
    process: ProcessVitals | None
    probe: ProbeVitals | None
    missing: dict[str, str] = {}
    """Field -> why it could not be read, with the permission that lacks."""


class TargetSnapshot(msgspec.Struct, frozen=True):
    """One target with its workers, as the last round of sampling left it."""

    name: str
    up: bool
    workers: tuple[WorkerSample, ...]
    restarts: dict[str, dict[str, int]] = {}
    """Slot -> reason -> how often a worker of that slot was replaced."""
