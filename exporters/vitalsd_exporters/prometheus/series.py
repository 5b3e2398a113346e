"""
What the model says, as samples: pure functions from structs to the rows of one or more metrics.

A value that is not known makes no row, so a graph has a gap there and not a zero. Costs a tuple and, for
histogram buckets, a dict per sample; all samples of a worker share their labels otherwise.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

from prometheus_client.samples import Sample

from vitalsd.capture.model import KINDS
from vitalsd.model import (
    ERROR_CHANNELS,
    OBSERVED_LOOP,
    Cause,
    Histogram,
    Incident,
    LoopVitals,
    MemoryTrend,
    ObservedLoop,
    Severity,
    SourceReading,
    StackRefusal,
    TargetSnapshot,
    WorkerSample,
    gc_names,
)
from vitalsd.remedy.model import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from vitalsd.capture.model import CaptureCounts
    from vitalsd.incidents.query import TotalOf
    from vitalsd.remedy.model import RemedyCounts
    from vitalsd_exporters.state import AgentVitals

__all__ = [
    "Row",
    "agent_rows",
    "capture_rows",
    "cpu_rows",
    "incident_rows",
    "loop_rows",
    "memory_rows",
    "probe_rows",
    "process_rows",
    "remedy_rows",
    "source_rows",
    "stall_rows",
    "target_rows",
    "trend_rows",
    "worker_rows",
]

Row = tuple[str, Sample]
"""The name of a metric in the catalogue, and one sample of it."""
Labels = dict[str, str]
NEVER: dict[str, tuple[Cause, ...]] = {
    "python": ("microtask_flood",),
    "node": ("ready_flood", "gil_contention"),
}
"""Runtime -> causes that its loops cannot have. From outside, too, the runtime is known by the program's name."""
GC_TOLD_SECONDS = (0.001, 0.01, 0.05, 0.25, 1.0)
"""Of the bounds by which a probe counts collections: a scrape has them for three generations of each worker."""
SPACES_TOLD = ("new_space", "old_space", "large_object_space", "code_space", "trusted_space")
MOST_RESOURCES = 6
OTHER = "other"
"""All that is not told by its name: a sum over them stays true."""
WARNING_OR_WORSE: tuple[Severity, ...] = ("warning", "critical")
WITH_WORSE = (
    *("stall", "starvation", "leak", "exhaustion", "fd_exhaustion", "heap_exhaustion"),
    *("gc_pressure", "error_surge", "pool_saturation"),
)
INCIDENT_SORTS: tuple[tuple[str, Severity], ...] = (
    *((kind, severity) for kind in WITH_WORSE for severity in WARNING_OR_WORSE),
    *((kind, severity) for kind in ("worker_hung", "worker_down", "oom_kill") for severity in WARNING_OR_WORSE),
    ("crash_loop", "critical"),
    *((kind, "warning") for kind in ("fragmentation", "fd_leak", "thread_leak", "task_leak")),
    ("growth", "info"),
    ("stall", "info"),
    ("zombie", "warning"),
    ("imbalance", "warning"),
    ("imbalance", "info"),
    ("capture_harmful", "warning"),
)
"""Of which every target has a series from the beginning: what the rules open."""


def target_rows(target: TargetSnapshot) -> Iterator[Row]:
    """What belongs to the target and its slots, and stays while a slot has no process."""
    yield _row("vitals_target_up", {"target": target.name}, target.up)
    for slot, reasons in target.restarts.items():
        for reason, count in reasons.items():
            labels = {"target": target.name, "worker": slot, "reason": reason}
            yield _row("vitals_worker_restarts_total", labels, count)


def worker_rows(worker: WorkerSample) -> Iterator[Row]:
    """Whether the worker is there, and what it is."""
    labels = _labels(worker)
    if not worker.vacant:
        yield _row("vitals_worker_up", labels, worker.up)
    if worker.up:
        probe = worker.probe
        what = {
            "runtime": _runtime(worker),
            "version": probe.version if probe else "unknown",
            "lag_source": worker.lag_source,
        }
        yield _row("vitals_worker_info", labels | what, 1)
        if worker.pulse is not None:
            yield from _known(labels, {"vitals_worker_heartbeat_timestamp_seconds": worker.pulse.heartbeat_at})


