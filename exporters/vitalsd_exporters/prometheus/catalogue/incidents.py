"""Metrics of what was found."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import Descriptor

__all__ = ["INCIDENTS"]

INCIDENTS = (
    Descriptor(
        "vitals_incidents_open",
        "gauge",
        "Incidents that are open now, from vitalsd itself.",
        ("target", "kind", "severity"),
    ),
    Descriptor(
        "vitals_incident_info",
        "info",
        "Of the incidents that are open the one found most often, which alerts quote, from vitalsd itself.",
        ("target", "kind", "severity", "worker", "cause", "culprit"),
    ),
    Descriptor(
        "vitals_incidents_total",
        "counter",
        "Times an incident was opened, reopened or became worse, by its severity then, from vitalsd itself.",
        ("target", "kind", "severity"),
    ),
)
