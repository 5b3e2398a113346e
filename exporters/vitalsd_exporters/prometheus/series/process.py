"""Of a process, as the kernel has it: memory, processor, descriptors, and where its memory is going."""

from __future__ import annotations

from collections.abc import Iterator

from vitalsd.model import MemoryTrend, WorkerSample
from vitalsd_exporters.prometheus.series.rows import Row, breakdown_rows, known_rows, labels_of

__all__ = ["cpu_rows", "memory_rows", "process_rows", "trend_rows"]


def process_rows(worker: WorkerSample) -> Iterator[Row]:
    """What /proc says of the process."""
    process = worker.process
    if process is None:
        return
    labels = labels_of(worker)
    yield from known_rows(
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
    yield from breakdown_rows("vitals_process_context_switches_total", labels, "kind", switches.items())


def memory_rows(worker: WorkerSample) -> Iterator[Row]:
    """What the process may have, what of it is its own, and what became of others in its group."""
    memory = worker.memory
    if memory is None:
        return
    yield from known_rows(
        labels_of(worker),
        {
            "vitals_process_proportional_memory_bytes": memory.proportional_bytes,
            "vitals_memory_limit_bytes": memory.limit_bytes,
            "vitals_memory_oom_kills_total": memory.group.oom_kills if memory.group is not None else None,
        },
    )


def cpu_rows(worker: WorkerSample) -> Iterator[Row]:
    """How long the process was kept from the processor."""
    if worker.cpu is not None:
        yield from known_rows(
            labels_of(worker),
            {
                "vitals_cpu_runqueue_seconds_total": worker.cpu.runqueue_seconds,
                "vitals_cpu_throttled_seconds_total": worker.cpu.throttled_seconds,
            },
        )


def trend_rows(worker: WorkerSample, trend: MemoryTrend | None) -> Iterator[Row]:
    """Where the memory of the process is going."""
    if trend is not None:
        yield from known_rows(
            labels_of(worker),
            {
                "vitals_memory_growth_bytes_per_second": trend.bytes_per_second,
                "vitals_memory_exhaustion_timestamp_seconds": trend.exhausted_at,
            },
        )
