"""
An incident as Alertmanager has it: labels that say which alert it is, annotations that say what to do.

Labels are identity: what may change while an incident lasts, and what each worker's restart changes, is told in
annotations, or one hang would page anew with each cause that is found of it. Incidents that differ by nothing but
their culprit or their fault are one alert. Pure; an alert is
written as JSON only when it is sent.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from vitalsd.model import Incident, cause_is_identity
from vitalsd.times import rfc3339
from vitalsd_exporters.quoted import quoted
from vitalsd_exporters.runbooks import page_of, runbook_url

__all__ = ["Alert", "Labels", "Message", "Wording", "labels_of", "message"]

Labels = tuple[tuple[str, str], ...]
"""Name and value, in the order of the names."""
Message = dict[str, object]


class Wording(msgspec.Struct, frozen=True):
    """What the configuration adds to every alert."""

    base_url: str
    """What links to the control port begin with."""
    runbooks: str | None = None
    """Where our documentation is read."""
    static: Labels = ()


class Alert(msgspec.Struct, frozen=True):
    """One alert at one instant."""

    labels: Labels
    lead: Incident
    """Of its incidents, the one that annotations tell."""
    ids: tuple[str, ...]
    starts_at: float
    ends_at: float | None = None
    """Unix time at which it was over; None while it fires."""


def labels_of(incident: Incident, static: Labels = ()) -> Labels:
    """Whose alert an incident is: nothing is empty, as Alertmanager has it."""
    tells = incident.cause not in (None, "unknown") and cause_is_identity(incident.kind, incident.cause)
    cause = incident.cause if tells and incident.cause is not None else ""
    return _labels(incident.kind, incident.target, incident.worker, incident.severity, cause, static)


@lru_cache(maxsize=1024)
def _labels(kind: str, target: str, worker: str, severity: str, cause: str, static: Labels) -> Labels:
    name = "Vitalsd" + "".join(word.capitalize() for word in kind.split("_"))
    own = {"alertname": name, "kind": kind, "target": target, "worker": worker, "severity": severity}
    return tuple(sorted((key, value) for key, value in {**dict(static), **own, "cause": cause}.items() if value))


def message(alert: Alert, wording: Wording, lasts_until: float) -> Message:
    """What is posted of it; one that fires holds until `lasts_until` if nothing more is heard of it."""
    link = f"{wording.base_url}/#/incidents/{alert.lead.id}"
    return {
        "labels": dict(alert.labels),
        "annotations": dict(_annotations(alert, wording, link)),
        "startsAt": rfc3339(alert.starts_at),
        "endsAt": rfc3339(lasts_until if alert.ends_at is None else alert.ends_at),
        "generatorURL": link,
    }


def _annotations(alert: Alert, wording: Wording, link: str) -> list[tuple[str, str]]:
    lead = alert.lead
    more = len(alert.ids) - 1
    others = f" And {more} more like it." if more else ""
    told = [
        ("summary", quoted(lead.summary)),
        ("description", quoted(_description(alert)) + others),
        ("incident", link),
        ("opened_at", rfc3339(lead.opened_at) or ""),
    ]
    if lead.culprit is not None:
        told.append(("culprit", quoted(f"{lead.culprit.function} ({lead.culprit.file}:{lead.culprit.line})")))
    if lead.advice:
        told.append(("advice", quoted(lead.advice)))
    if lead.captures:
        told.append(("capture", f"{wording.base_url}/#/captures/{lead.captures[-1]}"))
    told.append(("runbook_url", runbook_url(wording.runbooks, page_of(lead.kind, lead.cause))))
    return told


def _description(alert: Alert) -> str:
    """Since when and how often, why it is taken for what it is, and whether it fires on though it is over."""
    lead = alert.lead
    whose = f"worker {lead.worker} of {lead.target}" if lead.worker else lead.target
    times = f", found {lead.count} times" if lead.count > 1 else ""
    reason = lead.evidence.get("reason")
    why = f" {reason}." if isinstance(reason, str) and reason else ""
    over = ""
    if alert.ends_at is None and lead.resolved_at is not None:
        over = f" It was over at {rfc3339(lead.resolved_at)}, and may come back."
    return f"{lead.kind} of {whose} since {rfc3339(lead.opened_at)}{times}.{why}{over}"
