"""
What an exporter may ask of the daemon: the one door between the two packages.

Exporters render what they are given and keep nothing, so a restarted exporter, or a second Prometheus, sees
the same numbers. Asking costs no reading of `/proc`: everything but a loop's live words was read before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from vitalsd.capture.model import CaptureCounts, OpenFile
from vitalsd.remedy.model import RemedyCounts, RemedyState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vitalsd.capture.breaker import Breaker
    from vitalsd.capture.model import AskedBy, Capture, CaptureKind
    from vitalsd.history.memory import MemoryPast
    from vitalsd.incidents.latest import Latest, LoopPlace
    from vitalsd.incidents.query import Page, TotalOf, Wanted
    from vitalsd.model import (
        Cause,
        Incident,
        MemoryTrend,
        RecentLoop,
        Recovering,
        RuleState,
        SourceReading,
        StackRefusal,
        TargetSnapshot,
        WorkerSample,
    )
    from vitalsd.settings.model import AlertLabels, Health

__all__ = [
    "AgentVitals",
    "CaptureCounts",
    "Captures",
    "Exported",
    "Notified",
    "OpenFile",
    "RemedyCounts",
    "RemedyState",
    "View",
]


class Notified(msgspec.Struct, frozen=True):
    """How it went with one Alertmanager since it was configured."""

    peer: str
    """Its URL, which has no secret in it."""
    sent: int
    failed: int
    problem: str | None = None
    """Why it cannot be told now, if that is so."""


class Exported(msgspec.Struct, frozen=True):
    """How it went with what is pushed by OTLP, since the agent began."""

    endpoint: str
    sent: int
    failed: int
    dropped_points: int
    problem: str | None = None
    """Why not everything is taken now, if that is so."""


class AgentVitals(msgspec.Struct, frozen=True):
    """How the daemon itself is doing and what it costs."""

    cpu_seconds: float
    resident_bytes: int
    effective_interval_seconds: float
    """The interval between samples that is really kept; longer than the configured one under load."""
    sampled_at: dict[str, float]
    """Target -> unix time of its latest sample."""
    reload_succeeded_at: float
    """Unix time of the latest configuration that was taken over; the first one counts."""
    version: str
    observer_interval_seconds: float | None = None
    """Between two looks of the observer at one loop; None while it looks at none."""
    store_problem: str | None = None
    """Why incidents are not being stored now, if that is so."""
    history_problem: str | None = None
    """Why history is not being stored now, if that is so."""
    disk_problem: str | None = None
    """Why the disk has no room for captures, if that is so."""
    reload_problem: str | None = None
    """What was wrong with the configuration that was read last and not taken over, if that is so."""
    certificate_problem: str | None = None
    """Why the certificate of the metrics port is not the one in its files, if that is so."""
    incidents_lost: int = 0
    """How many were never stored because too many were waiting."""
    incidents_displaced: int = 0
    """How many were resolved because their target had too many open ones."""
    stacks: int = 0
    """How often py-spy was asked, or the memory of a Node was read, for the stacks of a stall."""
    stacks_refused: Mapping[StackRefusal, int] = {}
    """Reason -> how often a stack was not taken, or came to nothing."""
    errors: Mapping[str, int] = {}
    """Event of the log -> how often it was an error since the agent began; every one there can be."""
    notified: tuple[Notified, ...] = ()
    """One for each Alertmanager that is configured."""
    exported: Exported | None = None
    """None where nothing is pushed by OTLP."""


class Captures(Protocol):
    """The captures of this agent. Nothing here waits for a disk; what changes on one is a coroutine."""

    def latest(self) -> tuple[Capture, ...]:
        """All that are known, latest asked for first; the same object until one changes."""

    def one(self, name: str) -> Capture | None:
        """The capture of this id."""

    def progress(self, name: str) -> float | None:
        """How much of a running one is done, 0 to 1; None where it does not run."""

    def waits_for(self, name: str) -> str | None:
        """What has to be over before this one begins, in half a sentence; None where it does not wait."""

    def ask(
        self,
        kind: CaptureKind,
        target: str,
        worker: str | None,
        *,
        seconds: float | None,
        reason: str,
        asked_by: AskedBy,
        who: str,
        force: bool = False,
        redact: bool = False,
    ) -> Capture:
        """
        Ask for one, of the first worker that is up where none is named; one that is refused says why.

        Raises NotFound for a target or a worker that is not there.
        """

    def stop(self, name: str) -> Capture | None:
        """End a running one early, and keep what it has; one that waits is cancelled."""

    def cancel(self, name: str) -> Capture | None:
        """End one that waits or runs at once, and keep nothing."""

    async def delete(self, name: str) -> bool:
        """Delete an ended one with its files; False where there is none."""

    async def pin(self, name: str, *, pinned: bool) -> Capture | None:
        """Have one kept, or no longer."""

    async def open_file(self, name: str, file: str) -> OpenFile | None:
        """A file of an ended one, by the name that its capture tells."""

    def counts(self) -> CaptureCounts:
        """For the metrics."""

    def breakers(self) -> tuple[Breaker, ...]:
        """The engines that are left alone on a target now."""


class View(Protocol):
    """The daemon as the exporters see it."""

    @property
    def health(self) -> Health:
        """What makes a worker unavailable, and available again."""

    @property
    def alert_labels(self) -> AlertLabels:
        """Which labels of an alert say what it asks for."""

    @property
    def runbooks(self) -> str | None:
        """Where people read the pages of docs, if that is configured."""

    def recovering(self, worker: WorkerSample) -> Recovering | None:
        """The loop of a worker that was late until a moment ago, where it is not yet taken for healthy again."""

    def targets(self) -> tuple[TargetSnapshot, ...]:
        """Every target; stalls in progress and loop counters are read at this very call."""

    def scraped(self) -> tuple[TargetSnapshot, ...]:
        """The same for metrics, of which rates are made: nothing in it is older than an interval of sampling."""

    def sampled(self) -> tuple[TargetSnapshot, ...]:
        """Every target as the latest round of sampling left it; the same object until there is another round."""

    def look_closely(self) -> None:
        """Somebody looks at this by the second: have it be as new as it may for the next ten."""

    def stalled(self) -> Mapping[tuple[str, str], float]:
        """Target and slot -> seconds of the longest stall that it is in at this very call; no other is told."""

    def recent(self, worker: WorkerSample) -> Mapping[str, RecentLoop]:
        """Loop of a worker -> what it did in the minute before this call, or in less where less is known."""

    def cpu_share(self, worker: WorkerSample) -> float | None:
        """Of one processor in the minute before this sample, or in less where less is known."""

    def memory_trend(self, worker: WorkerSample) -> MemoryTrend | None:
        """Where the memory of a worker is going, as far as it is known."""

    async def memory_past(self, target: str, worker: str, since: float) -> MemoryPast:
        """The memory of one worker from unix time `since` on; the disk may be slow, and the answer says so."""

    def sources(self) -> tuple[SourceReading, ...]:
        """How the latest reading of each source of each target went."""

    def incidents(self) -> tuple[Incident, ...]:
        """Every open incident and the latest resolved, latest opened first; the same object until one changes."""

    def incident_totals(self) -> Mapping[TotalOf, int]:
        """Target, kind, severity -> how often an incident was opened, reopened or became worse, then so."""

    async def find_incidents(self, wanted: Wanted) -> Page:
        """Incidents that fit, those included that only the disk knows; it may be slow, and the page says so."""

    @property
    def captures(self) -> Captures:
        """What was captured, and the way to ask for more."""

    def remedy(self, target: str) -> RemedyState:
        """How the remedy of this target stands: what is recycled now, or why nothing is."""

    def remedies(self) -> RemedyCounts:
        """What was recycled since this agent began, and what came of it."""

    def rules(self) -> tuple[RuleState, ...]:
        """Every rule for every worker, and why it has fired or has not."""

    def stall_counts(self, worker: WorkerSample) -> Mapping[Cause, tuple[int, float]]:
        """Cause -> count and seconds of the stalls of the worker's process so far; none of them ever falls."""

    def latest_stalls(self) -> Mapping[LoopPlace, Mapping[float, Latest]]:
        """Loop -> bound of a bucket of its delay -> the latest stall of an incident whose length falls into it."""

    def ready(self) -> bool:
        """Whether a first round of sampling is done."""

    def agent(self) -> AgentVitals:
        """The daemon's own vitals."""

    async def reload(self) -> None:
        """Take over the configuration as it is now; raises VitalsdError, changing nothing, if it is wrong."""
