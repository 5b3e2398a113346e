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
        "vitals_incidents_total",
        "counter",
        "Times an incident was opened, reopened or became worse, by its severity then, from vitalsd itself.",
        ("target", "kind", "severity"),
    ),
)
