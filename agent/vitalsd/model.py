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
    "OBSERVED_LOOP",
    "Cause",
    "Doing",
    "Finding",
    "Frame",
    "Histogram",
    "HostEvidence",
    "Incident",
    "LoopVitals",
    "MemoryGroup",
    "MemoryTrend",
    "MemoryVitals",
    "ObservedLoop",
    "PoolVitals",
    "ProbeVitals",
    "ProcessVitals",
    "RecentLoop",
    "RuleState",
    "Severity",
    "SourceReading",
    "Stack",
    "Stall",
    "StallEvidence",
    "StallInProgress",
    "TargetSnapshot",
    "ThreadEvidence",
    "TurnEvidence",
    "UnhandledError",
    "Verdict",
    "WorkerKey",
    "WorkerSample",
]

LagSource = Literal["probe", "observer", "none"]
OBSERVED_LOOP = "main"
"""From outside one loop is seen per process."""


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
    stack_after_seconds: float | None = None
    """How old it was when the first stack was taken."""


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
    late: StallInProgress | None = None
    """The stretch in progress from half the threshold on, with the stacks that the probe has taken of it."""
    late_seconds: float = 0.0
    """How late it is right now, be it a stall or not."""
    thread: str = ""
    """The name of the thread that ran it last."""
    thread_id: int | None = None
    """Its number, in the pid namespace of the service."""


class PoolVitals(msgspec.Struct, frozen=True):
    """One thread pool executor."""

    name: str
    """What the names of its threads begin with: `asyncio` is the default executor of a loop."""
    threads: int
    busy: int
    queued: int


class UnhandledError(msgspec.Struct, frozen=True):
    """What one unhandled error was, without its message or any value."""

    number: int
    """Among those of its channel."""
    type: str
    """Empty where there was no exception, or it is not known."""
    frames: tuple[Frame, ...]
    """That it came through, innermost first."""


class ProbeVitals(msgspec.Struct, frozen=True):
    """What a probe publishes about its process."""

    runtime: str
    """`python` or `node`."""
    version: str
    """The runtime's own version, `3.11.7`."""
    loops: tuple[LoopVitals, ...]
    loops_unwatched: int | None
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
    executor_threads: int | None
    executor_busy: int | None
    executor_queued: int | None
    unhandled_errors: tuple[int | None, ...]
    """In the order of ERROR_CHANNELS."""
    probe_cpu_seconds: float | None
    """What the probe itself has cost the service."""
    heartbeat_at: float | None
    """Unix time at which the probe last showed life."""
    lost: tuple[str, ...] = ()
    """Instruments that the probe has given up while it goes on, each as `name: reason`."""
    pools: tuple[PoolVitals, ...] = ()
    """The four executors with the longest queues, the longest first."""
    latest_errors: tuple[UnhandledError | None, ...] = ()
    """Of each of ERROR_CHANNELS the one that was looked at last; empty where there was none at all."""


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


class MemoryGroup(msgspec.Struct, frozen=True):
    """What the control group of a process says of memory: of all its processes, and of the files they read."""

    name: str
    """Its path, as the agent's own namespace has it."""
    limit_bytes: int | None = None
    """The least of this group and of those above it that the agent sees; None is none."""
    swap_limit_bytes: int | None = None
    """How much may be swapped out beside that; None is as much as there is."""
    high_bytes: int | None = None
    """Above it the kernel slows everybody in the group down (version 2)."""
    used_bytes: int | None = None
    working_set_bytes: int | None = None
    """Used, less pages of files that nobody has looked at lately: what Kubernetes evicts by."""
    headroom_bytes: int | None = None
    """From the working set to the limit that is met first, be it of this group or of one above."""
    left_bytes: int | None = None
    """The same where the kernel takes back all pages of files: so much is left before it kills somebody."""
    oom_kills: int | None = None
    """Processes of the group that the kernel has killed for memory."""
    ooms: int | None = None
    """How often nothing could be freed at its limit (version 2)."""
    limit_hits: int | None = None
    """How often its use met its limit."""
    high_hits: int | None = None
    """How often somebody was slowed down (version 2)."""


