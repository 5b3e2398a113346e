"""Metrics of what vitalsd does to services: captures, and workers that remedy has recycled."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import TARGET, Descriptor

__all__ = ["CAPTURES"]

CAPTURES = (
    Descriptor(
        "vitalsd_captures_total",
        "counter",
        "Captures that were taken, from vitalsd itself.",
        ("target", "kind"),
    ),
    Descriptor(
        "vitalsd_capture_failures_total",
        "counter",
        "Captures that were begun and came to nothing, from vitalsd itself.",
        ("target", "kind"),
    ),
    Descriptor(
        "vitalsd_captures_refused_total",
        "counter",
        "Captures that were asked for and not begun, by reason, from vitalsd itself.",
        ("target", "kind", "reason"),
    ),
    Descriptor(
        "vitalsd_capture_uploads_total",
        "counter",
        "Captures that were copied to object storage, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_capture_upload_failures_total",
        "counter",
        "Attempts to copy a capture to object storage that failed, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_capture_pause_seconds",
        "gauge",
        "Longest time for which the latest capture held the service at a stretch, from vitalsd itself.",
        ("target", "kind"),
    ),
    Descriptor(
        "vitalsd_remedies_total",
        "counter",
        "Workers recycled, or not, by what came of it, from vitalsd itself; absent with remedy.mode off.",
        ("target", "outcome"),
    ),
    Descriptor(
        "vitalsd_remedy_stopped",
        "gauge",
        "Whether the breaker keeps workers from being recycled, from vitalsd itself; absent with remedy.mode off.",
        TARGET,
    ),
)
