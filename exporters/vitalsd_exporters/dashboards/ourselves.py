"""vitalsd itself: what it costs, whether it sees, stores and is heard."""

from __future__ import annotations

from vitalsd_exporters.dashboards.links import AGENT, labels
from vitalsd_exporters.dashboards.model import Panel, Query, Row, Step
from vitalsd_exporters.dashboards.scope import Scope

__all__ = ["agents_row"]


def agents_row(s: Scope) -> Row:
    """Over all agents that are looked at; where each has a line, only the ten that are worst."""
    return Row("vitalsd itself", (*_costs(s), *_sight(s), *_work(s)))


def _costs(s: Scope) -> tuple[Panel, ...]:
    link = labels(AGENT)
    return (
        Panel(
            "Agents, by version", "Agents that Prometheus can scrape.", "short",
            (Query(f"count by (version) ({s.of('vitalsd_build_info')})", "{{version}}"),), width=6,
        ),
        Panel(
            "Processor time of agents",
            "Cores that the most expensive take; 0.005 with ten workers is the budget.",
            "percentunit",
            (Query(f"topk(10, max by (instance) ({s.rate('vitalsd_cpu_seconds_total')}))", "{{instance}}"),),
            width=6,
            links=link,
        ),
        Panel(
            "Memory of agents", "Resident memory of the largest; 40 MiB with ten workers is the budget.", "bytes",
            (Query(f"topk(10, max by (instance) ({s.of('vitalsd_resident_memory_bytes')}))", "{{instance}}"),),
            width=6, links=link,
        ),
        Panel(
            "Probes, processor time", "Cores that the probe costs a worker, the ten where it costs most.",
            "percentunit",
            (Query(
                f"topk(10, max by (target, instance) ({s.rate('vitalsd_probe_cpu_seconds_total')}))",
                "{{target}} {{instance}}",
            ),),
            width=6, links=link,
        ),
    )  # fmt: skip


def _sight(s: Scope) -> tuple[Panel, ...]:
    link = labels(AGENT)
    kept, looked = "vitalsd_effective_interval_seconds", "vitalsd_observer_interval_seconds"
    return (
        Panel(
            "Age of samples",
            "How long ago a target was last sampled, where it is longest. Beyond a minute nobody looks any more.",
            "s",
            (Query(
                f"topk(10, max by (target, instance) (time() - {s.of('vitalsd_sample_timestamp_seconds')}))",
                "{{target}} {{instance}}",
            ),),
            width=6, steps=(Step(0, "green"), Step(60, "red")), links=link,
        ),
        Panel(
            "Intervals",
            "Between samples, and between two looks at a loop from outside: the longest that an agent keeps. "
            "An agent that does not keep up, or would cost too much, looks less often.",
            "s", (Query(f"max({s.of(kept)})", "samples"), Query(f"max({s.of(looked)})", "looks")), width=6,
        ),
        Panel(
            "Sources that fail",
            "Targets of which the latest reading failed, by the way of reading; `vitalsd status` says why.",
            "short",
            (Query(f"sum by (source) (1 - {s.of('vitalsd_source_success')})", "{{source}}"),), width=6,
            steps=(Step(0, "green"), Step(1, "orange")),
        ),
        Panel(
            "Duration of sources", "Of the latest reading of a target, the slowest.", "s",
            (Query(f"max by (source) ({s.of('vitalsd_source_duration_seconds')})", "{{source}}"),), width=6,
        ),
    )  # fmt: skip


def _work(s: Scope) -> tuple[Panel, ...]:
    reload, config = "vitalsd_config_last_reload_successful", "configuration refused"
    refused = s.increase("vitalsd_stacks_refused_total")
    return (
        Panel(
            "In trouble",
            "Agents that cannot store incidents or history, or that have refused their latest configuration, and "
            "errors that agents have logged, by event.",
            "short",
            (
                Query(f"sum(1 - {s.of('vitalsd_store_success')})", "incidents not stored"),
                Query(f"sum(1 - {s.of('vitalsd_history_success')})", "history not stored"),
                Query(f"sum(1 - {s.of(reload)})", config),
                Query(f"sum by (event) ({s.increase('vitalsd_errors_total')}) > 0", "error: {{event}}"),
            ),
            width=6, steps=(Step(0, "green"), Step(1, "orange")),
        ),
        Panel(
            "Incidents lost", "Never stored, or resolved since a target had more than 200: both should not be.",
            "short",
            (
                Query(f"sum({s.increase('vitalsd_incidents_lost_total')})", "lost"),
                Query(f"sum({s.increase('vitalsd_incidents_displaced_total')})", "displaced"),
            ),
            width=6,
        ),
        Panel(
            "Stacks of stalls", "Taken from outside, and by reason those that were not.", "short",
            (
                Query(f"sum({s.increase('vitalsd_stacks_total')})", "taken"),
                Query(f"sum by (reason) ({refused}) > 0", "not taken: {{reason}}"),
            ),
            "bars", 6,
        ),
        Panel(
            "Ways out",
            "Messages to Alertmanagers and to a collector of OTLP, copies of captures to object storage, and "
            "those of them that failed.",
            "short",
            (
                Query(f"sum({s.increase('vitalsd_notifications_total')})", "messages"),
                Query(f"sum({s.increase('vitalsd_notification_failures_total')})", "messages that failed"),
                Query(f"sum({s.increase('vitalsd_otlp_requests_total')})", "OTLP"),
                Query(f"sum({s.increase('vitalsd_otlp_request_failures_total')})", "OTLP that failed"),
                Query(f"sum({s.increase('vitalsd_otlp_dropped_points_total')})", "points that nobody took"),
                Query(f"sum({s.increase('vitalsd_capture_uploads_total')})", "copies"),
                Query(f"sum({s.increase('vitalsd_capture_upload_failures_total')})", "copies that failed"),
            ),
            "bars", 6,
        ),
    )  # fmt: skip
