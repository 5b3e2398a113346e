"""
Of the incidents that are open, those that alerts quote: for each target, kind and severity one, with its culprit.

A culprit is a name that the service has chosen, and a service may make up functions for ever. So of each target a
few dozen new functions an hour become label values, and none is long; further ones are told as an empty label,
which an alert then leaves out. A function has the line that was told of it first: which one is late changes with
each stall, and would be another series each time. Costs nothing while nothing is open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from vitalsd_exporters.prometheus.series.rows import row
from vitalsd_exporters.quoted import quoted

if TYPE_CHECKING:
    from vitalsd.model import Frame, Incident
    from vitalsd_exporters.prometheus.series import Row

__all__ = ["Leads"]

NAME = "vitals_incident_info"
MOST_NAMES = 32
"""Functions of one target, within an hour."""
MOST_LETTERS = 200
HOUR = 3600.0


class Leads:
    """Remembers which names it has told of late."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, dict[tuple[str, str], tuple[str, float]]] = {}
        """Target -> function and file -> as what it is told, and when it was told last."""

    def rows(self, incidents: Collection[Incident], targets: Collection[str]) -> Iterator[Row]:
        """One of each target, kind and severity: what was found most often, which seldom changes."""
        leads: dict[tuple[str, str, str], Incident] = {}
        for each in incidents:
            if each.state == "open" and each.target in targets:
                sort = each.target, each.kind, each.severity
                leads[sort] = max(leads.get(sort, each), each, key=_rank)
        for gone in self._told.keys() - set(targets):
            del self._told[gone]
        for (target, kind, severity), lead in leads.items():
            labels = {"target": target, "kind": kind, "severity": severity, "worker": lead.worker}
            labels |= {"cause": lead.cause or "", "culprit": self._culprit(target, lead.culprit)}
            yield row(NAME, labels, 1)

    def _culprit(self, target: str, culprit: Frame | None) -> str:
        if culprit is None:
            return ""
        now = self._clock()
        told = self._told.setdefault(target, {})
        for old in [each for each, (_, at) in told.items() if now - at > HOUR]:
            del told[old]
        who = culprit.function, culprit.file
        if who not in told and len(told) >= MOST_NAMES:
            return ""
        name = told[who][0] if who in told else _name(culprit)
        told[who] = name, now
        return name


def _name(culprit: Frame) -> str:
    place = f" ({culprit.file.rpartition('/')[2]}:{culprit.line})"
    return quoted(culprit.function[: MOST_LETTERS // 2] + place[-MOST_LETTERS // 2 :])


def _rank(incident: Incident) -> tuple[int, float, str]:
    return incident.count, -incident.opened_at, incident.id