LimitKind = Literal["group", "address_space", "data"]
"""Whose limit it is: the control group's, or the process's own RLIMIT_AS or RLIMIT_DATA."""


class MemoryVitals(msgspec.Struct, frozen=True):
    """How much memory a process may have, and how much is its own; ProcessVitals has what it uses."""

    limit_bytes: int | None = None
    """The least that holds for the process; None where it has none but the host's memory, or none is known."""
    limit_kind: LimitKind | None = None
    group: MemoryGroup | None = None
    """None where no group accounts for it."""
    proportional_bytes: int | None = None
    """PSS, once in five minutes at most: what it shares is divided by how many share it."""
    unique_bytes: int | None = None
    """USS: what would be free if it ended."""


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
    observed: ObservedLoop | None = None
    memory: MemoryVitals | None = None
    missing: dict[str, str] = {}
    """Field -> why it could not be read, with the permission that lacks."""


class TargetSnapshot(msgspec.Struct, frozen=True):
    """One target with its workers, as the last round of sampling left it."""

    name: str
    up: bool
    workers: tuple[WorkerSample, ...]
    restarts: dict[str, dict[str, int]] = {}
    """Slot -> reason -> how often a worker of that slot was replaced."""


Cause = Literal[
    "blocking_cpu",
    "blocking_call",
    "disk_io",
    "gc_pause",
    "gil_contention",
    "lock_wait",
    "ready_flood",
    "microtask_flood",
    "cpu_throttled",
    "cpu_contention",
    "page_faults",
    "swap",
    "stopped",
    "host_wide",
    "unknown",
]
"""Why a loop was late."""

StackRefusal = Literal["forbidden", "timeout", "failed", "thread", "over", "gone", "stopped", "threads", "budget"]
"""Why a stack was not taken from outside; docs/metrics.md has each in words."""

Doing = Literal["loop", "running", "futex", "sleep", "call", "disk", "blocked", "unknown"]
"""
What a thread was found doing: waiting for its loop's events; running; in a lock; asleep; in a call that waits for
somebody (a socket, a pipe, a child, another epoll); in a call to a file; blocked outside any call (a page that is
being read in); or not to be seen.
"""


class ThreadEvidence(msgspec.Struct, frozen=True):
    """What /proc told of a loop's thread between the first and the last look at one stall."""

    seconds: float
    """Between the two."""
    looks: int
    doing: dict[Doing, int]
    """In how many of the looks it was doing what."""
    states: dict[str, int]
    """The kernel's letter -> looks."""
    cpu_seconds: float | None = None
    runqueue_seconds: float | None = None
    """Ready to run, and waiting for a processor; a quota that is used up counts too."""
    voluntary_switches: int | None = None
    major_faults: int | None = None
    traced: bool = False
    """A debugger holds it."""
    sibling_cpu_share: float | None = None
    """Of the busiest other thread of the process."""
    peer: str | None = None
    """What the call waits for, as far as its descriptor tells: `socket`, `pipe`, `/srv/file`."""


class TurnEvidence(msgspec.Struct, frozen=True):
    """What the interpreter's own memory told between the first and the last look at one stall."""

    looks: int
    collecting: int
    """In how many of the looks garbage was being collected."""
    one_turn: bool = False
    """All of it was one turn of the loop, whose beginning is known."""
    ready: int | None = None
    """How many callbacks this turn runs."""
    ran: int | None = None
    """With how many of them it began while it was looked at."""


class HostEvidence(msgspec.Struct, frozen=True):
    """What the host and the cgroup told of the same time."""

    agent_late_seconds: float = 0.0
    """The most that the agent itself was late."""
    throttled_seconds: float | None = None
    throttled_periods: int | None = None
    periods: int | None = None
    memory_pressure_share: float | None = None
    cpu_pressure_share: float | None = None
    swap_bytes: int | None = None


