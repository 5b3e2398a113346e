"""
Alerts on plain metrics of a service, by thresholds: they work where nobody wants the agent's judgement.

Of these, too, the agent's own worker (target `vitalsd`) is left out. What is asked for holds for several scrapes,
so that one reading, or a series that has just begun, is not enough, but where the reading itself says for how long
it has been so; and a scrape that fails is bridged.
"""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd_exporters.rules.model import BRIDGED, TARGET, TARGET_ALONE, WORKER, Alert, Group, value
from vitalsd_exporters.rules.thresholds import Thresholds
from vitalsd_exporters.runbooks import page_of

__all__ = ["service_group"]

NOT_OURS = 'target!="vitalsd"'
DELAY = "vitals_eventloop_delay_seconds"
GROWN_UP_SECONDS = 7200
"""A process younger than this may still be warming up, and its line foresees nothing."""
SEEN_WITHIN = "1d"
"""A target that is configured on a whole fleet and runs on a part of it is down on the others, as it should be."""
LIVED_FRACTION = 0.2
"""Of the five minutes of a quantile: a loop observes itself fifty times a second, so 10/s is a minute of it."""


def service_group(t: Thresholds) -> Group:
    """Those of delay, workers, memory, counts."""
    alerts = (*_delays(t), *_workers(t), *_memory(t), *_counts(t))
    return Group("vitalsd.services", tuple(replace(alert, whose=TARGET_ALONE) for alert in alerts))


def _lived(level: str) -> str:
    return f'{level}:{DELAY}_bucket:rate5m{{le="+Inf"}} > {50 * LIVED_FRACTION:g}'


def _delays(t: Thresholds) -> tuple[Alert, ...]:
    slow = f"target:{DELAY}:p99_5m{{{NOT_OURS}}}"
    lived = f"and ignoring (le) ({_lived('target')})"
    waits = f"{TARGET}: one callback of a hundred waits for {value('humanizeDuration')} or longer"
    late = "Callbacks wait too long for the event loop."
    ask = "`vitals_eventloop_stall_seconds_total` by cause, and `vitalsd incidents`, say what holds the loop."
    page = page_of("starvation")
    return (
        Alert(
            "VitalsdDelayHigh", "warning", f"{slow} > {t.delay_warning_seconds:g} {lived}", "15m", late,
            f"{waits}, for a quarter of an hour.", ask, page,
        ),
        Alert(
            "VitalsdDelayHigh", "critical", f"{slow} > {t.delay_critical_seconds:g} {lived}", "5m", late,
            f"{waits}, for five minutes.", ask, page,
        ),
        Alert(
            "VitalsdWorkerDelayHigh", "warning",
            f"worker:{DELAY}:p99_5m{{{NOT_OURS}}} > {t.delay_critical_seconds:g} "
            f"and ignoring (le) ({_lived('worker')})",
            "10m", "One worker is late while its pool may look well.",
            f"{WORKER}: one callback of a hundred waits for {value('humanizeDuration')} or longer.", ask, page,
        ),
        Alert(
            "VitalsdStallTime", "warning",
            f"target:vitals_eventloop_stall_seconds:avg_rate5m{{{NOT_OURS}}} > {t.stall_share:g}", "10m",
            "Event loops lose their time to stalls of one cause.",
            f"{TARGET} loses {value('humanizePercentage')} of its workers' time to stalls, cause "
            "`{{ $labels.cause }}`.",
            "`vitalsd incidents` names the function; its runbook says what to do about that cause.",
            page_of("stall") + "#{{ $labels.cause }}",
        ),
        Alert(
            "VitalsdLoopStuck", "critical",
            f"vitals_eventloop_stall_current_seconds{{{NOT_OURS}}} > {t.stuck_seconds:g}", "0s",
            "An event loop does not come back.",
            f"{WORKER}: its loop has been in one callback for {value('humanizeDuration')}.",
            "The stack is in the incident; do not restart the worker before `vitalsd capture stacks` has it.",
            page_of("stall"),
        ),
    )  # fmt: skip


def _workers(t: Thresholds) -> tuple[Alert, ...]:
    out_of_order = f'{NOT_OURS}, reason=~"error|signal|oom_kill|timeout"'
    return (
        Alert(
            "VitalsdTargetDown", "critical",
            f"max_over_time(vitals_target_up{{{NOT_OURS}}}{BRIDGED}) == 0 "
            f"and max_over_time(vitals_target_up[{SEEN_WITHIN}]) == 1", "2m",
            "No worker runs of a watched service that did.",
            f"{TARGET}: none of its workers has run for two minutes.",
            "`vitalsd status` says how the last one ended.",
            page_of("worker_down"),
        ),
        Alert(
            "VitalsdRestarts", "warning",
            "sum without (worker, reason) "
            f"(increase(vitals_worker_restarts_total{{{out_of_order}}}[30m])) > {t.restarts - 0.5:g}",
            "0s", "Workers end out of order and are replaced, repeatedly.",
            f"{TARGET}: {value()} workers ended out of order in the last half hour.",
            "`vitals_worker_restarts_total` by reason, and `vitalsd incidents`, say how.",
            page_of("worker_down"), "15m",
        ),
        Alert(
            "VitalsdOomKills", "warning",
            f"max without (worker) (increase(vitals_memory_oom_kills_total{{{NOT_OURS}}}[15m])) > 0", "0s",
            "The kernel has killed processes for memory in a service's group.",
            f"{TARGET}: the kernel has killed about {value()} processes of its group for memory in 15 minutes.",
            "Raise the limit, or find what grows: `vitalsd capture memory`.",
            page_of("oom_kill"), "15m",
        ),
        Alert(
            "VitalsdThrottled", "warning",
            f"max without (worker) (rate(vitals_cpu_throttled_seconds_total{{{NOT_OURS}}}[5m])) > "
            f"{t.throttled_share:g}", "15m",
            "A service waits for CPU quota for much of its time.",
            f"{TARGET}: its group has no CPU quota left for {value()} s in each second, added up over processors.",
            "Raise the CPU limit, or have fewer workers in it.",
            page_of("stall", "cpu_throttled"),
        ),
    )  # fmt: skip


