"""Which incidents somebody wants to see, and what they get."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.model import Incident, Severity

__all__ = ["MOST_LISTED", "Page", "Spot", "TotalOf", "Wanted", "spot_of"]

MOST_LISTED = 1000
"""In one answer: some megabytes."""

TotalOf = tuple[str, str, Severity]
"""Target, kind and severity, by which incidents are counted."""


Spot = tuple[float, str]
"""Where an incident stands in a list: when it was opened, and its id."""


def spot_of(incident: Incident) -> Spot:
    """The latest opened have the highest."""
    return incident.opened_at, incident.id


class Wanted(msgspec.Struct, frozen=True):
    """A question for incidents; None is whatever it may be."""

    id: str | None = None
    state: Literal["open", "resolved"] | None = None
    target: str | None = None
    kind: str | None = None
    limit: int = 100
    before: Spot | None = None
    """Only those that stand behind it in the list."""

    def fits(self, incident: Incident) -> bool:
        """Whether the incident is one of those."""
        asked = ((self.id, incident.id), (self.state, incident.state))
        more = ((self.target, incident.target), (self.kind, incident.kind))
        behind = self.before is None or spot_of(incident) < self.before
        return behind and all(wanted in (None, given) for wanted, given in (*asked, *more))


class Page(msgspec.Struct, frozen=True):
    """The latest incidents that fit, latest opened first."""

    incidents: tuple[Incident, ...]
    problem: str | None = None
    """Why older ones are missing, when they cannot be read."""
    behind: Spot | None = None
    """What further ones stand behind; None where there are none."""
