"""Of vitalsd itself: how reading goes, what it costs, what it has told whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from vitalsd.model import SourceReading, StackRefusal
from vitalsd_exporters.prometheus.series.rows import Row, known_rows, row

if TYPE_CHECKING:
    from vitalsd_exporters.state import AgentVitals

__all__ = ["agent_rows", "source_rows"]


def source_rows(readings: tuple[SourceReading, ...]) -> Iterator[Row]:
    """How reading went, source by source."""
    for reading in readings:
        labels = {"target": reading.target, "source": reading.source}
        yield row("vitalsd_source_success", labels, reading.success)
        yield row("vitalsd_source_duration_seconds", labels, reading.duration_seconds)


def agent_rows(agent: AgentVitals, python_version: str) -> Iterator[Row]:
    """What vitalsd says of itself."""
    yield row("vitalsd_build_info", {"version": agent.version, "pythonversion": python_version}, 1)
    for target, at in agent.sampled_at.items():
        yield row("vitalsd_sample_timestamp_seconds", {"target": target}, at)
    yield row("vitalsd_config_last_reload_successful", {}, agent.reload_problem is None)
    yield row("vitalsd_config_last_reload_success_timestamp_seconds", {}, agent.reload_succeeded_at)
    yield row("vitalsd_cpu_seconds_total", {}, agent.cpu_seconds)
    yield row("vitalsd_resident_memory_bytes", {}, agent.resident_bytes)
    yield row("vitalsd_effective_interval_seconds", {}, agent.effective_interval_seconds)
    yield from known_rows({}, {"vitalsd_observer_interval_seconds": agent.observer_interval_seconds})
    yield row("vitalsd_store_success", {}, agent.store_problem is None)
    yield row("vitalsd_history_success", {}, agent.history_problem is None)
    yield row("vitalsd_incidents_lost_total", {}, agent.incidents_lost)
    yield row("vitalsd_incidents_displaced_total", {}, agent.incidents_displaced)
    yield row("vitalsd_stacks_total", {}, agent.stacks)
    for reason in get_args(StackRefusal):  # all from the beginning: `increase()` misses the first of a new series
        yield row("vitalsd_stacks_refused_total", {"reason": reason}, agent.stacks_refused.get(reason, 0))
    for event, count in agent.errors.items():
        yield row("vitalsd_errors_total", {"event": event}, count)
    for each in agent.notified:
        yield row("vitalsd_notifications_total", {"peer": each.peer}, each.sent)
        yield row("vitalsd_notification_failures_total", {"peer": each.peer}, each.failed)
    if agent.exported is not None:
        yield row("vitalsd_otlp_requests_total", {}, agent.exported.sent)
        yield row("vitalsd_otlp_request_failures_total", {}, agent.exported.failed)
        yield row("vitalsd_otlp_dropped_points_total", {}, agent.exported.dropped_points)
