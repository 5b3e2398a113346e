"""One round of sampling: workers and targets as they were read, and what a little past makes of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.model.containers import Container
from vitalsd.model.vitals import CpuVitals, MemoryVitals, ObservedLoop, ProbeVitals, ProcessVitals, WorkerKey
from vitalsd.model.workers import Exit, ExitReason, MemoryKill, Pulse, Supervisor, Zombie

__all__ = [
    "OBSERVED_LOOP",
    "OWN_TARGET",
    "LagSource",
    "MemoryTrend",
    "RecentLoop",
    "Recovering",
    "SourceReading",
    "TargetSnapshot",
    "WorkerSample",
]

LagSource = Literal["probe", "observer", "none"]
OBSERVED_LOOP = "main"
"""From outside one loop is seen per process."""
OWN_TARGET = "vitalsd"
"""The agent watches itself under this name."""


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
    """Whether its process is there."""
    command: str
    """The command line, shortened and scrubbed."""
    lag_source: LagSource
    process: ProcessVitals | None
    probe: ProbeVitals | None
    observed: ObservedLoop | None = None
    memory: MemoryVitals | None = None
    cpu: CpuVitals | None = None
    pulse: Pulse | None = None
    share: float | None = None
    """Of the work of its pool lately, by CPU time; None where it has no company, or that is not known yet."""
    container: Container | None = None
    """The one that it runs in; None where it is in none, or that may not be seen."""
    vacant: bool = False
    """
    Nobody sits here, and nobody is missed as far as can be known: its worker has ended in order, the supervisor
    and other workers live, and nobody has taken the place, or not yet.
    """
    missing: dict[str, str] = {}
    """Field -> why it could not be read, with the permission that lacks."""


class TargetSnapshot(msgspec.Struct, frozen=True):
    """One target with its workers, as the last round of sampling left it."""

    name: str
    up: bool
    workers: tuple[WorkerSample, ...]
    restarts: dict[str, dict[ExitReason, int]] = {}
    """Slot -> reason -> how often a worker of that slot that ended so was replaced."""
    supervisor: Supervisor | None = None
    """None where a worker stands alone."""
    supervisor_pulse: Pulse | None = None
    exits: tuple[Exit, ...] = ()
    """Those of the last ten minutes, and the last of each slot that nobody has taken since; oldest first."""
    stray_kills: tuple[MemoryKill, ...] = ()
    """Of the last ten minutes: what was killed for memory in its workers' groups, and was no worker."""
    zombies: tuple[Zombie, ...] = ()


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


class Recovering(msgspec.Struct, frozen=True):
    """A loop that was late for longer than `health.max_delay`, and has not been on time for long enough since."""

    loop: str
    late_seconds: float
    left_seconds: float
    """Until it is taken for healthy again, if it stays on time."""


class MemoryTrend(msgspec.Struct, frozen=True):
    """Where a worker's memory is going."""

    bytes_per_second: float | None
    """Of its peaks, over the last six hours or what is known of them."""
    exhausted_at: float | None
    """Unix time at which they meet the limit at this pace; None where they do not within a month."""
