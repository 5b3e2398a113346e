"""What was found of a service, and what was captured of it."""

from __future__ import annotations

from vitalsd_exporters.dashboards.links import AGENT, HEALTH, RUNBOOK, TO_SERVICE, fields, labels
from vitalsd_exporters.dashboards.model import Column, Panel, Query, Row
from vitalsd_exporters.dashboards.scope import Scope

__all__ = ["found_row", "incident_panels"]


def incident_panels(s: Scope) -> tuple[Panel, ...]:
    """Those that are open, as a table that leads on, and those that were opened."""
    sort = "target, instance, kind, severity"
    lead = f"topk by ({sort}) (1, {s.of('vitals_incident_info')})"
    still_open = f"sum by ({sort}) ({s.of('vitals_incidents_open')}) > 0"
    return (
        Panel(
            "Open incidents",
            "What vitalsd has found and goes on finding; worker, cause and culprit are those of the one "
            "that was found most often. The kind leads to its runbook, the target to its health, the instance "
            "to the agent; `vitalsd incidents` beside the service has stacks and captures.",
            "short",
            (
                Query(
                    f"({still_open}) * on ({sort}) group_left (worker, cause, culprit) {lead} "
                    f"or on ({sort}) ({still_open})",
                    "{{kind}}",
                ),
            ),
            "table", 16, 8,
            columns=(
                Column("target", "target", links=fields(TO_SERVICE, HEALTH)),
                Column("instance", "instance", links=fields(AGENT)),
                Column("kind", "kind", links=fields(RUNBOOK)),
                Column("severity", "severity"),
                Column("A", "open"),
                Column("worker", "worker"),
                Column("cause", "cause"),
                Column("culprit", "culprit"),
            ),
            empty="none",
        ),
        Panel(
            "Incidents opened", "How often one was opened, reopened or became worse, by kind.", "short",
            (Query(f"sum by (kind) ({s.increase('vitals_incidents_total')}) > 0", "{{kind}}"),), "bars", 8, 8,
            links=labels(RUNBOOK), empty="none",
        ),
    )  # fmt: skip


def found_row(s: Scope) -> Row:
    """Incidents, and the evidence of them."""
    taken, failed, refused = (
        f"vitalsd_{what}_total" for what in ("captures", "capture_failures", "captures_refused")
    )
    return Row(
        "What was found, and what was captured?",
        (
            *incident_panels(s),
            Panel(
                "Captures", "Taken and failed, by kind; `vitalsd captures` lists them with their files.", "short",
                (
                    Query(f"sum by (kind) ({s.increase(taken)})", "{{kind}}"),
                    Query(f"sum by (kind) ({s.increase(failed)})", "{{kind}} failed"),
                ),
                "bars", 6,
            ),
            Panel(
                "Captures refused", "By reason: to have done no harm is mostly one.", "short",
                (Query(f"sum by (reason) ({s.increase(refused)}) > 0", "{{reason}}"),), "bars", 6, empty="none",
            ),
            Panel(
                "Pause by captures", "Longest time at a stretch for which the latest of a kind held the service.",
                "s",
                (Query(f"max by (kind) ({s.of('vitalsd_capture_pause_seconds')})", "{{kind}}"),), width=6,
            ),
            Panel(
                "Workers recycled", "By what came of it; a 1 of `stopped` is the breaker. Needs `remedy.mode`.",
                "short",
                (
                    Query(f"sum by (outcome) ({s.increase('vitalsd_remedies_total')})", "{{outcome}}"),
                    Query(f"max({s.of('vitalsd_remedy_stopped')})", "stopped"),
                ),
                "bars", 6, empty="remedy is off",
            ),
        ),
    )  # fmt: skip
