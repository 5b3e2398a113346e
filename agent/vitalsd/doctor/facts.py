"""
What a doctor's visit finds out, as frozen structs; None is what could not be seen. Nothing here reads anything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.capture.breaker import Breaker
from vitalsd.doctor.permission import Standing
from vitalsd.model import MemoryGroup

__all__ = [
    "AgentFacts",
    "CaptureFacts",
    "EngineFacts",
    "FolderFacts",
    "PortFacts",
    "ProbeFacts",
    "ProcessFacts",
    "Runtime",
    "ToolFacts",
    "UnseenFacts",
]

Place = Literal["kubernetes", "systemd", "host"]
"""Where the agent runs, which is what advice has to fit: a pod, a unit of systemd, or a command line."""


class FolderFacts(msgspec.Struct, frozen=True):
    """A folder that the agent needs."""

    what: str
    path: str
    exists: bool
    usable: bool
    """Whether it may be written, or made."""
    filesystem: str | None
    free_bytes: int | None
    problem: str | None = None
    least_bytes: int | None = None
    """What must be free of it."""
    unmade: str | None = None
    """Why no probe makes it, where it is one for segments and is not there."""


class PortFacts(msgspec.Struct, frozen=True):
    """An address that an agent listens on."""

    key: str
    listen: str
    free: bool
    problem: str | None = None
    holder: int | None = None
    """The process that has it, where that is to be seen."""


class CaptureFacts(msgspec.Struct, frozen=True):
    """What is known of captures here, by the agent that answers or by what one has left on the disk."""

    told_by: str | None
    """Who says so; None where nothing was captured here."""
    breakers: tuple[Breaker, ...] = ()
    problems: tuple[str, ...] = ()
    """What the agent that answers says is wrong with it now."""
    problem: str | None = None
    """Why none of this is known."""


class ToolFacts(msgspec.Struct, frozen=True):
    """Something that captures are made with."""

    name: str
    path: str | None
    version: str | None


class UnseenFacts(msgspec.Struct, frozen=True):
    """A segment whose process this agent does not see."""

    segment: str
    target: str
    """By its own word; empty where it has none."""
    runtime: str
    own_pid: int
    """In its own pid namespace."""
    socket_usable: bool
    why: str
    """Why it is not to be seen, and what would change that."""


class AgentFacts(msgspec.Struct, frozen=True):
    """This agent, or one that would be started as this command was."""

    standing: Standing
    capabilities: tuple[str, ...]
    """In effect."""
    seccomp: int | None
    """0: no filter; 1: strict; 2: a filter."""
    kernel: str
    namespaces: dict[str, str]
    host_namespaces: tuple[str, ...]
    """Those that are the host's own."""
    place: Place
    cgroup_version: Literal[1, 2] | None
    cgroup_path: str | None
    pressure: bool
    tools: tuple[ToolFacts, ...]
    folders: tuple[FolderFacts, ...]
    ports: tuple[PortFacts, ...]
    answers: bool
    """Whether an agent answers on the control port."""
    no_answer: str | None = None
    captures: CaptureFacts = CaptureFacts(None)
    unseen: tuple[UnseenFacts, ...] = ()
    """Those of whom probes alone tell."""


class Runtime(msgspec.Struct, frozen=True):
    """What a process runs."""

    kind: Literal["python", "node", "other", "unknown"]
    implementation: str | None = None
    version: str | None = None
    program: str | None = None


class ProbeFacts(msgspec.Struct, frozen=True):
    """The probe in a process, or why there is none."""

    segment: str | None = None
    owner_uid: int | None = None
    locked: bool = False
    version: str | None = None
    """Of the runtime it is in."""
    socket: str | None = None
    socket_usable: bool = False
    problem: str | None = None
    advice: str | None = None
    """What to do about that, where it is known."""
    workers: tuple[int, ...] = ()
    """The processes below it that have one, where it has none itself: it is their supervisor."""


class EngineFacts(msgspec.Struct, frozen=True):
    """One way of making a capture of this process."""

    kind: str
    engine: str
    fits: bool
    why: str
    advice: str | None
    chosen: bool
    left_alone: str | None = None
    """For how long it is not used for this, and why, where it has done harm or failed."""


class ProcessFacts(msgspec.Struct, frozen=True):
    """The process that is asked about."""

    pid: int
    own_pid: int | None
    """In its own pid namespace."""
    command: str
    standing: Standing
    state: str
    """The kernel's letter."""
    threads: int
    traced_by: int
    dumpable: bool
    owner_uid: int
    """Whose its files in /proc are: its user's, or root's where it does not let itself be read."""
    apart: tuple[str, ...]
    """Namespaces in which it is and the agent is not; empty where that may not be seen."""
    namespaces_known: bool
    runtime: Runtime
    probe: ProbeFacts
    zero_touch: str | None
    """Why its memory and calls may not be read; None: they were."""
    interpreter: str | None
    """Why its memory tells nothing of turns, where it may be read; None: it does, or is of no known runtime."""
    unsampled: str | None
    """Why a Node may not be sampled while it computes, where its memory may be read; None: it may, or is none."""
    inspector: str | None
    """Of a Node process."""
    memory: MemoryGroup | None
    memory_problem: str | None
    seccomp: int | None
    engines: tuple[EngineFacts, ...]
