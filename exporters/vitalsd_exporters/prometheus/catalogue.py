"""
Every metric as data: its name, type, help with its source, and labels. Nothing is exported that is not here.

`describe()` is made from this table, and a test holds docs/metrics.md against it. Adding a metric is a row
here, its reading in `series`, and a row there. Costs nothing after import.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["CATALOGUE", "Descriptor"]


class Descriptor(NamedTuple):
    """What is known of a metric without looking at any worker."""

    name: str
    """As a query writes it, `_total` and `_info` included; without `_bucket` and the like."""
    type: Literal["gauge", "counter", "histogram", "info"]
    help: str
    labels: tuple[str, ...]

    @property
    def family(self) -> str:
        """Its name without the suffix that its type gives to its one sample: what OpenMetrics calls it."""
        return self.name.removesuffix("_total").removesuffix("_info")

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which its samples appear."""
        if self.type == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_count", "_sum"))
        return (self.name,)


TARGET = ("target",)
WORKER = ("target", "worker")
LOOP = (*WORKER, "loop")
SOURCE = ("target", "source")

UP = (
    Descriptor("vitals_target_up", "gauge", "Whether at least one worker of the target runs, from /proc.", TARGET),
    Descriptor("vitals_worker_up", "gauge", "Whether a process fills this slot, from /proc.", WORKER),
    Descriptor(
        "vitals_worker_info",
        "info",
        "Runtime of the worker and its version, from the probe, and how its delay is measured.",
        (*WORKER, "runtime", "version", "lag_source"),
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

EVENTLOOP = (
    Descriptor(
        "vitals_eventloop_delay_seconds",
        "histogram",
        "What a callback scheduled at a random moment waits, one sample per 20 ms of time, "
        "from the probe or observer.",
        LOOP,
    ),
    Descriptor(
        "vitals_eventloop_busy_seconds_total",
        "counter",
        "Time the loop ran callbacks, from the probe or observer.",
        LOOP,
    ),
    Descriptor(
        "vitals_eventloop_idle_seconds_total",
        "counter",
        "Time the loop waited for events, from the probe or observer.",
        LOOP,
    ),
    Descriptor(
        "vitals_eventloop_iterations_total",
        "counter",
        "Turns of the loop, from the probe; absent where the loop has no selector to count them.",
        LOOP,
    ),
    Descriptor(
        "vitals_eventloop_stalls_total",
        "counter",
        "Stalls beyond stall.threshold that have ended, over all loops, by cause, from the probe or observer.",
        (*WORKER, "cause"),
    ),
    Descriptor(
        "vitals_eventloop_stall_seconds_total",
        "counter",
        "Time spent in stalls that have ended, over all loops, by cause, from the probe or observer.",
        (*WORKER, "cause"),
    ),
    Descriptor(
        "vitals_eventloop_stall_current_seconds",
        "gauge",
        "How long the stall in progress has lasted, of the loop that is stuck longest; 0 when none is, "
        "read from the probe at the scrape, or from the observer.",
        WORKER,
    ),
    Descriptor(
        "vitals_eventloop_ready_callbacks",
        "gauge",
        "Callbacks that were ready to run, over all loops, from the probe.",
        WORKER,
    ),
    Descriptor("vitals_eventloop_tasks", "gauge", "Tasks that are not done, from the probe.", WORKER),
    Descriptor(
        "vitals_executor_threads", "gauge", "Threads of the thread pool executors, from the probe.", WORKER
    ),
    Descriptor(
        "vitals_executor_busy", "gauge", "Executor threads that are running a job, from the probe.", WORKER
    ),
    Descriptor(
        "vitals_executor_queued", "gauge", "Jobs that wait for an executor thread, from the probe.", WORKER
    ),
    Descriptor(
        "vitals_unhandled_errors_total",
        "counter",
        "Errors that nobody handled, by the channel that reported them, from the probe.",
        (*WORKER, "channel"),
    ),
)

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

MEMORY = (
    Descriptor(
        "vitals_gc_pause_seconds",
        "histogram",
        "Pauses for garbage collection, youngest generation 0, from the probe.",
        (*WORKER, "generation"),
    ),
    Descriptor("vitals_heap_used_bytes", "gauge", "Heap in use now, from the probe.", WORKER),
    Descriptor(
        "vitals_heap_live_bytes",
        "gauge",
        "Heap in use after the last full collection, from the probe.",
        WORKER,
    ),
    Descriptor("vitals_heap_blocks", "gauge", "Allocated blocks of the runtime's heap, from the probe.", WORKER),
    Descriptor(
        "vitals_malloc_used_bytes", "gauge", "Memory malloc has handed out, mallinfo2 by the probe.", WORKER
    ),
    Descriptor(
        "vitals_malloc_held_bytes",
        "gauge",
        "Memory malloc holds from the kernel, in use or not, mallinfo2 by the probe.",
        WORKER,
    ),
)

PROCESS = (
    Descriptor(
        "vitals_process_resident_memory_bytes",
        "gauge",
        "Resident memory, page cache of mapped files included, from /proc/PID/status VmRSS.",
        WORKER,
    ),
    Descriptor(
        "vitals_process_anonymous_memory_bytes",
        "gauge",
        "Resident memory that no file backs, from /proc/PID/status RssAnon.",
        WORKER,
    ),
    Descriptor("vitals_process_swap_bytes", "gauge", "Memory swapped out, from /proc/PID/status VmSwap.", WORKER),
    Descriptor(
        "vitals_process_proportional_memory_bytes",
        "gauge",
        "Resident memory, shared pages divided by how many share them, from /proc/PID/smaps_rollup Pss.",
        WORKER,
    ),
    Descriptor(
        "vitals_memory_limit_bytes",
        "gauge",
        "Least memory limit that holds for the worker, from its cgroup or /proc/PID/limits.",
        WORKER,
    ),
    Descriptor(
        "vitals_memory_oom_kills_total",
        "counter",
        "Processes that were killed for memory in the group of /proc/PID/cgroup, the same for all workers in it.",
        WORKER,
    ),
    Descriptor(
        "vitals_memory_growth_bytes_per_second",
        "gauge",
        "Slope of the peaks of anonymous memory and swap over the last six hours, from /proc.",
        WORKER,
    ),
    Descriptor(
        "vitals_memory_exhaustion_timestamp_seconds",
        "gauge",
        "Unix time at which these peaks meet the memory limit, if within 30 days, from /proc.",
        WORKER,
    ),
    Descriptor(
        "vitals_process_cpu_seconds_total",
        "counter",
        "User and system CPU time, from /proc/PID/stat utime and stime.",
        WORKER,
    ),
    Descriptor(
        "vitals_cpu_runqueue_seconds_total",
        "counter",
        "Time the main thread was ready to run and waited for a processor, from /proc/PID/schedstat.",
        WORKER,
    ),
    Descriptor(
        "vitals_cpu_throttled_seconds_total",
        "counter",
        "Time the group of /proc/PID/cgroup was out of CPU quota, the same for all workers in it.",
        WORKER,
    ),
    Descriptor("vitals_process_open_fds", "gauge", "Open file descriptors, from /proc/PID/fd.", WORKER),
    Descriptor(
        "vitals_process_max_fds",
        "gauge",
        "Soft limit of open file descriptors, from /proc/PID/limits once a minute.",
        WORKER,
    ),
    Descriptor(
        "vitals_process_threads", "gauge", "Threads of the process, from /proc/PID/stat num_threads.", WORKER
    ),
    Descriptor(
        "vitals_process_start_time_seconds",
        "gauge",
        "Unix time at which the process started, from /proc/PID/stat starttime.",
        WORKER,
    ),
    Descriptor(
        "vitals_process_context_switches_total",
        "counter",
        "Context switches of the main thread by kind (voluntary, involuntary), from /proc/PID/status.",
        (*WORKER, "kind"),
    ),
)

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
        "Runs of py-spy for the stacks of a stall, from vitalsd itself.",
        (),
    ),
    Descriptor(
        "vitalsd_stacks_refused_total",
        "counter",
        "Stacks of stalls that were not taken or came to nothing, by reason, from vitalsd itself.",
        ("reason",),
    ),
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

CATALOGUE: tuple[Descriptor, ...] = (*UP, *EVENTLOOP, *INCIDENTS, *MEMORY, *PROCESS, *AGENT)
