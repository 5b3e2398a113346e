"""Of targets and their workers: who is up, what it is, how often it was replaced."""

from __future__ import annotations

from collections.abc import Iterator

from vitalsd.model import TargetSnapshot, WorkerSample
from vitalsd_exporters.prometheus.series.rows import Row, breakdown_rows, known_rows, labels_of, row, runtime_of

__all__ = ["target_rows", "worker_rows"]


def target_rows(target: TargetSnapshot) -> Iterator[Row]:
    """What belongs to the target and its slots, and stays while a slot has no process."""
    yield row("vitals_target_up", {"target": target.name}, target.up)
    for slot, reasons in target.restarts.items():
        labels = {"target": target.name, "worker": slot}
        yield from breakdown_rows("vitals_worker_restarts_total", labels, "reason", reasons.items())


def worker_rows(worker: WorkerSample) -> Iterator[Row]:
    """Whether the worker is there, and what it is."""
    labels = labels_of(worker)
    if not worker.vacant:
        yield row("vitals_worker_up", labels, worker.up)
    if worker.up:
        probe = worker.probe
        what = {
            "runtime": runtime_of(worker),
            "version": probe.version if probe else "unknown",
            "lag_source": worker.lag_source,
        }
        yield row("vitals_worker_info", labels | what, 1)
        yield from _container_rows(worker)
        if worker.pulse is not None:
            yield from known_rows(labels, {"vitals_worker_heartbeat_timestamp_seconds": worker.pulse.heartbeat_at})


def _container_rows(worker: WorkerSample) -> Iterator[Row]:
    """Names, where all of them are known: an id is no name, and a new one with each container."""
    here = worker.container
    if here is not None and here.namespace is not None and here.pod is not None and here.container is not None:
        names = {"namespace": here.namespace, "pod": here.pod, "container": here.container}
        yield row("vitals_container_info", labels_of(worker) | names, 1)
