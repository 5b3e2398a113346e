"""Which incidents somebody wants to see, and what they get."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.model import Incident, Severity

__all__ = ["MOST_LISTED", "Page", "TotalOf", "Wanted"]

MOST_LISTED = 1000
"""In one answer: some megabytes."""

TotalOf = tuple[str, str, Severity]
"""Target, kind and severity, by which incidents are counted."""


class Wanted(msgspec.Struct, frozen=True):
    """A question for incidents; None is whatever it may be."""

    id: str | None = None
    state: Literal["open", "resolved"] | None = None
    target: str | None = None
    kind: str | None = None
    limit: int = 100

    def fits(self, incident: Incident) -> bool:
        """Whether the incident is one of those."""
        asked = ((self.id, incident.id), (self.state, incident.state))
        more = ((self.target, incident.target), (self.kind, incident.kind))
        return all(wanted in (None, given) for wanted, given in (*asked, *more))


class Page(msgspec.Struct, frozen=True):
    """The latest incidents that fit, latest opened first."""

    incidents: tuple[Incident, ...]
    problem: str | None = None
    """Why older ones are missing, when they cannot be read."""