def _runtime(worker: WorkerSample) -> str:
    if worker.probe is not None:
        return worker.probe.runtime
    return worker.observed.runtime if worker.observed is not None else "unknown"


def process_rows(worker: WorkerSample) -> Iterator[Row]:
    """What /proc says of the process."""
    process = worker.process
    if process is None:
        return
    labels = _labels(worker)
    yield from _known(
        labels,
        {
            "vitals_process_resident_memory_bytes": process.resident_bytes,
            "vitals_process_anonymous_memory_bytes": process.anonymous_bytes,
            "vitals_process_swap_bytes": process.swap_bytes,
            "vitals_process_cpu_seconds_total": process.cpu_seconds,
            "vitals_process_open_fds": process.open_fds,
            "vitals_process_max_fds": process.max_fds,
            "vitals_process_threads": process.threads,
            "vitals_process_start_time_seconds": process.started_at,
        },
    )
    switches = {"voluntary": process.voluntary_switches, "involuntary": process.involuntary_switches}
    for kind, count in switches.items():
        yield from _known(labels | {"kind": kind}, {"vitals_process_context_switches_total": count})


def memory_rows(worker: WorkerSample) -> Iterator[Row]:
    """What the process may have, what of it is its own, and what became of others in its group."""
    memory = worker.memory
    if memory is None:
        return
    yield from _known(
        _labels(worker),
        {
            "vitals_process_proportional_memory_bytes": memory.proportional_bytes,
            "vitals_memory_limit_bytes": memory.limit_bytes,
            "vitals_memory_oom_kills_total": memory.group.oom_kills if memory.group is not None else None,
        },
    )


def cpu_rows(worker: WorkerSample) -> Iterator[Row]:
    """How long the process was kept from the processor."""
    if worker.cpu is not None:
        yield from _known(
            _labels(worker),
            {
                "vitals_cpu_runqueue_seconds_total": worker.cpu.runqueue_seconds,
                "vitals_cpu_throttled_seconds_total": worker.cpu.throttled_seconds,
            },
        )


def trend_rows(worker: WorkerSample, trend: MemoryTrend | None) -> Iterator[Row]:
    """Where the memory of the process is going."""
    if trend is not None:
        yield from _known(
            _labels(worker),
            {
                "vitals_memory_growth_bytes_per_second": trend.bytes_per_second,
                "vitals_memory_exhaustion_timestamp_seconds": trend.exhausted_at,
            },
        )