class StallEvidence(msgspec.Struct, frozen=True):
    """Everything that is known of one stall, from whichever way in."""

    loop: str
    since: float
    """CLOCK_MONOTONIC; with worker and loop it names the stall."""
    seconds: float
    """So far, while it is in progress."""
    in_progress: bool
    runtime: str = "unknown"
    thread: ThreadEvidence | None = None
    host: HostEvidence = HostEvidence()
    turn: TurnEvidence | None = None
    cpu_seconds: float | None = None
    """CPU time of the thread as the probe has it, over the whole stall."""
    gc_seconds: float | None = None
    ready_callbacks: int | None = None
    stacks: tuple[Stack, ...] = ()
    """Of the loop's thread."""
    holder_stacks: tuple[Stack, ...] = ()
    """Of another thread that held the interpreter lock meanwhile."""
    stack_after_seconds: float | None = None
    """How old it was when the first stack was taken."""
    no_stack_reason: str | None = None
    """Why none was taken from outside, where that was tried and there is none."""
    probed: bool = False
    """A probe has measured it."""


class ObservedLoop(msgspec.Struct, frozen=True):
    """A loop as it is seen from outside, without a probe. Counters run since the observer found it."""

    delay: Histogram
    delay_max_seconds: float
    busy_seconds: float
    idle_seconds: float
    stalls: int
    stall_seconds: float
    current_stall: StallInProgress | None
    thread_id: int
    """In the agent's pid namespace."""
    runtime: str = "unknown"
    """`python` or `node`, by the name of the program that runs."""


class RecentLoop(msgspec.Struct, frozen=True):
    """What one loop did lately."""

    seconds: float
    """How far back this looks: a minute, or less while worker or agent are younger."""
    busy_share: float | None
    """Of the time in which it ran."""
    delay_p99_between_seconds: tuple[float, float | None] | None
    """The bucket in which the 99th percentile of its delay lies; the last one has no end."""
    stalls: int
    """That have ended in this time."""


class MemoryTrend(msgspec.Struct, frozen=True):
    """Where a worker's memory is going."""

    bytes_per_second: float | None
    """Of its peaks, over the last six hours or what is known of them."""
    exhausted_at: float | None
    """Unix time at which they meet the limit at this pace; None where they do not within a month."""


class Verdict(msgspec.Struct, frozen=True):
    """What one stall comes to."""

    cause: Cause
    culprit: Frame | None
    reason: str
    """The evidence in words: what decided it."""
    stall: bool = True
    """False for what only looked like one: a loop that turns fast and is never idle."""


Severity = Literal["info", "warning", "critical"]
ONE_OF_A_WORKER = frozenset({"error_surge"})
"""Kinds of which a worker has one at a time, whoever is to blame: that may change from one moment to the next."""


class Finding(msgspec.Struct, frozen=True):
    """What a detector has found at one instant. Findings alike in `place` are one incident."""

    kind: str
    target: str
    worker: str
    severity: Severity
    at: float
    """Unix time."""
    summary: str
    """One sentence that somebody on call can act on."""
    cause: Cause | None = None
    culprit: Frame | None = None
    started_at: float | None = None
    """Unix time since when it has been so, if that is earlier."""
    evidence: dict[str, object] = {}

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """What makes it the same incident: target, worker, kind, cause and the culprit's function, no line."""
        culprit = self.culprit if self.kind not in ONE_OF_A_WORKER else None
        function = f"{culprit.file}:{culprit.function}" if culprit is not None else ""
        return self.target, self.worker, self.kind, self.cause or "", function


class Incident(msgspec.Struct, frozen=True):
    """The life of one finding. Times are unix here and RFC 3339 where people read them."""

    id: str
    kind: str
    target: str
    worker: str
    severity: Severity
    state: Literal["open", "resolved"]
    opened_at: float
    resolved_at: float | None
    cause: Cause | None
    culprit: Frame | None
    summary: str
    evidence: dict[str, object]
    captures: tuple[str, ...] = ()
    updated_at: float = 0.0
    """When it was last found."""
    count: int = 1
    """How often."""
    timeline: tuple[dict[str, object], ...] = ()
    """What happened: `at`, `event` (opened, worse, evidence, resolved, reopened), `text`."""


class RuleState(msgspec.Struct, frozen=True):
    """One rule for one worker, and why it has fired or has not."""

    rule: str
    """The kind of incident it opens."""
    target: str
    worker: str
    state: Literal["quiet", "watching", "fired", "unavailable"]
    reason: str
