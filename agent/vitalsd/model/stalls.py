"""One stall: what was seen of it, from inside, outside and the host, and what that comes to."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.model.vitals import Frame, Stack

__all__ = [
    "HELD_TIMES",
    "Cause",
    "Doing",
    "EndedStall",
    "Hold",
    "HostEvidence",
    "StackRefusal",
    "StallEvidence",
    "ThreadEvidence",
    "TurnEvidence",
    "Verdict",
]

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
StackRefusal = Literal[
    "forbidden", "timeout", "failed", "thread", "over", "gone", "stopped", "threads", "budget", "own_memory"
]
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
    frozen_share: float | None = None
    """Of the looks at its cgroup's freezer, those that found it frozen; None where there were none."""


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
    heap_looks: int = 0
    heap_collecting: int = 0
    """Of a Node: how often V8 was asked what it is at, and how often that was collecting garbage."""


HELD_TIMES = 4.0
"""What is known to hold a service for so long on a host at rest may take as many times that where captures are
still taken: with eight to ten at work on two processors it was up to 2.7 times (`python -m bench holds_node`)."""


class Hold(msgspec.Struct, frozen=True):
    """A capture of ours whose engine is known to hold the worker, and what is known of that."""

    capture: str
    """Its id."""
    kind: str
    asked_by: Literal["person", "incident", "alert"]
    who: str
    began_at: float
    """Unix time at which its engine was started: it holds from a moment later."""
    told_seconds: float
    """For how long it is known to hold, about."""
    pause_seconds: float | None
    """For how long it did, measured; None where that is not known yet, or nothing came of it."""
    runs: bool
    """Whether it has not ended."""
    watches: bool
    """Whether it goes on to watch the worker after that, and holds it no longer."""


class EndedStall(msgspec.Struct, frozen=True):
    """One that is over: where it was, and how long."""

    worker: str
    loop: str
    ended_at: float
    """Unix time."""
    seconds: float


class Verdict(msgspec.Struct, frozen=True):
    """What one stall comes to."""

    cause: Cause
    culprit: Frame | None
    reason: str
    """The evidence in words: what decided it."""
    stall: bool = True
    """False for what only looked like one: a loop that turns fast and is never idle."""
