"""
Which alerts there are now: those of open incidents, those that are over and are still told so, and those that
nobody was told of while they lasted.

It is made anew of the incidents, which outlive the agent, so there is no spool beside them. One that is over fires
on for a while: it may come back, and each time would be a page. An incident whose
timeline has `notified` since it was opened was told to somebody. One without was not, and what is over is then
told as if it were open still, and resolved afterwards: an Alertmanager drops what it hears of only when it is
over. Pure and told the time; microseconds for each incident, when one has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from vitalsd.model import Incident
from vitalsd_exporters.alertmanager.alert import Alert, Labels, labels_of

__all__ = ["LATE_SECONDS", "MOST_ALERTS", "RESENT_SECONDS", "Board"]

RESENT_SECONDS = 300.0
"""For so long it is told that an alert is over: an Alertmanager may be away, or start without what it had."""
LATE_SECONDS = 600.0
"""What was over before anybody was told of it is told for so long: as long as an agent that starts knows it."""
MOST_ALERTS = 1000
RANK = {"critical": 0, "warning": 1, "info": 2}


class Board:
    """What is to be told, and what was."""

    def __init__(self, static: Labels, hold_seconds: float, keep_seconds: float) -> None:
        self.static = static
        self.keep_seconds = keep_seconds
        """How long an alert fires on when its incident is over."""
        self.hold_seconds = hold_seconds
        """How long what is told late is told as if it were open: longer than an Alertmanager waits for a group."""
        self.left_out = 0
        """How many alerts there is no room for."""
        self._told: dict[str, float] = {}
        """Incident -> when it was first told to somebody, since it was last opened."""
        self._fired: dict[Labels, Alert] = {}
        self._taken: set[Labels] = set()
        """Those of them that somebody has taken."""
        self._gone: dict[Labels, Alert] = {}
        """Those that fired and lost their incident then: it has another severity now, or was forgotten."""

    def take(self, incidents: Iterable[Incident], now: float) -> Mapping[Labels, Alert]:
        """The alerts of these incidents at unix time `now`, the most important first."""
        firing: dict[Labels, list[Incident]] = {}
        over: dict[Labels, list[Incident]] = {}
        known = set()
        for incident in incidents:
            known.add(incident.id)
            fires = self._fires(incident, now)
            if fires is not None:
                (firing if fires else over).setdefault(labels_of(incident, self.static), []).append(incident)
        fired = {labels: _alert(labels, found, over=False) for labels, found in firing.items()}
        ended = {labels: _alert(labels, found, over=True) for labels, found in over.items() if labels not in fired}
        self._forget(now)
        for labels, alert in self._fired.items():
            was_told = labels in self._taken or any(name in self._told for name in alert.ids)
            if was_told and labels not in fired and labels not in ended:
                self._gone[labels] = replace(alert, ends_at=now)
        self._fired = fired
        self._taken &= fired.keys()
        self._told = {name: at for name, at in self._told.items() if name in known}
        gone = {labels: self._kept(alert, now) for labels, alert in self._gone.items()}
        return self._bounded({**gone, **ended, **fired})

    def told(self, alert: Alert, now: float) -> list[str]:
        """Somebody has taken it while it fires; the answer is of which of its incidents nobody knew."""
        if alert.labels not in self._fired:
            return []  # it fires on for an incident that has another alert by now
        fresh = [name for name in alert.ids if name not in self._told]
        self._told |= dict.fromkeys(fresh, now)
        self._taken.add(alert.labels)
        return fresh

    def _fires(self, incident: Incident, now: float) -> bool | None:
        """Whether it fires or is over; None where nothing is to be said of it."""
        told_at = self._told_at(incident)
        if incident.resolved_at is None:
            return True
        if told_at is None:
            return True if now - incident.resolved_at <= LATE_SECONDS else None
        over_at = incident.resolved_at + self.keep_seconds
        if told_at > incident.resolved_at:
            over_at = max(over_at, told_at + self.hold_seconds)
        if now < over_at:
            return True
        return False if now - over_at <= RESENT_SECONDS else None

    def _told_at(self, incident: Incident) -> float | None:
        """When somebody was told of it since it was last opened: as it says itself, or as this agent knows."""
        told_at = self._told.get(incident.id)
        for entry in reversed(incident.timeline):
            at = entry["at"]
            if entry["event"] in ("notified", "opened", "reopened") and isinstance(at, int | float):
                if entry["event"] == "notified":
                    told_at = float(at) if told_at is None or told_at < at else told_at
                elif told_at is not None and told_at < at and labels_of(incident, self.static) not in self._taken:
                    told_at = None  # it has come back, and its alert has not fired on until then
                break
        if told_at is None:
            self._told.pop(incident.id, None)
        else:
            self._told[incident.id] = told_at
        return told_at

    def _keep_seconds(self, alert: Alert) -> float:
        """Of one without an incident; labels that the configuration has no more are for nobody."""
        return self.keep_seconds if labels_of(alert.lead, self.static) == alert.labels else 0.0

    def _kept(self, alert: Alert, now: float) -> Alert:
        fires = alert.ends_at is not None and now < alert.ends_at + self._keep_seconds(alert)
        return replace(alert, ends_at=None) if fires else alert

    def _forget(self, now: float) -> None:
        self._gone = {
            labels: alert
            for labels, alert in list(self._gone.items())[-MOST_ALERTS:]
            if alert.ends_at is not None and now - alert.ends_at <= self._keep_seconds(alert) + RESENT_SECONDS
        }

    def _bounded(self, alerts: dict[Labels, Alert]) -> Mapping[Labels, Alert]:
        self.left_out = max(0, len(alerts) - MOST_ALERTS)
        ranked = sorted(alerts.values(), key=_rank)
        return {alert.labels: alert for alert in ranked[:MOST_ALERTS]}


def _rank(alert: Alert) -> tuple[bool, int, float]:
    return alert.ends_at is not None, RANK[alert.lead.severity], -alert.starts_at


def _alert(labels: Labels, incidents: list[Incident], *, over: bool) -> Alert:
    lead = max(incidents, key=lambda each: (each.resolved_at is None, each.updated_at, each.id))
    return Alert(
        labels,
        lead,
        tuple(each.id for each in incidents),
        min(each.opened_at for each in incidents),
        max(each.resolved_at or 0.0 for each in incidents) if over else None,
    )
