"""All services at once: which of them needs somebody, and whether the agents that say so are well themselves."""

from __future__ import annotations

from vitalsd_exporters.dashboards.found import incident_panels
from vitalsd_exporters.dashboards.links import TO_SERVICE, fields, labels
from vitalsd_exporters.dashboards.model import Column, Dashboard, Panel, Query, Row, Step
from vitalsd_exporters.dashboards.ourselves import agents_row
from vitalsd_exporters.dashboards.scope import Scope
from vitalsd_exporters.dashboards.shared import BUSY, FULL, LATE
from vitalsd_exporters.dashboards.variables import JOB, TARGETS

__all__ = ["FLEET"]

S = Scope(("job", "target"), services_only=True)
DELAY = "vitals_eventloop_delay_seconds"
NONE_BUT_GREEN = Step(0, "green")
ANY_IS_RED = (NONE_BUT_GREEN, Step(1, "red"))
ANY_IS_ORANGE = (NONE_BUT_GREEN, Step(1, "orange"))


def _now() -> Row:
    critical, warning = (S.of("vitals_incidents_open", f'severity="{each}"') for each in ("critical", "warning"))
    return Row(
        "What needs somebody now",
        (
            Panel(
                "Targets down", "Targets of which no worker runs.", "short",
                (Query(f"sum(1 - {S.of('vitals_target_up')})", "down"),), "stat", 4, 4, ANY_IS_RED,
            ),
            Panel(
                "Workers down", "Slots that no process fills; after a minute a pool counts as having shrunk.",
                "short",
                (Query(f"sum(1 - {S.of('vitals_worker_up')})", "down"),), "stat", 4, 4, ANY_IS_ORANGE,
            ),
            Panel(
                "Critical incidents", "Open now, of all kinds; the table below has them.", "short",
                (Query(f"sum({critical})", "open"),), "stat", 4, 4, ANY_IS_RED,
            ),
            Panel(
                "Warnings", "Incidents of severity warning that are open now.", "short",
                (Query(f"sum({warning})", "open"),), "stat", 4, 4, ANY_IS_ORANGE,
            ),
            Panel(
                "Worst delay",
                "99th percentile of the delay of the target that is worst, over five minutes and all agents: "
                "what one callback of a hundred waits.",
                "s", (Query(f"max({S.of(f'fleet:{DELAY}:p99_5m')})", "p99"),), "stat", 4, 4, LATE,
            ),
            Panel(
                "Next memory limit",
                "Time until the first worker meets its memory limit at its present pace, if within 30 days.",
                "s", (Query(f"min({S.of('vitals_memory_exhaustion_timestamp_seconds')}) - time()", "left"),),
                "stat", 4, 4, (Step(0, "red"), Step(14400, "orange"), Step(86400, "green")), empty="not in sight",
            ),
        ),
    )  # fmt: skip


def _targets() -> Row:
    serious = S.of("vitals_incidents_open", 'severity=~"warning|critical"')
    asked = (
        f"sum by (target) ({S.of('vitals_worker_up')})",
        f"max by (target) ({S.of(f'fleet:{DELAY}:p99_5m')})",
        f"avg by (target) ({S.of('worker:vitals_eventloop_busy:ratio_rate5m')})",
        f"sum by (target) (avg by (target, cause) ({S.of('target:vitals_eventloop_stall_seconds:avg_rate5m')}))",
        f"max by (target) ({S.of('worker:vitals_memory_limit:ratio')})",
        f"sum by (target) ({S.in_all('vitals_worker_restarts_total')})",
        f"sum by (target) ({serious})",
    )
    table = Panel(
        "Targets",
        "One row for each: workers up, delay (p99 of five minutes), busy share, share of time lost to stalls, "
        "memory of the fullest worker, workers replaced in the time shown, incidents open. A click leads to "
        "the service.",
        "short", tuple(Query(expr, "{{target}}") for expr in asked), "table", 24, 8,
        columns=(
            Column("target", "target", links=fields(TO_SERVICE)),
            Column("A", "workers up"),
            Column("B", "delay p99", "s", steps=LATE),
            Column("C", "busy", "percentunit", steps=BUSY),
            Column("D", "lost to stalls", "percentunit", steps=(NONE_BUT_GREEN, Step(0.05, "orange"))),
            Column("E", "memory of limit", "percentunit", steps=FULL),
            Column("F", "replaced"),
            Column("G", "incidents", steps=ANY_IS_ORANGE),
        ),
    )  # fmt: skip
    return Row("Targets", (table, *_lines()))


