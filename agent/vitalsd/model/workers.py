"""The processes of a target as a pool: who supervises them, how they show life, and how they end."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from vitalsd.model.stalls import Cause
from vitalsd.model.vitals import Stack, WorkerKey

__all__ = [
    "EXIT_REASONS",
    "IN_ORDER",
    "OUT_OF_ORDER",
    "STOPPED",
    "SUPERVISOR",
    "Exit",
    "ExitReason",
    "HeartbeatSource",
    "MemoryKill",
    "Pulse",
    "Silence",
    "SilenceKind",
    "Supervisor",
    "SupervisorKind",
    "Zombie",
]

SupervisorKind = Literal[
    "gunicorn", "uvicorn", "hypercorn", "celery", "uwsgi", "multiprocessing", "node_cluster", "plain"
]
"""
What starts and ends the workers. `multiprocessing` is any Python program that forks or spawns them by itself;
`plain` is any other parent, which may not replace them at all.
"""
ExitReason = Literal["graceful", "recycled", "error", "signal", "oom_kill", "timeout", "unknown"]
"""
Why a worker ended: it was asked to, or was done (`graceful`); our own remedy asked (`recycled`); an exit code of
its own (`error`); a signal that nobody sends to have it end in order (`signal`); the kernel, for memory
(`oom_kill`); its supervisor, for it showed no life (`timeout`).
"""
EXIT_REASONS: tuple[ExitReason, ...] = get_args(ExitReason)
IN_ORDER: tuple[ExitReason, ...] = ("graceful", "recycled")
OUT_OF_ORDER: tuple[ExitReason, ...] = ("error", "signal", "oom_kill", "timeout")
"""Of `unknown` nobody can say either."""
SUPERVISOR = ""
"""The slot of a supervisor, which has none."""
STOPPED = ("T", "t")
"""The kernel's letters for who is stopped, by a signal or a debugger."""
HeartbeatSource = Literal["probe", "observer", "supervisor"]
"""Who tells of a heartbeat: the probe, the loop as it is seen from outside, the file that its supervisor reads."""


class Supervisor(msgspec.Struct, frozen=True):
    """Who starts and ends the workers of a target."""

    kind: SupervisorKind
    key: WorkerKey
    """Its process. It is none of the workers, but where a service with a loop of its own has a pool beside it."""
    command: str
    """Shortened and scrubbed."""
    timeout_seconds: float | None = None
    """It ends a worker that has shown no life for so long; None where it never does, or that is not known."""
    worker_class: str | None = None
    """What it runs, in its own words: `sync`, `gthread`, `uvicorn.workers.UvicornWorker`, `prefork`, `spawn`."""
    workers: int | None = None
    """How many it was asked for when it started, where that is known: it may have been told otherwise since."""
    missing: dict[str, str] = {}
    """Field -> why it is not known, where it might have been."""


class MemoryKill(msgspec.Struct, frozen=True):
    """That the kernel has ended processes of a control group for memory, as the group's own counter tells."""

    group: str | None
    """Its path, as the agent's own namespace has it; None where there is no group, and the host has counted."""
    noticed_at: float
    kills: int = 1
    limit_bytes: int | None = None
    """Of the group, at the last sample of one of its workers."""
    used_bytes: int | None = None
    """By the group, at that sample."""


class Exit(msgspec.Struct, frozen=True):
    """The end of one worker, or of its supervisor."""

    target: str
    slot: str
    """Empty for the supervisor, which has none."""
    key: WorkerKey
    ended_at: float
    """Unix time at which it was noticed: at once where there is a pidfd, else in the next round."""
    reason: ExitReason
    lived_seconds: float | None = None
    code: int | None = None
    """What it exited with; None where a signal ended it, or the kernel does not tell."""
    signal: str | None = None
    """`SIGKILL`; None where it exited by itself, or the kernel does not tell."""
    followed_by: WorkerKey | None = None
    """Who was seen in its place next; None where nobody was, or a supervisor has ended."""
    told_by: Literal["kernel", "parent", "none"] = "none"
    """Who told code or signal: the pidfd, or /proc while its parent had not fetched it yet."""
    evidence: str = ""
    """How the reason was told, in words."""
    supervisor: SupervisorKind | None = None
    """What kind it had, or was."""
    memory_kill: MemoryKill | None = None
    """What the group's counter told, where the kernel has ended it for memory."""
    memory_bytes: int | None = None
    """What it had for itself at its last sample: anonymous memory and swap."""
    heap_limit_bytes: int | None = None
    """Of V8's heap, at which it has most likely ended the process; None where that is not how it went."""


class Zombie(msgspec.Struct, frozen=True):
    """A child of a target that has ended, and that its parent does not fetch."""

    key: WorkerKey
    parent: WorkerKey
    name: str
    """As the kernel has it, fifteen characters."""
    since: float
    """Unix time at which it was first seen so."""


class Pulse(msgspec.Struct, frozen=True):
    """Whether one worker shows life, looked at each second."""

    at: float
    """Unix time."""
    state: str
    """The kernel's letter: R S D Z T t X I; of one whose loop turns it may be five seconds old."""
    state_since: float
    """Unix time since when every reading has found that letter, or since the look before where it had not read."""
    heartbeat_at: float | None = None
    """Unix time of its latest sign of life; None where nothing tells."""
    heartbeat_source: HeartbeatSource | None = None
    touched_at: float | None = None
    """Unix time at which the file was touched that its supervisor goes by, where it has one."""
    frozen_since: float | None = None
    """Unix time since when every look has found its control group frozen; None where it is not."""
    booted: bool | None = None
    """Whether that file was ever touched: gunicorn's workers do not before their application is loaded."""
    rests: bool | None = None
    """Whether it waits where it was seen to wait for a connection; None where that is not known."""
    heartbeat_missing: str | None = None
    """Why its supervisor's file may not be read, where it has one."""


SilenceKind = Literal["stopped", "uninterruptible", "loop", "heartbeat"]
"""
How a worker shows no life: stopped by a signal or a debugger, or frozen with its control group; in a call of the
kernel's that nothing interrupts; its loop does not come back; the file that its supervisor reads is not touched.
"""


class Silence(msgspec.Struct, frozen=True):
    """One worker, or who supervises it, that has shown no life for longer than is allowed, up to now."""

    kind: SilenceKind
    key: WorkerKey
    since: float
    """Unix time."""
    seconds: float
    state: str
    """The kernel's letter."""
    frozen: bool = False
    """Whether it is its control group that is stopped."""
    loop: str | None = None
    cause: Cause | None = None
    """What a loop does meanwhile, as far as it is known."""
    stacks: tuple[Stack, ...] = ()
    """Of the loop's thread, or of the main thread."""
    no_stack_reason: str | None = None
    waits_in: str | None = None
    """The kernel's function in which its main thread waits."""
    heartbeat_silent_seconds: float | None = None
    """How long ago the file was touched that its supervisor goes by, where that is known."""
