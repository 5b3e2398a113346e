"""
What each alert is for, and what only looks like it: series, a time, and all alerts that fire then.

Samples are half a minute apart and rules are evaluated as often. `0+3x40` means 0, 3, 6 and so on.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from vitalsd_exporters.rules.judged import judged_group
from vitalsd_exporters.rules.model import Alert

__all__ = ["CASES", "Case", "as_promtool", "judged_cases"]

STEP_SECONDS = 30
BRIDGED_STEPS = 2
"""For as long as a scrape that fails is bridged, an incident that is over looks as if it were not."""
ALL = 480
"""Samples, four hours: more than any case asks for."""
GROUPS = ("vitalsd.recording", "vitalsd.incidents", "vitalsd.services", "vitalsd.agent")
SHOP = 'target="shop"'
WORKER = 'target="shop", worker="0"'
UP = {"up": "1+0x480"}


class Case(NamedTuple):
    """One story."""

    story: str
    series: dict[str, str]
    """Name, with labels where there are some beside job and instance -> values."""
    minutes: float
    firing: tuple[str, ...] = ()
    """`VitalsdStall/critical`, at that time."""


def flat(number: float) -> str:
    """A gauge that does not change."""
    return f"{number:g}+0x{ALL}"


def rising(by: float) -> str:
    """A counter that rises by so much in half a minute."""
    return f"0+{by:g}x{ALL}"


def peer(sent: float, failed: float) -> dict[str, str]:
    """What was told to an Alertmanager in half a minute, and what of it was not taken."""
    name = 'peer="http://am:9093"'
    return {
        f"vitalsd_notifications_total{{{name}}}": rising(sent),
        f"vitalsd_notification_failures_total{{{name}}}": rising(failed),
    }


def otlp(tried: float, refused: float, dropped: float) -> dict[str, str]:
    """What was pushed to a collector in half a minute."""
    return {
        "vitalsd_otlp_requests_total": rising(tried),
        "vitalsd_otlp_request_failures_total": rising(refused),
        "vitalsd_otlp_dropped_points_total": rising(dropped),
    }


def delay(at_most: dict[str, int], worker: str = "0", total: int = 1500) -> dict[str, str]:
    """A histogram of which so many of each half minute's observations are at most so late."""
    counts = {"0.05": 0, **at_most, "+Inf": total}
    labels = f'target="shop", worker="{worker}", loop="main"'
    return {f'vitals_eventloop_delay_seconds_bucket{{{labels}, le="{le}"}}': rising(n) for le, n in counts.items()}


def _only(seconds: float, at_most: dict[str, int], then: dict[str, int]) -> dict[str, str]:
    """The same, that is so for a while and otherwise afterwards."""
    steps = int(seconds / STEP_SECONDS)
    series = {}
    for le, n in {**at_most, "+Inf": 1500}.items():
        later = {**then, "+Inf": 1500}[le]
        name = f'vitals_eventloop_delay_seconds_bucket{{{WORKER}, loop="main", le="{le}"}}'
        series[name] = f"0+{n}x{steps} {n * steps + later}+{later}x{ALL - steps}"
    return series


LATE = {"0.1": 1450, "0.25": 1500, "0.5": 1500, "1": 1500}
VERY_LATE = {"0.1": 1400, "0.25": 1400, "0.5": 1400, "1": 1500}
WELL = {"0.1": 1500, "0.25": 1500, "0.5": 1500, "1": 1500}
POOL = {name: values for slot in range(1, 21) for name, values in delay(WELL, str(slot)).items()}

