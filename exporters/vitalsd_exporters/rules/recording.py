"""
What Prometheus records of our metrics, of a worker, of a target as one agent sees it, of a target everywhere.

Aggregations leave labels out and name none that they keep, so those of service discovery stay. The level of a name
says what is left: `worker`, `target` (of one agent) or `fleet` (no `instance`, `pod` or `container`).
"""

from __future__ import annotations

from vitalsd_exporters.rules.model import Group, Recording

__all__ = ["recording_group"]

DELAY = "vitals_eventloop_delay_seconds"
ELSEWHERE = "instance, pod, container, node"


def recording_group() -> Group:
    """In order: some use what others have recorded."""
    return Group("vitalsd.recording", (*_delays(), *_loops(), *_memory()))


def _delays() -> tuple[Recording, ...]:
    worker = f"worker:{DELAY}_bucket:rate5m"
    target = f"target:{DELAY}_bucket:rate5m"
    fleet = f"fleet:{DELAY}_bucket:rate5m"
    buckets = (
        Recording(worker, f"sum without (loop) (rate({DELAY}_bucket[5m]))", "the histogram over a worker's loops"),
        Recording(
            target, f"sum without (worker) ({worker})", "the histogram over the workers of one agent's target"
        ),
        Recording(fleet, f"sum without ({ELSEWHERE}) ({target})", "the histogram over all agents of a target"),
    )
    p99 = tuple(
        Recording(
            f"{level}:{DELAY}:p99_5m",
            f"histogram_quantile(0.99, {histogram})",
            f"99th percentile of the delay of a {level}" if level != "fleet" else "the same, over all agents",
        )
        for level, histogram in (("worker", worker), ("target", target), ("fleet", fleet))
    )
    slow = Recording(
        f"target:{DELAY}:slow_ratio5m",
        f'1 - sum without (le) ({target}{{le="0.1"}}) / sum without (le) ({target}{{le="+Inf"}})',
        "share of the time in which a callback would have waited for more than 100 ms",
    )
    return (*buckets, *p99, slow)


def _loops() -> tuple[Recording, ...]:
    busy, idle = (f"rate(vitals_eventloop_{what}_seconds_total[5m])" for what in ("busy", "idle"))
    return (
        Recording(
            "worker:vitals_eventloop_busy:ratio_rate5m",
            f"sum without (loop) ({busy}) / (sum without (loop) ({busy}) + sum without (loop) ({idle}))",
            "how busy a worker's loops are, 0 to 1",
        ),
        Recording(
            "target:vitals_eventloop_stalls:rate5m",
            "sum without (worker) (rate(vitals_eventloop_stalls_total[5m]))",
            "stalls per second, by cause",
        ),
        Recording(
            "target:vitals_eventloop_stall_seconds:avg_rate5m",
            "avg without (worker) (rate(vitals_eventloop_stall_seconds_total[5m]))",
            "share of its time that a worker of the target loses to stalls, by cause",
        ),
        Recording(
            "worker:vitals_gc_pause_seconds:ratio_rate5m",
            "sum without (generation) (rate(vitals_gc_pause_seconds_sum[5m]))",
            "share of a worker's time that collections take",
        ),
        Recording(
            "target:vitals_unhandled_errors:rate5m",
            "sum without (worker) (rate(vitals_unhandled_errors_total[5m]))",
            "unhandled errors per second, by channel",
        ),
    )


def _memory() -> tuple[Recording, ...]:
    own = "(vitals_process_anonymous_memory_bytes + vitals_process_swap_bytes)"
    return (
        Recording(
            "worker:vitals_memory_own_bytes:sum", own, "memory of a worker that no file backs, swap included"
        ),
        Recording(
            "worker:vitals_memory_limit:ratio",
            "vitals_process_anonymous_memory_bytes / vitals_memory_limit_bytes",
            "resident memory of its own, of its limit",
        ),
    )
