"""Metrics of vitalsd itself: what it costs, and whether it works."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import SOURCE, TARGET, WORKER, Descriptor

__all__ = ["AGENT"]

AGENT = (
    Descriptor(
        "vitalsd_probe_cpu_seconds_total",
        "counter",
        "CPU time the probe has cost the worker, from the probe.",
        WORKER,
    ),
    Descriptor(
        "vitalsd_loops_unwatched",
        "gauge",
        "Event loops beyond those a probe has room for, which nobody watches, from the probe.",
        WORKER,
    ),
    Descriptor(
        "vitalsd_build_info",
        "info",
        "Version of vitalsd and of the Python it runs on, from vitalsd itself.",
        ("version", "pythonversion"),
    ),
    Descriptor(
        "vitalsd_source_success",
        "gauge",
        "Whether the latest reading of the source worked, from vitalsd itself.",
        SOURCE,
    ),
    Descriptor(
        "vitalsd_source_duration_seconds",
        "gauge",
        "How long the latest reading of the source took, from vitalsd itself.",
        SOURCE,
    ),
    Descriptor(
        "vitalsd_sample_timestamp_seconds",
        "gauge",
        "Unix time of the target's latest sample, from vitalsd itself.",
        TARGET,
    ),
    Descriptor(
        "vitalsd_config_last_reload_successful",
        "gauge",
        "Whether the latest attempt to load the configuration worked, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_config_last_reload_success_timestamp_seconds",
        "gauge",
        "Unix time of the latest configuration that was taken over, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_cpu_seconds_total",
        "counter",
        "User and system CPU time of vitalsd, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_resident_memory_bytes",
        "gauge",
        "Resident memory of vitalsd, from /proc/self/statm.",
        (),
    ),
    Descriptor(
        "vitalsd_effective_interval_seconds",
        "gauge",
        "Interval between samples that vitalsd really keeps, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_observer_interval_seconds",
        "gauge",
        "Interval between two looks of the observer at one loop, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_store_success",
        "gauge",
        "Whether incidents, counts and what was captured are being stored, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_history_success",
        "gauge",
        "Whether history is being stored, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_incidents_lost_total",
        "counter",
        "Incidents never stored because too many were waiting for the disk, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_incidents_displaced_total",
        "counter",
        "Incidents resolved because their target had too many open ones, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_stacks_total",
        "counter",
        "Runs of py-spy, or readings of a Node's memory, for the stacks of a stall, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_stacks_refused_total",
        "counter",
        "Stacks of stalls that were not taken or came to nothing, by reason, from vitalsd itself.",
        ("reason",),
    ),
    Descriptor(
        "vitalsd_errors_total",
        "counter",
        "Errors that vitalsd has logged, by event, from vitalsd itself.",
        ("event",),
    ),
    Descriptor(
        "vitalsd_notifications_total",
        "counter",
        "Messages to an Alertmanager, each of some alerts, from vitalsd itself.",
        ("peer",),
    ),
    Descriptor(
        "vitalsd_notification_failures_total",
        "counter",
        "Those of them that it has not answered, or has refused, from vitalsd itself.",
        ("peer",),
    ),
    Descriptor(
        "vitalsd_otlp_requests_total",
        "counter",
        "Requests that push metrics by OTLP, tried ones included, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_otlp_request_failures_total",
        "counter",
        "Those of them that the collector has not answered, or has refused, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_otlp_dropped_points_total",
        "counter",
        "Data points pushed by OTLP that the collector has not taken in the end, from vitalsd itself.",
        (),
    ),
)