def _lines() -> tuple[Panel, ...]:
    by_service = labels(TO_SERVICE)
    busy = S.of("worker:vitals_eventloop_busy:ratio_rate5m")
    stalled = f"avg by (target, cause) ({S.of('target:vitals_eventloop_stall_seconds:avg_rate5m')})"
    return (
        Panel(
            "Delay, 99th percentile",
            "What one callback of a hundred waits, by target, over all of its agents. The ten that are worst.",
            "s", (Query(f"topk(10, max by (target) ({S.of(f'fleet:{DELAY}:p99_5m')}))", "{{target}}"),),
            steps=LATE, links=by_service,
        ),
        Panel(
            "Time later than 100 ms",
            "Share of the time in which a callback would have waited for more than 100 ms: an objective is "
            "made of this.",
            "percentunit",
            (Query(f"topk(10, avg by (target) ({S.of(f'target:{DELAY}:slow_ratio5m')}))", "{{target}}"),),
            links=by_service,
        ),
        Panel(
            "Lost to stalls",
            "Share of its time that a worker of the target loses to stalls, over all causes; the service has "
            "them.",
            "percentunit", (Query(f"topk(10, sum by (target) ({stalled}))", "{{target}}"),), links=by_service,
        ),
        Panel(
            "Busy share",
            "How busy the loops of the busiest worker are: beyond 0.9 whatever arrives queues.",
            "percentunit",
            (Query(f"topk(10, max by (target) ({busy}))", "{{target}}"),),
            steps=BUSY, links=by_service,
        ),
        Panel(
            "Memory of its limit",
            "Of the fullest worker of each target: memory of its own, of the least limit that holds for it.",
            "percentunit",
            (Query(f"topk(10, max by (target) ({S.of('worker:vitals_memory_limit:ratio')}))", "{{target}}"),),
            steps=FULL, links=by_service, empty="no limit is known",
        ),
        Panel(
            "Time until the memory limit",
            "At the pace of the last six hours; a target that does not meet its limit within 30 days has no line.",
            "s",
            (Query(
                f"bottomk(10, min by (target) ({S.of('vitals_memory_exhaustion_timestamp_seconds')}) - time())",
                "{{target}}",
            ),),
            links=by_service, empty="not in sight",
        ),
    )  # fmt: skip


def _workers() -> Row:
    return Row(
        "Workers",
        (
            Panel(
                "Workers up", "Processes that fill a slot, by target.", "short",
                (Query(f"sum by (target) ({S.of('vitals_worker_up')})", "{{target}}"),), width=12,
                links=labels(TO_SERVICE),
            ),
            Panel(
                "Workers replaced, by reason",
                "Why the process before had ended: `graceful` and `recycled` are in order; `error`, `signal`, "
                "`oom_kill` and `timeout` are not.",
                "short",
                (Query(f"sum by (reason) ({S.increase('vitals_worker_restarts_total')}) > 0", "{{reason}}"),),
                "bars", 12, empty="none",
            ),
        ),
    )  # fmt: skip


FLEET = Dashboard(
    "vitalsd-fleet",
    "vitalsd / Fleet",
    "Every service that vitalsd watches: which one needs somebody, and how the agents are.",
    (JOB, TARGETS),
    (_now(), _targets(), _workers(), Row("Incidents", incident_panels(S)), agents_row(S)),
)