def probe_rows(worker: WorkerSample) -> Iterator[Row]:
    """What the probe says of the process, its loops aside."""
    probe = worker.probe
    if probe is None:
        return
    labels = _labels(worker)
    yield from _known(
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
    for channel, count in zip(ERROR_CHANNELS, probe.unhandled_errors, strict=True):
        yield from _known(labels | {"channel": channel}, {"vitals_unhandled_errors_total": count})
    for generation, pauses in zip(gc_names(probe.runtime), probe.gc_pauses, strict=True):
        yield from _histogram("vitals_gc_pause_seconds", labels | {"generation": generation}, _told(pauses))
    counts = {resource.type: resource.count for resource in probe.resources}
    frequent = sorted(counts, key=lambda kind: (-(counts[kind] or 0), kind))[:MOST_RESOURCES]
    for kind, number in _with_other(counts, frequent).items():
        yield _row("vitals_active_resources", labels | {"type": kind}, number)
    used = {space.name: space.used_bytes for space in probe.spaces}
    for name, size in _with_other(used, SPACES_TOLD).items():
        yield _row("vitals_heap_space_used_bytes", labels | {"space": name}, size)


def _with_other(values: Mapping[str, float | None], told: Collection[str]) -> dict[str, float]:
    """Those that are told by name, and what all others come to where there are some."""
    known = {name: value for name, value in values.items() if value is not None}
    rest = [value for name, value in known.items() if name not in told]
    return {name: value for name, value in known.items() if name in told} | ({OTHER: sum(rest)} if rest else {})


def _told(pauses: Histogram) -> Histogram:
    """The same in fewer buckets: of a worker no more is told than Prometheus should be asked to keep."""
    kept = [at for at, bound in enumerate(pauses.bounds) if bound in GC_TOLD_SECONDS]
    bounds = tuple(pauses.bounds[at] for at in kept)
    return Histogram(bounds, (*(pauses.buckets[at] for at in kept), pauses.buckets[-1]), pauses.sum)


def loop_rows(worker: WorkerSample) -> Iterator[Row]:
    """What the probe says of the process's event loops or, without one, what the observer sees from outside."""
    labels = _labels(worker)
    if worker.probe is not None:
        loops = worker.probe.loops
        stalls = [loop.current_stall for loop in loops]
        yield from _counted_inside(loops, labels)
    elif worker.observed is not None:
        stalls = [worker.observed.current_stall]
        yield from _rows_of_one(worker.observed, labels | {"loop": OBSERVED_LOOP})
    else:
        return
    # One number per worker: the worst.
    longest = max((stall.seconds for stall in stalls if stall is not None), default=0.0)
    yield _row("vitals_eventloop_stall_current_seconds", labels, longest)


def _counted_inside(loops: tuple[LoopVitals, ...], labels: Labels) -> Iterator[Row]:
    ready = [loop.ready_callbacks for loop in loops if loop.ready_callbacks is not None]
    if ready:
        yield _row("vitals_eventloop_ready_callbacks", labels, sum(ready))
    for loop in loops:
        in_loop = labels | {"loop": loop.name}
        yield from _rows_of_one(loop, in_loop)
        # A heartbeat sees no single turn of its loop.
        yield from _known(in_loop, {"vitals_eventloop_iterations_total": loop.iterations})


def stall_rows(worker: WorkerSample, counts: Mapping[Cause, tuple[int, float]]) -> Iterator[Row]:
    """
    Stalls by cause, for a worker of which anybody sees the loops.

    Every cause that it can have is there from the beginning: `increase()` misses the first of a series that begins
    at 1, and a worker which never stalled is a zero and not a gap.
    """
    if worker.probe is None and worker.observed is None:
        return
    labels = _labels(worker)
    for cause, (count, seconds) in {**_no_stalls(_runtime(worker)), **counts}.items():
        of_cause = labels | {"cause": cause}
        yield _row("vitals_eventloop_stalls_total", of_cause, count)
        yield _row("vitals_eventloop_stall_seconds_total", of_cause, seconds)


@lru_cache(maxsize=8)
def _no_stalls(runtime: str) -> dict[Cause, tuple[int, float]]:
    """The zeros of every cause that a loop of this runtime can have."""
    never = NEVER.get(runtime, ())
    return {cause: (0, 0.0) for cause in get_args(Cause) if cause not in never}


def incident_rows(
    incidents: tuple[Incident, ...], totals: Mapping[TotalOf, int], targets: Collection[str]
) -> Iterator[Row]:
    """How many incidents are open and how often there was one; of targets that are there, and with their zeros."""
    still_open = Counter((each.target, each.kind, each.severity) for each in incidents if each.state == "open")
    nothing: dict[TotalOf, int] = {(target, *sort): 0 for target in sorted(targets) for sort in INCIDENT_SORTS}
    for target, kind, severity in {**nothing, **totals, **still_open}:
        if target not in targets:
            continue
        labels = {"target": target, "kind": kind, "severity": severity}
        yield _row("vitals_incidents_open", labels, still_open[target, kind, severity])
        yield _row("vitals_incidents_total", labels, totals.get((target, kind, severity), 0))


def _rows_of_one(loop: LoopVitals | ObservedLoop, labels: Labels) -> Iterator[Row]:
    yield from _histogram("vitals_eventloop_delay_seconds", labels, loop.delay)
    yield _row("vitals_eventloop_busy_seconds_total", labels, loop.busy_seconds)
    yield _row("vitals_eventloop_idle_seconds_total", labels, loop.idle_seconds)


def source_rows(readings: tuple[SourceReading, ...]) -> Iterator[Row]:
    """How reading went, source by source."""
    for reading in readings:
        labels = {"target": reading.target, "source": reading.source}
        yield _row("vitalsd_source_success", labels, reading.success)
        yield _row("vitalsd_source_duration_seconds", labels, reading.duration_seconds)


def capture_rows(counts: CaptureCounts, targets: Collection[str]) -> Iterator[Row]:
    """What became of captures: of each target that is watched, from the beginning."""
    known = {target for target, *_ in (*counts.taken, *counts.failed, *counts.refused)}
    for target in sorted({*targets, *known}):
        for kind in KINDS:
            labels = {"target": target, "kind": kind}
            yield _row("vitalsd_captures_total", labels, counts.taken.get((target, kind), 0))
            yield _row("vitalsd_capture_failures_total", labels, counts.failed.get((target, kind), 0))
            yield from _known(labels, {"vitalsd_capture_pause_seconds": counts.pause_seconds.get((target, kind))})
    yield _row("vitalsd_capture_uploads_total", {}, counts.uploaded)
    yield _row("vitalsd_capture_upload_failures_total", {}, counts.uploads_failed)
    for (target, kind, reason), count in sorted(counts.refused.items()):
        labels = {"target": target, "kind": kind, "reason": reason}
        yield _row("vitalsd_captures_refused_total", labels, count)


def remedy_rows(counts: RemedyCounts) -> Iterator[Row]:
    """What was recycled, of each target whose remedy is not off."""
    for target, stopped in sorted(counts.stopped.items()):
        yield _row("vitalsd_remedy_stopped", {"target": target}, stopped)
        for outcome in OUTCOMES:
            labels = {"target": target, "outcome": outcome}
            yield _row("vitalsd_remedies_total", labels, counts.totals.get((target, outcome), 0))


def agent_rows(agent: AgentVitals, python_version: str) -> Iterator[Row]:
    """What vitalsd says of itself."""
    yield _row("vitalsd_build_info", {"version": agent.version, "pythonversion": python_version}, 1)
    for target, at in agent.sampled_at.items():
        yield _row("vitalsd_sample_timestamp_seconds", {"target": target}, at)
    yield _row("vitalsd_config_last_reload_successful", {}, agent.reload_problem is None)
    yield _row("vitalsd_config_last_reload_success_timestamp_seconds", {}, agent.reload_succeeded_at)
    yield _row("vitalsd_cpu_seconds_total", {}, agent.cpu_seconds)
    yield _row("vitalsd_resident_memory_bytes", {}, agent.resident_bytes)
    yield _row("vitalsd_effective_interval_seconds", {}, agent.effective_interval_seconds)
    yield from _known({}, {"vitalsd_observer_interval_seconds": agent.observer_interval_seconds})
    yield _row("vitalsd_store_success", {}, agent.store_problem is None)
    yield _row("vitalsd_history_success", {}, agent.history_problem is None)
    yield _row("vitalsd_incidents_lost_total", {}, agent.incidents_lost)
    yield _row("vitalsd_incidents_displaced_total", {}, agent.incidents_displaced)
    yield _row("vitalsd_stacks_total", {}, agent.stacks)
    for reason in get_args(StackRefusal):  # all from the beginning: `increase()` misses the first of a new series
        yield _row("vitalsd_stacks_refused_total", {"reason": reason}, agent.stacks_refused.get(reason, 0))
    for event, count in agent.errors.items():
        yield _row("vitalsd_errors_total", {"event": event}, count)
    for each in agent.notified:
        yield _row("vitalsd_notifications_total", {"peer": each.peer}, each.sent)
        yield _row("vitalsd_notification_failures_total", {"peer": each.peer}, each.failed)
    if agent.exported is not None:
        yield _row("vitalsd_otlp_requests_total", {}, agent.exported.sent)
        yield _row("vitalsd_otlp_request_failures_total", {}, agent.exported.failed)
        yield _row("vitalsd_otlp_dropped_points_total", {}, agent.exported.dropped_points)


def _labels(worker: WorkerSample) -> Labels:
    return {"target": worker.target, "worker": worker.slot}


def _row(name: str, labels: Labels, value: float) -> Row:
    return name, Sample(name, labels, value)


def _known(labels: Labels, values: Mapping[str, float | None]) -> Iterator[Row]:
    for name, value in values.items():
        if value is not None:
            yield _row(name, labels, value)


def _histogram(name: str, labels: Labels, histogram: Histogram) -> Iterator[Row]:
    bucket = name + "_bucket"
    for bound, count in zip(_bounds(histogram.bounds), histogram.buckets, strict=True):
        yield name, Sample(bucket, {**labels, "le": bound}, count)
    yield name, Sample(name + "_count", labels, histogram.buckets[-1])
    yield name, Sample(name + "_sum", labels, histogram.sum)


@lru_cache(maxsize=4)
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(repr(float(bound)) for bound in bounds), "+Inf")