def _memory(t: Thresholds) -> tuple[Alert, ...]:
    full = f"worker:vitals_memory_limit:ratio{{{NOT_OURS}}}"
    shares = t.memory_warning_share, t.memory_critical_share
    warning, critical = (f"max_over_time({full}{BRIDGED}) > {share:g}" for share in shares)
    near = "The memory of a worker is near its limit."
    uses = f"{WORKER} uses {value('humanizePercentage')} of its memory limit."
    ask = "`vitalsd capture memory` before it is killed says who holds it; it is refused where it does not fit."
    left = f"last_over_time(vitals_memory_exhaustion_timestamp_seconds{{{NOT_OURS}}}{BRIDGED}) - time()"
    heap = f"vitals_heap_used_bytes{{{NOT_OURS}}}"
    limit = f"vitals_heap_limit_bytes{{{NOT_OURS}}}"
    page = page_of("exhaustion")
    return (
        Alert("VitalsdMemoryHigh", "warning", warning, "15m", near, uses, ask, page),
        Alert("VitalsdMemoryHigh", "critical", critical, "5m", near, uses, ask, page),
        Alert(
            "VitalsdMemoryRunsOut", "warning",
            f"{left} < {t.exhaustion_hours * 3600:g} and "
            f"(time() - last_over_time(vitals_process_start_time_seconds{BRIDGED}) > {GROWN_UP_SECONDS})", "1h",
            "At its present pace the memory of a worker meets its limit soon.",
            f"{WORKER}: at the pace of the last hours its memory meets the limit in {value('humanizeDuration')}.",
            ask, page,
        ),
        Alert(
            "VitalsdHeapHigh", "warning",
            f"min_over_time({heap}[10m]) / last_over_time({limit}{BRIDGED}) > {t.heap_share:g}", "5m",
            "V8's heap is near the limit at which it ends the process.",
            f"{WORKER}: what collections leave of the heap is {value('humanizePercentage')} of V8's limit.",
            "`vitalsd capture memory` says who allocates; `--max-old-space-size` is the limit.",
            page_of("heap_exhaustion"),
        ),
        Alert(
            "VitalsdGcTime", "warning",
            f"worker:vitals_gc_pause_seconds:ratio_rate5m{{{NOT_OURS}}} > {t.gc_share:g}", "10m",
            "Garbage collection takes much of a worker's time.",
            f"{WORKER}: {value('humanizePercentage')} of its time goes to garbage collection.",
            "`vitalsd capture memory` says who allocates so much.",
            page_of("gc_pressure"),
        ),
    )  # fmt: skip


def _counts(t: Thresholds) -> tuple[Alert, ...]:
    queued = f"vitals_executor_queued{{{NOT_OURS}}}"
    return (
        Alert(
            "VitalsdExecutorsFull", "warning",
            f"(min_over_time({queued}[5m]) >= (vitals_executor_threads > 0)) "
            f"and predict_linear({queued}[5m], 600) > 0 "
            "and vitals_executor_busy >= vitals_executor_threads",
            "5m", "Thread pools do not keep up with what is given to them.",
            f"{WORKER}: all threads of its executors are busy, {value()} jobs or more waited for five minutes, "
            "and ten minutes more would not be enough.",
            "`vitalsd capture stacks` says what the threads wait for.",
            page_of("pool_saturation"),
        ),
        Alert(
            "VitalsdFdsHigh", "warning",
            f"last_over_time(vitals_process_open_fds{{{NOT_OURS}}}{BRIDGED}) "
            f"/ last_over_time(vitals_process_max_fds{BRIDGED}) > {t.fds_share:g}", "5m",
            "A worker has nearly all file descriptors that it may.",
            f"{WORKER} has {value('humanizePercentage')} of the file descriptors it is allowed.",
            "`vitalsd status` and the incident tell of which kind they are.",
            page_of("fd_exhaustion"),
        ),
        Alert(
            "VitalsdErrorsHigh", "warning",
            f"target:vitals_unhandled_errors:rate5m{{{NOT_OURS}}} > {t.errors_per_second:g}", "10m",
            "Errors that nobody handles go on.",
            f"{TARGET}: {value()} errors per second that nobody handles, channel `{{{{ $labels.channel }}}}`.",
            "`vitalsd incidents` names type and origin.",
            page_of("error_surge"),
        ),
    )  # fmt: skip
