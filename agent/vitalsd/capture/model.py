"""
The words of captures: what is asked for, what becomes of it, and what is left behind.

Structs with units in their names, no behaviour. Times are unix here and RFC 3339 where people read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from vitalsd.model import WorkerKey

__all__ = [
    "ACTIVE",
    "ENDED",
    "KINDS",
    "Artifact",
    "AskedBy",
    "Capture",
    "CaptureCounts",
    "CaptureKind",
    "CaptureState",
    "OpenFile",
    "Refusal",
    "RefusalWord",
    "Wanted",
]

CaptureKind = Literal["stacks", "cpu", "memory", "heap"]
KINDS: tuple[CaptureKind, ...] = ("stacks", "cpu", "memory", "heap")
CaptureState = Literal["waiting", "running", "stopping", "done", "failed", "cancelled", "refused"]
ACTIVE: frozenset[CaptureState] = frozenset({"waiting", "running", "stopping"})
ENDED: frozenset[CaptureState] = frozenset({"done", "failed", "cancelled", "refused"})
AskedBy = Literal["person", "incident", "alert"]
"""Somebody through the API or a command; an incident of this agent's; an alert that came by webhook."""
RefusalWord = Literal[
    "gone",
    "stopped",
    "stalling",
    "busy",
    "hold",
    "headroom",
    "own_memory",
    "descriptors",
    "threads",
    "overload",
    "cooldown",
    "budget",
    "queue",
    "breaker",
    "disk",
    "host",
    "engine",
    "closed",
]
"""Why none was taken; docs/metrics.md has each in words."""


class Wanted(msgspec.Struct, frozen=True):
    """A capture that somebody asks for."""

    kind: CaptureKind
    target: str
    worker: str
    key: WorkerKey
    seconds: float
    """How long to watch; 0 for what is taken at one instant."""
    asked_by: AskedBy
    who: str
    """For the audit log: the incident's id, the caller's address, the alert's fingerprint."""
    reason: str
    """A sentence: why it is taken."""
    incident: str | None = None
    """The id of the incident that it is evidence for."""
    about: str = ""
    """What that incident says: its kind, cause and culprit. What is about something else does not wait for it."""
    force: bool = False
    """Somebody wants it now, whatever was taken before: cooldown and budget do not hold, all else does."""
    redact: bool = False
    """What strings say is to stay out of its files."""


class Refusal(msgspec.Struct, frozen=True):
    """Why none is taken now."""

    word: RefusalWord
    sentence: str
    retry_after_seconds: float | None = None
    """When it may be asked for again, where that is known."""


class Artifact(msgspec.Struct, frozen=True):
    """One file of a capture."""

    name: str
    size_bytes: int
    sha256: str
    media_type: str


class Capture(msgspec.Struct, frozen=True):
    """One capture, from being asked for to being deleted. The API and `capture.json` have these fields."""

    id: str
    kind: CaptureKind
    target: str
    worker: str
    pid: int
    state: CaptureState
    asked_by: AskedBy
    who: str
    reason: str
    incident: str | None
    seconds: float
    asked_at: float
    about: str = ""
    """Kind, cause and culprit of the incident; empty where none has asked."""
    started_at: float | None = None
    ended_at: float | None = None
    engine: str | None = None
    """Which engine takes it; None until one is chosen."""
    holds_seconds: float | None = None
    """For how long its engine is known to hold the service, about, as is told before; None where it should not."""
    pause_seconds: float | None = None
    """For how long the service's interpreter, or the whole process, was held at a time, at the most; measured."""
    harm: str | None = None
    """What it did to the service that it must not do, in a sentence: the engine is not used there for a while."""
    problem: str | None = None
    """Why it failed or was refused: a sentence."""
    refusal: RefusalWord | None = None
    retry_after_seconds: float | None = None
    """When one that was refused may be asked for again, where that is known."""
    artifacts: tuple[Artifact, ...] = ()
    summary: dict[str, object] = {}
    """What a person wants to know of it without opening a file: `top_sites`, `top_functions`, `growing_types`."""
    pinned: bool = False
    """Never deleted to make room."""
    uploaded_at: float | None = None
    upload_problem: str | None = None


class OpenFile(msgspec.Struct, frozen=True):
    """One file of a capture, open for reading; who gets it closes it."""

    descriptor: int
    size_bytes: int
    media_type: str


class CaptureCounts(msgspec.Struct, frozen=True):
    """What became of the captures that were asked for, since this agent began."""

    taken: Mapping[tuple[str, CaptureKind], int] = {}
    """Target, kind -> how many are done."""
    failed: Mapping[tuple[str, CaptureKind], int] = {}
    refused: Mapping[tuple[str, CaptureKind, RefusalWord], int] = {}
    pause_seconds: Mapping[tuple[str, CaptureKind], float] = {}
    """Of the latest: for how long the service was held at a time."""
    uploaded: int = 0
    """How many were copied to where `capture.upload` says."""
    uploads_failed: int = 0
    """How often one could not be, now."""
