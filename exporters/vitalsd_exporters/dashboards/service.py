"""One service: whether it is late and why, where its memory goes, how its workers live, what was found."""

from __future__ import annotations

from vitalsd_exporters.dashboards.found import found_row
from vitalsd_exporters.dashboards.links import TO_WORKER, labels
from vitalsd_exporters.dashboards.model import Dashboard, Panel, Query, Row, Step
from vitalsd_exporters.dashboards.scope import Scope
from vitalsd_exporters.dashboards.shared import BUSY, FULL, LATE, gc_panels, late_panels, stall_panels
from vitalsd_exporters.dashboards.variables import INSTANCE, JOB, ONE_TARGET

__all__ = ["SERVICE"]

S = Scope(("job", "target", "instance"))
EACH = "by (target, instance, worker)"
NAME = "{{instance}} {{worker}}"


def _worst(expr: str, form: str = "topk(10, max {} ({}))") -> tuple[Query, ...]:
    """The ten workers that are worst, each with its name."""
    return (Query(form.format(EACH, expr), NAME),)


def _late() -> Row:
    delay = "vitals_eventloop_delay_seconds"
    link = labels(TO_WORKER)
    return Row(
        "Is it late?",
        (
            *late_panels(S),
            Panel(
                "Delay of workers", "99th percentile over five minutes, of the ten workers that are worst.", "s",
                _worst(S.of(f"worker:{delay}:p99_5m")), steps=LATE, links=link,
            ),
            Panel(
                "Time later than 100 ms",
                "Share of the time in which a callback would have waited for more than 100 ms, over all "
                "workers of an agent: the mean of the agents, and the worst.",
                "percentunit",
                (
                    Query(f"avg({S.of(f'target:{delay}:slow_ratio5m')})", "mean"),
                    Query(f"max({S.of(f'target:{delay}:slow_ratio5m')})", "worst agent"),
                ),
            ),
            Panel(
                "Busy share", "Of the ten busiest workers: beyond 0.9 whatever arrives queues.", "percentunit",
                _worst(S.of("worker:vitals_eventloop_busy:ratio_rate5m")), steps=BUSY, links=link,
            ),
        ),
    )  # fmt: skip


def _why() -> Row:
    ready, tasks = S.of("vitals_eventloop_ready_callbacks"), S.of("vitals_eventloop_tasks")
    link = labels(TO_WORKER)
    return Row(
        "Why is it late?",
        (
            *stall_panels(S),
            Panel(
                "Stalls that go on", "How long a loop has been in one callback, read at the scrape.", "s",
                _worst(S.of("vitals_eventloop_stall_current_seconds")), width=6, steps=LATE, links=link,
            ),
            Panel(
                "Kept from the processor",
                "Share of the time in which a worker's main thread was ready and had no processor, or its "
                "group had no quota: the worst worker. Then nothing in the service is to blame.",
                "percentunit",
                (
                    Query(f"max({S.rate('vitals_cpu_runqueue_seconds_total')})", "waits for a processor"),
                    Query(f"max({S.rate('vitals_cpu_throttled_seconds_total')})", "throttled"),
                ),
                width=6,
            ),
            Panel(
                "Callbacks ready", "In the queue of the loop, of the ten workers with most; asyncio with a probe.",
                "short", _worst(ready), width=6, links=link,
            ),
            Panel(
                "Tasks", "Not done, of the ten workers with most; what only rises is a leak of tasks.", "short",
                _worst(tasks), width=6, links=link,
            ),
        ),
    )  # fmt: skip


