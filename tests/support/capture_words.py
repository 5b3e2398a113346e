"""Captures and wishes for them, for whatever looks at those of before."""

from __future__ import annotations

from typing import Any

from vitalsd.capture.model import Artifact, Capture, Wanted
from vitalsd.ids import new_id
from vitalsd.model import WorkerKey

NOON = 1_782_907_200.0
"""2026-07-01T12:00:00Z."""


def wanted(**more: Any) -> Wanted:
    """Somebody asks for a CPU profile of the shop."""
    known: dict[str, Any] = {
        "kind": "cpu",
        "target": "shop",
        "worker": "0",
        "key": WorkerKey(4242, 777),
        "seconds": 15.0,
        "asked_by": "person",
        "who": "127.0.0.1",
        "reason": "to see what it does",
    }
    return Wanted(**(known | more))


def capture(state: str = "done", at: float = NOON, **more: Any) -> Capture:
    """A capture of 15 s that began as soon as it was asked for."""
    begun = state not in ("waiting", "refused")
    ended = state in ("done", "failed", "cancelled", "refused")
    known: dict[str, Any] = {
        "id": new_id(at),
        "kind": "cpu",
        "target": "shop",
        "worker": "0",
        "pid": 4242,
        "state": state,
        "asked_by": "incident",
        "who": "0abc",
        "reason": "its loop is blocked",
        "incident": "0abc",
        "seconds": 15.0,
        "asked_at": at,
        "started_at": at if begun else None,
        "ended_at": (at + 15.0 if begun else at) if ended else None,
        "engine": "py-spy" if begun else None,
    }
    return Capture(**(known | more))


def artifact(size: int = 1000, name: str = "profile.json") -> Artifact:
    """A file of a capture."""
    return Artifact(name, size, "0" * 64, "application/json")
