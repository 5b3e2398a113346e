"""What detectors find, and what becomes of it: findings, incidents, the states of rules."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.model.stalls import Cause, EndedStall
from vitalsd.model.vitals import Frame

__all__ = [
    "OF_THE_HOST",
    "ONE_OF_A_WORKER",
    "Finding",
    "Incident",
    "RuleState",
    "Severity",
    "cause_is_identity",
]

Severity = Literal["info", "warning", "critical"]
ONE_OF_A_WORKER = frozenset({"error_surge", "worker_hung"})
"""Kinds whose cause and culprit do not tell one from another: those may change from one moment to the next."""

OF_THE_HOST: frozenset[Cause | None] = frozenset({"host_wide", "cpu_contention"})
"""Causes that all workers of a target have in common: they are one incident of the target, which has no worker."""

LATE_FOR_THE_HOST = frozenset({"stall", "starvation"})


def is_of_the_host(kind: str, cause: Cause | None) -> bool:
    """Whether it is what all workers of a target have in common, whichever of these causes it has by now."""
    return cause in OF_THE_HOST and kind in LATE_FOR_THE_HOST


def cause_is_identity(kind: str, cause: Cause | None) -> bool:
    """Whether the cause tells an incident from another; where it does not, it may change while it lasts."""
    return kind not in ONE_OF_A_WORKER and not is_of_the_host(kind, cause)


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
    fault: str = ""
    """What tells it from others of its kind there: `SIGSEGV`, `exit 3`; empty where cause and culprit do."""
    advice: str = ""
    """The part of the summary that is for as long as it is so: an incident that is over does not say it."""
    ended: tuple[EndedStall, ...] = ()
    """Of the stalls that it is about, those that are over."""

    @property
    def place(self) -> tuple[str, str, str, str, str, str]:
        """What makes it the same incident: target, worker, kind, fault, cause, the culprit's function, no line."""
        if is_of_the_host(self.kind, self.cause):
            return self.target, "", "host", "", "", ""
        if not cause_is_identity(self.kind, self.cause):
            return self.target, self.worker, self.kind, self.fault, "", ""
        culprit = self.culprit
        function = f"{culprit.file}:{culprit.function}" if culprit is not None else ""
        return self.target, self.worker, self.kind, self.fault, self.cause or "", function


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
    """What happened: `at`, `event` (opened, worse, evidence, captured, notified, remedy, resolved, reopened),
    `text`."""
    fault: str = ""
    """What tells it from others of its kind there; empty where cause and culprit do."""
    advice: str = ""
    """The part of the summary that says what to do while it is so; empty when it is over, or it holds for good."""


class RuleState(msgspec.Struct, frozen=True):
    """One rule for one worker, and why it has fired or has not."""

    rule: str
    """The kind of incident it opens."""
    target: str
    worker: str
    state: Literal["quiet", "watching", "fired", "unavailable"]
    reason: str