def _memory() -> Row:
    link = labels(TO_WORKER)
    own = Query(f"topk(10, max {EACH} ({S.of('worker:vitals_memory_own_bytes:sum')}))", NAME)
    limit = Query(f"min({S.of('vitals_memory_limit_bytes')})", "least limit", dashed=True)
    left = f"{S.of('vitals_memory_exhaustion_timestamp_seconds')} - time()"
    return Row(
        "Where does its memory go?",
        (
            Panel(
                "Memory of workers, and the limit",
                "Memory that no file backs, swap included, of the ten largest. Workers of one container share "
                "its limit.",
                "bytes", (own, limit), width=12, links=link,
            ),
            Panel(
                "Memory of its limit",
                "Of each worker by itself; a pool that shares a limit may be full long before.",
                "percentunit", _worst(S.of("worker:vitals_memory_limit:ratio")), width=12, steps=FULL, links=link,
                empty="no limit is known",
            ),
            Panel(
                "Growth", "Slope of the peaks of memory over the last six hours; known from half an hour on.",
                "Bps",
                _worst(S.of("vitals_memory_growth_bytes_per_second")), width=6, links=link,
            ),
            Panel(
                "Time until the limit",
                "Until these peaks, or those of all who share the limit, meet it at that pace, if within 30 days.",
                "s",
                _worst(left, "bottomk(10, min {} ({}))"), width=6, steps=(Step(0, "red"), Step(14400, "green")),
                links=link,
                empty="not in sight",
            ),
            Panel(
                "Heap that lives",
                "In use after the last full collection: what a leak raises and load does not.", "bytes",
                _worst(S.of("vitals_heap_live_bytes")), width=6, links=link,
            ),
            Panel(
                "Swap", "Memory swapped out, all workers together: where there is some, it is slow.", "bytes",
                (Query(f"sum({S.of('vitals_process_swap_bytes')})", "swap"),), width=6,
            ),
        ),
    )  # fmt: skip


def _workers() -> Row:
    link = labels(TO_WORKER)
    pool = {what: f"sum({S.of(f'vitals_executor_{what}')})" for what in ("threads", "busy", "queued")}
    return Row(
        "How do its workers live?",
        (
            Panel(
                "Workers", "Slots that a process fills, and those that none does.", "short",
                (
                    Query(f"sum({S.of('vitals_worker_up')})", "up"),
                    Query(f"sum(1 - {S.of('vitals_worker_up')})", "down"),
                ),
            ),
            Panel(
                "Workers replaced, by reason",
                "Why the process before had ended: `graceful` and `recycled` are in order; `error`, `signal`, "
                "`oom_kill` and `timeout` are not.",
                "short",
                (Query(f"sum by (reason) ({S.increase('vitals_worker_restarts_total')}) > 0", "{{reason}}"),),
                "bars", empty="none",
            ),
            Panel(
                "Age", "Of the ten youngest processes.", "s",
                _worst(f"time() - {S.of('vitals_process_start_time_seconds')}", "bottomk(10, min {} ({}))"),
                links=link,
            ),
            Panel(
                "Last sign of life", "How long ago a worker showed one; some seconds are nothing.", "s",
                _worst(f"time() - {S.of('vitals_worker_heartbeat_timestamp_seconds')}"), links=link,
            ),
            Panel(
                "Processor time", "Cores that a worker takes, the ten that take most.", "short",
                _worst(S.rate("vitals_process_cpu_seconds_total")), links=link,
            ),
            Panel(
                "File descriptors of their limit", "Of the ten workers with most.", "percentunit",
                _worst(f"{S.of('vitals_process_open_fds')} / {S.of('vitals_process_max_fds')}"),
                steps=(Step(0, "green"), Step(0.9, "red")), links=link,
            ),
            Panel(
                "Executors",
                "Threads of thread pools, those at work, and jobs that wait for one; all workers together.",
                "short", tuple(Query(expr, what) for what, expr in pool.items()), width=6,
            ),
            Panel(
                "Unhandled errors, by channel", "Per second. The incident names type and origin.", "cps",
                (Query(f"sum by (channel) ({S.of('target:vitals_unhandled_errors:rate5m')})", "{{channel}}"),),
                width=6,
            ),
            Panel(
                "Threads", "Of the ten workers with most; what only rises is a leak of threads.", "short",
                _worst(S.of("vitals_process_threads")), width=6, links=link,
            ),
            Panel(
                "OOM kills", "Processes of its groups that the kernel has killed for memory.", "short",
                (Query(f"sum(max by (instance) ({S.increase('vitals_memory_oom_kills_total')}))", "killed"),),
                "bars", 6,
            ),
        ),
    )  # fmt: skip


SERVICE = Dashboard(
    "vitalsd-service",
    "vitalsd / Service",
    "One service over all of its workers: whether it is late, why, where its memory goes, what was found.",
    (JOB, ONE_TARGET, INSTANCE),
    (
        _late(),
        _why(),
        _memory(),
        Row("What does collecting garbage cost?", gc_panels(S)),
        _workers(),
        found_row(S),
    ),
)
