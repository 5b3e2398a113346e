"""Metrics of processes as the kernel sees them: memory and its limit, processor time, files, threads."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import WORKER, Descriptor

__all__ = ["PROCESS"]

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
        "Time without CPU quota of processors in the group of /proc/PID/cgroup, added up; alike for its workers.",
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
