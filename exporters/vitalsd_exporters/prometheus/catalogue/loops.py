"""Metrics of event loops, and of what runs beside them: thread pools, and errors that nobody handled."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import LOOP, WORKER, Descriptor

__all__ = ["LOOPS"]

LOOPS = (
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
