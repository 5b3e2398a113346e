"""What was read of one process at one instant, from whichever way in: its loops, its heap, its memory."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "STAND_INS",
    "ActiveResource",
    "CpuVitals",
    "Frame",
    "HeapSpace",
    "Histogram",
    "LimitKind",
    "LoopVitals",
    "MemoryGroup",
    "MemoryVitals",
    "ObservedLoop",
    "PoolVitals",
    "ProbeVitals",
    "ProcessVitals",
    "Stack",
    "Stall",
    "StallInProgress",
    "UnhandledError",
    "WorkerKey",
]


STAND_INS = 1 << 22
"""
Linux gives no pid as high as this or higher.

So a key from here on is nobody's in any /proc, and no signal sent to it could reach anybody. Its rest when divided
by this is the pid that the process has in its own namespace.
"""


class WorkerKey(msgspec.Struct, frozen=True):
    """Who a worker is: a pid alone is reused, a pid and its start time is not."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks between boot and the start of the process."""

    @property
    def in_sight(self) -> bool:
        """Whether the agent sees this process; the pid of one that it does not see is a stand-in."""
        return self.pid < STAND_INS

    @property
    def own_number(self) -> int:
        """The pid, of a process out of sight the one that it has in its own pid namespace."""
        return self.pid % STAND_INS


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


class PoolVitals(msgspec.Struct, frozen=True):
    """One thread pool executor."""

    name: str
    """What the names of its threads begin with: `asyncio` is the default executor of a loop."""
    threads: int
    busy: int
    queued: int


class HeapSpace(msgspec.Struct, frozen=True):
    """One space of V8's heap."""

    name: str
    used_bytes: int
    held_bytes: int
    """What it has of memory."""


class ActiveResource(msgspec.Struct, frozen=True):
    """What keeps a Node process going, of one type."""

    type: str
    """As Node names it: `TCPSocketWrap`, `Timeout`."""
    count: int


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
    """By generation, youngest first; of Node by kind, see `gc_names`."""
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
    heap_limit_bytes: int | None = None
    """Of what lives, at which V8 ends the process: that of its old space, without the young."""
    external_bytes: int | None = None
    """Outside of V8's heap and held by it: buffers."""
    listener_warnings: int | None = None
    """How often Node has warned of an emitter with very many listeners."""
    resources: tuple[ActiveResource, ...] = ()
    """The most frequent first."""
    spaces: tuple[HeapSpace, ...] = ()


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


class CpuVitals(msgspec.Struct, frozen=True):
    """How long a process was kept from the processor. Counters; what cannot be read is None."""

    runqueue_seconds: float | None = None
    """Its main thread was ready to run, and waited for a processor. Since the process started."""
    throttled_seconds: float | None = None
    """
    Its control group had used up its quota: the most that any group tells from its own to the top, since that
    group began. Alike for all workers of a group; None where no group keeps such an account.
    """


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
    """The same where the kernel takes back all that it can, such as pages of files: then it kills somebody."""
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
