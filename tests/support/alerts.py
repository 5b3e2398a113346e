"""Incidents, made as the agent has them, for what tells Alertmanagers of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from support.views import BLOCKING, NOW

if TYPE_CHECKING:
    from vitalsd.model import Incident

__all__ = ["NOW", "incident", "noted", "resolved"]


def incident(name: str = "a", *, at: float = NOW, **fields: object) -> Incident:
    """An open one that nobody was told of."""
    timeline = ({"at": at, "event": "opened", "text": "critical: So."},)
    told = {"id": name, "opened_at": at, "updated_at": at, "count": 1, "timeline": timeline}
    return replace(BLOCKING, **{**told, **fields})


def noted(one: Incident, at: float, event: str = "notified") -> Incident:
    """The same with one more entry."""
    return replace(one, timeline=(*one.timeline, {"at": at, "event": event, "text": "So."}))


def resolved(one: Incident, at: float) -> Incident:
    """The same when it is over."""
    return replace(noted(one, at, "resolved"), state="resolved", resolved_at=at, advice="")