SERVICES = (
    Case("a callback of a hundred waits 0.2 s", delay(LATE), 25, ("VitalsdDelayHigh/warning",)),
    Case("it was so for five minutes", _only(300, LATE, WELL), 25),
    Case("a loop has barely begun", delay({le: n // 10 for le, n in VERY_LATE.items()}, total=150), 25),
    Case(
        "it waits 0.9 s",
        delay(VERY_LATE),
        25,
        ("VitalsdDelayHigh/critical", "VitalsdDelayHigh/warning", "VitalsdWorkerDelayHigh/warning"),
    ),
    Case("one worker of 21 is late", {**delay(VERY_LATE), **POOL}, 25, ("VitalsdWorkerDelayHigh/warning",)),
    Case(
        "a tenth of the time goes to stalls",
        {f'vitals_eventloop_stall_seconds_total{{{WORKER}, cause="blocking_call"}}': rising(3)},
        25,
        ("VitalsdStallTime/warning",),
    ),
    Case(
        "one stall of a minute",
        {f'vitals_eventloop_stall_seconds_total{{{WORKER}, cause="blocking_call"}}': "0+0x20 60+0x400"},
        25,
    ),
    Case(
        "a loop does not come back",
        {f"vitals_eventloop_stall_current_seconds{{{WORKER}}}": "0+0x4 5+30x10"},
        4,
        ("VitalsdLoopStuck/critical",),
    ),
    Case("each scrape sees a stall of 2 s", {f"vitals_eventloop_stall_current_seconds{{{WORKER}}}": flat(2)}, 30),
    Case("nobody runs", {f"vitals_target_up{{{SHOP}}}": "1+0x9 0+0x100"}, 8, ("VitalsdTargetDown/critical",)),
    Case("a restart takes a minute", {f"vitals_target_up{{{SHOP}}}": "1+0x9 0 0 0 1+0x100"}, 8),
    Case("a target of the whole fleet runs elsewhere", {f"vitals_target_up{{{SHOP}}}": flat(0)}, 60),
    Case("a pod is removed", {f"vitals_target_up{{{SHOP}}}": "1+0x9 0 0 stale"}, 12),
    Case(
        "a worker crashes every four minutes",
        {f'vitals_worker_restarts_total{{{WORKER}, reason="signal"}}': "0+0.125x100"},
        35,
        ("VitalsdRestarts/warning",),
    ),
    Case(
        "workers are recycled, and a rollout",
        {
            f'vitals_worker_restarts_total{{{WORKER}, reason="graceful"}}': rising(1),
            f'vitals_worker_restarts_total{{{WORKER}, reason="recycled"}}': rising(1),
            f'vitals_worker_restarts_total{{{WORKER}, reason="unknown"}}': "0+0x20 1+0x100",
        },
        35,
    ),
    Case(
        "a series begins with what there was",
        {f'vitals_worker_restarts_total{{{WORKER}, reason="error"}}': "_x20 40+0x100"},
        25,
    ),
    Case("the kernel kills", {f"vitals_memory_oom_kills_total{{{WORKER}}}": "3+0x10 4+0x50"}, 8,
         ("VitalsdOomKills/warning",)),
    Case("a new worker in an old group", {f"vitals_memory_oom_kills_total{{{WORKER}}}": "_x10 3+0x50"}, 8),
    Case("half of the time without quota", {f"vitals_cpu_throttled_seconds_total{{{WORKER}}}": rising(15)}, 25,
         ("VitalsdThrottled/warning",)),
    Case("a tenth of the time", {f"vitals_cpu_throttled_seconds_total{{{WORKER}}}": rising(3)}, 25),
    Case("92 % of the limit", {
        f"vitals_process_anonymous_memory_bytes{{{WORKER}}}": flat(92),
        f"vitals_memory_limit_bytes{{{WORKER}}}": flat(100)}, 20, ("VitalsdMemoryHigh/warning",)),
    Case("97 % of it", {
        f"vitals_process_anonymous_memory_bytes{{{WORKER}}}": flat(97),
        f"vitals_memory_limit_bytes{{{WORKER}}}": flat(100)}, 20,
        ("VitalsdMemoryHigh/critical", "VitalsdMemoryHigh/warning")),
    Case("92 % for five minutes", {
        f"vitals_process_anonymous_memory_bytes{{{WORKER}}}": "92+0x10 50+0x100",
        f"vitals_memory_limit_bytes{{{WORKER}}}": flat(100)}, 20),
    Case("there is no limit", {f"vitals_process_anonymous_memory_bytes{{{WORKER}}}": flat(1e12)}, 20),
    Case("three hours are left", {
        f"vitals_memory_exhaustion_timestamp_seconds{{{WORKER}}}": flat(14000),
        f"vitals_process_start_time_seconds{{{WORKER}}}": flat(-20000)}, 75, ("VitalsdMemoryRunsOut/warning",)),
    Case("a process warms up", {
        f"vitals_memory_exhaustion_timestamp_seconds{{{WORKER}}}": flat(14000),
        f"vitals_process_start_time_seconds{{{WORKER}}}": flat(0)}, 75),
    Case("a day is left", {
        f"vitals_memory_exhaustion_timestamp_seconds{{{WORKER}}}": flat(90000),
        f"vitals_process_start_time_seconds{{{WORKER}}}": flat(-20000)}, 75),
    Case("collections leave 90 % of the heap", {
        f"vitals_heap_used_bytes{{{WORKER}}}": flat(90), f"vitals_heap_limit_bytes{{{WORKER}}}": flat(100)}, 20,
        ("VitalsdHeapHigh/warning",)),
    Case("the heap fills and is emptied", {
        f"vitals_heap_used_bytes{{{WORKER}}}": "95 95 40 " * 60,
        f"vitals_heap_limit_bytes{{{WORKER}}}": flat(100)},
        20),
    Case("a third of the time is collected", {
        f'vitals_gc_pause_seconds_sum{{{WORKER}, generation="{each}"}}': rising(5) for each in ("0", "2")}, 20,
        ("VitalsdGcTime/warning",)),
    Case("a tenth of it", {f'vitals_gc_pause_seconds_sum{{{WORKER}, generation="2"}}': rising(3)}, 20),
    Case("a pool cannot follow", {
        f"vitals_executor_queued{{{WORKER}}}": "10+1x100", f"vitals_executor_threads{{{WORKER}}}": flat(4),
        f"vitals_executor_busy{{{WORKER}}}": flat(4)}, 15, ("VitalsdExecutorsFull/warning",)),
    Case("a batch is worked off", {
        f"vitals_executor_queued{{{WORKER}}}": "500-20x24 0+0x100",
        f"vitals_executor_threads{{{WORKER}}}": flat(4),
        f"vitals_executor_busy{{{WORKER}}}": flat(4)}, 12),
    Case("calls get their turn at once", {
        f"vitals_executor_queued{{{WORKER}}}": flat(2), f"vitals_executor_threads{{{WORKER}}}": flat(4),
        f"vitals_executor_busy{{{WORKER}}}": flat(4)}, 15),
    Case("95 % of the descriptors", {
        f"vitals_process_open_fds{{{WORKER}}}": flat(95), f"vitals_process_max_fds{{{WORKER}}}": flat(100)}, 10,
        ("VitalsdFdsHigh/warning",)),
    Case("70 % day and night", {
        f"vitals_process_open_fds{{{WORKER}}}": flat(70), f"vitals_process_max_fds{{{WORKER}}}": flat(100)}, 60),
    Case("an error each second", {f'vitals_unhandled_errors_total{{{WORKER}, channel="task"}}': rising(30)}, 20,
         ("VitalsdErrorsHigh/warning",)),
    Case("a hundred errors once", {f'vitals_unhandled_errors_total{{{WORKER}, channel="task"}}':
         "0+0x15 100+0x99"}, 15),
)  # fmt: skip

CPU = "vitalsd_cpu_seconds_total"
RESIDENT = "vitalsd_resident_memory_bytes"
TAKEN, FAILED = (f'vitalsd_{what}_total{{{SHOP}, kind="cpu"}}' for what in ("captures", "capture_failures"))
UPLOADS, UPLOADS_FAILED = (f"vitalsd_capture_{what}_total" for what in ("uploads", "upload_failures"))
ONE = {f"vitals_worker_up{{{WORKER}}}": flat(1)}
TWENTY = {f'vitals_worker_up{{target="shop", worker="{slot}"}}': flat(1) for slot in range(20)}
SAMPLED = f"vitalsd_sample_timestamp_seconds{{{SHOP}}}"
OWN = 'vitals_incidents_open{kind="stall", severity="warning", target="vitalsd"}'
SOURCE = f'vitalsd_source_success{{{SHOP}, source="segment"}}'
ERRORS = 'vitalsd_errors_total{{event="{}"}}'

AGENT = (
    Case("an agent does not answer", {"up": "1+0x9 0+0x50"}, 12, ("VitalsdAgentDown/warning",)),
    Case("two scrapes fail", {"up": "1+0x9 0 0 1+0x50"}, 12),
    Case("one agent of several is removed", {"up": "1+0x9 0 0 stale", 'up{instance="b"}': flat(1)}, 30),
    Case("there is none", {"up": "stale", 'up{job="node"}': flat(1)}, 20, ("VitalsdAgentsAbsent/critical",)),
    Case("those of a PodMonitor", {"up": "stale", 'up{job="monitoring/vitalsd"}': flat(1)}, 20),
    Case("an agent has an incident", {OWN: flat(1)}, 20, ("VitalsdAgentTroubled/warning",)),
    Case("it had one", {OWN: "1+0x10 0+0x50"}, 20),
    Case("a reload fails", {"vitalsd_config_last_reload_successful": flat(0)}, 7,
         ("VitalsdConfigReloadFailed/warning",)),
    Case("and is repeated", {"vitalsd_config_last_reload_successful": "0 0 0 0 1+0x50"}, 7),
    Case("a detector raises", {ERRORS.format("detector_failed"): "0+0x5 1+0x50"}, 7, ("VitalsdErrors/warning",)),
    Case("one did, an hour ago", {ERRORS.format("detector_failed"): "0+0x5 1+0x150"}, 70),
    Case("an error that has an alert of its own", {ERRORS.format("store_unavailable"): "0+0x5 1+0x50"}, 7),
    Case("a source fails", {SOURCE: flat(0)}, 16, ("VitalsdSourceFailing/warning",)),
    Case("a source fails now and then", {SOURCE: "0 0 1 " * 20}, 16),
    Case("nobody looks", {SAMPLED: flat(0), "vitalsd_effective_interval_seconds": flat(3)}, 8,
         ("VitalsdSamplesStale/warning",)),
    Case("an interval of a minute", {SAMPLED: flat(0), "vitalsd_effective_interval_seconds": flat(60)}, 8),
    Case("an interval of 30 s", {"vitalsd_effective_interval_seconds": flat(30)}, 25,
         ("VitalsdSamplesSlow/warning",)),
    Case("a host that was busy", {"vitalsd_effective_interval_seconds": "30 30 30 3 3 3 " * 10}, 25),
    Case("incidents are not stored", {"vitalsd_store_success": flat(0)}, 7, ("VitalsdNotStoring/warning",)),
    Case("history is not", {"vitalsd_store_success": flat(1), "vitalsd_history_success": flat(0)}, 7,
         ("VitalsdNotStoring/warning",)),
    Case("a disk was full", {"vitalsd_store_success": "0 0 0 1+0x50"}, 7),
    Case("incidents are lost", {"vitalsd_incidents_lost_total": "0+0x5 2+0x50"}, 7,
         ("VitalsdIncidentsLost/warning",)),
    Case("they were, before we looked", {"vitalsd_incidents_lost_total": "_x5 2+0x50"}, 7),
    Case("each capture fails", {FAILED: "0+0.2x60", TAKEN: flat(0)}, 20, ("VitalsdCapturesFail/warning",)),
    Case("some do", {FAILED: "0+0.2x60", TAKEN: "0+0.4x60"}, 20),
    Case("no upload works", {UPLOADS_FAILED: "0+0.5x90", UPLOADS: flat(0)}, 30, ("VitalsdUploadsFail/warning",)),
    Case("most uploads work", {UPLOADS_FAILED: "0+0.5x90", UPLOADS: "0+1x90"}, 30),
    Case("an Alertmanager is gone", peer(0.5, 0.5), 22, ("VitalsdNotificationsFail/warning",)),
    Case("it is away for a moment", peer(0.5, 0.1), 22),
    Case("nobody has anything to tell it", peer(0, 0), 22),
    Case("a collector is gone", otlp(0.5, 0.5, 150), 22, ("VitalsdOtlpFails/warning",)),
    Case("it refuses some", otlp(0.5, 0.1, 0), 22),
    Case("it was restarted", {**otlp(0.5, 0, 0), "vitalsd_otlp_request_failures_total": "0+0x9 1+0x60",
         "vitalsd_otlp_dropped_points_total": "0+0x9 300+0x60"}, 14),
    Case("it takes a part", otlp(0.5, 0, 3), 22, ("VitalsdOtlpDropsPoints/warning",)),
    Case("remedy has stopped", {f"vitalsd_remedy_stopped{{{SHOP}}}": flat(1)}, 7,
         ("VitalsdRemedyStopped/warning",)),
    Case("remedy goes on", {f"vitalsd_remedy_stopped{{{SHOP}}}": flat(0)}, 7),
    Case("a tenth of a core for one worker", {CPU: rising(3), **ONE}, 50, ("VitalsdCpuHigh/warning",)),
    Case("a twentieth for twenty", {CPU: rising(1.5), **TWENTY}, 50),
    Case("100 MiB for one worker", {RESIDENT: flat(100 << 20), **ONE}, 50, ("VitalsdMemoryOverBudget/warning",)),
    Case("75 MiB for twenty", {RESIDENT: flat(75 << 20), **TWENTY}, 50),
)  # fmt: skip

CASES = (*SERVICES, *AGENT)


def judged_cases() -> list[Case]:
    """Of each kind and severity: it is open for long enough, for a look less than that, and only of the agent."""
    cases = []
    for rule in judged_group().rules:
        assert isinstance(rule, Alert)
        kind = re.search(r'kind="(\w+)"', rule.expr)
        assert kind is not None
        labels = f'kind="{kind[1]}", severity="{rule.severity}"'
        looks = _seconds(rule.held) // STEP_SECONDS
        name = f'vitals_incidents_open{{{labels}, target="shop"}}'
        told = f"{rule.alert}/{rule.severity}"
        minutes = (10 + looks) * STEP_SECONDS / 60
        cases.append(Case(f"{kind[1]} is open", {name: f"0+0x9 1+0x{looks}"}, minutes, (told,)))
        if looks > BRIDGED_STEPS:
            brief = " ".join(["0+0x9", *["1"] * (looks - BRIDGED_STEPS), "0+0x60"])
            cases.append(Case(f"{kind[1]} was open", {name: brief}, minutes))
            assert brief.count(" 1") == looks - BRIDGED_STEPS
            gaps = " ".join(["0+0x9", *["1+0x9 stale"] * (2 + looks // 10)])
            cases.append(Case(f"{kind[1]} is open, and scrapes fail", {name: gaps}, minutes + 1, (told,)))
            often = f"{name.replace('incidents_open', 'incidents_total')}"
            cases.append(Case(f"{kind[1]} comes and goes", {often: "0+0.4x120"}, 50, (told,)))
        own = name.replace('"shop"', '"vitalsd"')
        cases.append(Case(f"{kind[1]} of the agent", {own: "0+0x9 1+0x9"}, 10 * STEP_SECONDS / 60))
    return cases


def _seconds(held: str) -> int:
    return int(held[:-1]) * {"s": 1, "m": 60, "h": 3600}[held[-1]]


def _selector(name: str) -> str:
    bare, _, labels = name.removesuffix("}").partition("{")
    given = {each.split("=")[0].strip() for each in labels.split(",") if each}
    more = [f'{label}="{value}"' for label, value in (("job", "vitalsd"), ("instance", "a")) if label not in given]
    return f"{bare}{{{', '.join([*([labels] if labels else []), *more])}}}"


def as_promtool(cases: list[Case], rules: str) -> dict[str, Any]:
    """A file for `promtool test rules`: each case with its series alone, beside an agent that is up."""
    return {
        "rule_files": [rules],
        "evaluation_interval": f"{STEP_SECONDS}s",
        "group_eval_order": list(GROUPS),
        "tests": [
            {
                "name": case.story,
                "interval": f"{STEP_SECONDS}s",
                "input_series": [
                    {"series": _selector(name), "values": values} for name, values in {**UP, **case.series}.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname, severity) (ALERTS{alertstate="firing"})',
                        "eval_time": f"{int(case.minutes * 60)}s",
                        "exp_samples": [
                            {"labels": "{{alertname={!r}, severity={!r}}}".format(*each.split("/")), "value": 1}
                            for each in case.firing
                        ],
                    }
                ],
            }
            for case in cases
        ],
    }
