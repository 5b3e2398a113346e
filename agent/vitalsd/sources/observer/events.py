"""What goes into the observer and what comes out of it, as frozen structs. Pure, and costs nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vitalsd.model import Doing, StallEvidence, WorkerKey
from vitalsd.sources.interpreter import Turn

__all__ = ["Ended", "Followed", "Late", "Look", "Times"]


class Followed(msgspec.Struct, frozen=True):
    """A worker to be watched."""

    target: str
    slot: str
    key: WorkerKey
    segment: Path | None
    """Where its probe publishes; None without a probe."""
    loopless: str | None = None
    """Why it has no event loop although it waits in an epoll; None where it may have one."""


class Late(msgspec.Struct, frozen=True):
    """A loop that is late right now; told once for each stretch."""

    key: WorkerKey
    loop: str
    since: float
    """CLOCK_MONOTONIC; with key and loop it names the stretch."""
    seconds: float
    probed: bool


class Ended(msgspec.Struct, frozen=True):
    """A stretch beyond the threshold that is over."""

    key: WorkerKey
    evidence: StallEvidence
    probed: bool


class Times(msgspec.Struct, frozen=True):
    """The kernel's counters of one thread at one moment; what could not be read is None."""

    cpu_seconds: float | None = None
    runqueue_seconds: float | None = None
    voluntary_switches: int | None = None
    major_faults: int | None = None
    swap_bytes: int | None = None
    """Of the whole process."""


class Look(msgspec.Struct, frozen=True):
    """What one look at a loop's thread found."""

    at: float
    """CLOCK_MONOTONIC."""
    doing: Doing
    state: str | None = None
    """The kernel's letter, where it was read."""
    times: Times | None = None
    peer: str | None = None
    traced: bool = False
    ready_seconds: float | None = None
    """For how long it has run, or waited for a processor, since the look before."""
    earlier: bool = False
    """Whether it has been so since the look before."""
    turn: Turn | None = None
    """What the interpreter's memory told, where it was read."""
