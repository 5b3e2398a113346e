"""Metrics of targets and their workers: who is up, what it is, how often it was replaced."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import TARGET, WORKER, Descriptor

__all__ = ["WORKERS"]

WORKERS = (
    Descriptor("vitals_target_up", "gauge", "Whether at least one worker of the target runs, from /proc.", TARGET),
    Descriptor("vitals_worker_up", "gauge", "Whether a process fills this slot, from /proc.", WORKER),
    Descriptor(
        "vitals_worker_info",
        "info",
        "Runtime of the worker and its version, from the probe, and how its delay is measured.",
        (*WORKER, "runtime", "version", "lag_source"),
    ),
    Descriptor(
        "vitals_container_info",
        "info",
        "The Kubernetes container that the worker runs in, from /proc/PID/cgroup and the kubelet's log folders.",
        (*WORKER, "namespace", "pod", "container"),
    ),
    Descriptor(
        "vitals_worker_restarts_total",
        "counter",
        "Times the process in this slot was replaced, by why the one before ended, from pidfd or /proc/PID/stat.",
        (*WORKER, "reason"),
    ),
    Descriptor(
        "vitals_worker_heartbeat_timestamp_seconds",
        "gauge",
        "Unix time of the latest sign of life, of a loop, else from gunicorn's file or the probe's thread.",
        WORKER,
    ),
)
