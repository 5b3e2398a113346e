"""Of a process, as its probe has it, loops aside: heap, collections, executors, unhandled errors, resources."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache

from vitalsd.model import ERROR_CHANNELS, Histogram, WorkerSample, gc_names
from vitalsd_exporters.prometheus.series.rows import Row, breakdown_rows, histogram_row, known_rows, labels_of

__all__ = ["probe_rows"]

GC_TOLD_SECONDS = (0.001, 0.01, 0.05, 0.25, 1.0)
"""Of the bounds by which a probe counts collections: a scrape has them for three generations of each worker."""
SPACES_TOLD = ("new_space", "old_space", "large_object_space", "code_space", "trusted_space")
MOST_RESOURCES = 6
OTHER = "other"
"""All that is not told by its name: a sum over them stays true."""


def probe_rows(worker: WorkerSample) -> Iterator[Row]:
    """What the probe says of the process, its loops aside."""
    probe = worker.probe
    if probe is None:
        return
    labels = labels_of(worker)
    yield from known_rows(
        labels,
        {
            "vitals_eventloop_tasks": probe.tasks,
            "vitals_executor_threads": probe.executor_threads,
            "vitals_executor_busy": probe.executor_busy,
            "vitals_executor_queued": probe.executor_queued,
            "vitals_heap_used_bytes": probe.heap_used_bytes,
            "vitals_heap_live_bytes": probe.heap_live_bytes,
            "vitals_heap_blocks": probe.heap_blocks,
            "vitals_malloc_used_bytes": probe.malloc_used_bytes,
            "vitals_malloc_held_bytes": probe.malloc_held_bytes,
            "vitals_heap_limit_bytes": probe.heap_limit_bytes,
            "vitals_external_memory_bytes": probe.external_bytes,
            "vitals_listener_warnings_total": probe.listener_warnings,
            "vitalsd_probe_cpu_seconds_total": probe.probe_cpu_seconds,
            "vitalsd_loops_unwatched": probe.loops_unwatched,
        },
    )
    errors = zip(ERROR_CHANNELS, probe.unhandled_errors, strict=True)
    yield from breakdown_rows("vitals_unhandled_errors_total", labels, "channel", errors)
    for generation, pauses in zip(gc_names(probe.runtime), probe.gc_pauses, strict=True):
        yield histogram_row("vitals_gc_pause_seconds", labels | {"generation": generation}, _told(pauses))
    counts = {resource.type: resource.count for resource in probe.resources}
    frequent = sorted(counts, key=lambda kind: (-(counts[kind] or 0), kind))[:MOST_RESOURCES]
    yield from breakdown_rows("vitals_active_resources", labels, "type", _with_other(counts, frequent).items())
    used = {space.name: space.used_bytes for space in probe.spaces}
    yield from breakdown_rows(
        "vitals_heap_space_used_bytes", labels, "space", _with_other(used, SPACES_TOLD).items()
    )


def _with_other(values: Mapping[str, float | None], told: Collection[str]) -> dict[str, float]:
    """Those that are told by name, and what all others come to where there are some."""
    known = {name: value for name, value in values.items() if value is not None}
    rest = [value for name, value in known.items() if name not in told]
    return {name: value for name, value in known.items() if name in told} | ({OTHER: sum(rest)} if rest else {})


def _told(pauses: Histogram) -> Histogram:
    """The same in fewer buckets: of a worker no more is told than Prometheus should be asked to keep."""
    bounds, kept = _kept(pauses.bounds)
    buckets = pauses.buckets
    return Histogram(bounds, (*[buckets[at] for at in kept], buckets[-1]), pauses.sum)


@lru_cache(maxsize=4)
def _kept(bounds: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Which of these are told, and where they stand."""
    kept = tuple(at for at, bound in enumerate(bounds) if bound in GC_TOLD_SECONDS)
    return tuple(bounds[at] for at in kept), kept
