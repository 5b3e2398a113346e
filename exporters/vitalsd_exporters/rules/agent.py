"""Alerts on vitalsd itself: whether it is there, sees, stores, and stays within its budget."""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd_exporters.rules.model import BRIDGED, INSTANCE, TARGET, Alert, Group, value
from vitalsd_exporters.rules.thresholds import Thresholds

__all__ = ["agent_group"]

MEBI = 1 << 20
TOLD_ELSEWHERE = "config_reload_failed|history_lost|store_unavailable"
"""Errors for which there is an alert of their own."""


def agent_group(t: Thresholds) -> Group:
    """Those of presence, of sight, of what it writes and tells, of what it costs."""
    alerts = (*_presence(t), *_sight(t), *_stored(), *_captures(t), *_pushed(), *_costs(t))
    absent = "VitalsdAgentsAbsent"  # of nobody
    return Group(
        "vitalsd.agent",
        tuple(alert if alert.alert == absent else replace(alert, whose=INSTANCE) for alert in alerts),
    )


def _presence(t: Thresholds) -> tuple[Alert, ...]:
    return (
        Alert(
            "VitalsdAgentDown", "warning", f'up{{job=~"{t.job}"}} == 0', "5m",
            "Prometheus cannot scrape an agent.",
            f"The agent on {INSTANCE} has not answered for five minutes: nobody watches its services. One that "
            "`vitalsd run` has started ends with its service.",
            "Look whether the service runs, and at the agent's log; `vitalsd watch` takes the place of an agent.",
        ),
        Alert(
            "VitalsdAgentsAbsent", "critical", f'absent(up{{job=~"{t.job}"}})', "15m",
            "Prometheus knows of no agent at all.",
            "Not one vitalsd has been scraped for a quarter of an hour: no alert on services can fire.",
            "Look at the scrape configuration or the PodMonitor, and whether `job` of the thresholds fits it.",
        ),
        Alert(
            "VitalsdAgentTroubled", "warning",
            "sum without (kind, severity) "
            f'(max_over_time(vitals_incidents_open{{target="vitalsd", severity!="info"}}{BRIDGED})) > 0', "15m",
            "An agent has incidents of its own.",
            f"The agent on {INSTANCE} has {value()} open incidents about itself.",
            "`vitalsd incidents` tells them like those of a service.",
            "docs/incidents.md#kinds",
        ),
        Alert(
            "VitalsdConfigReloadFailed", "warning",
            f"max_over_time(vitalsd_config_last_reload_successful{BRIDGED}) == 0", "5m",
            "An agent has refused its new configuration and goes on with the old one.",
            f"The agent on {INSTANCE} could not take over its configuration.",
            "`vitalsd config check` says what is wrong with it.",
            "docs/configuration.md#reload",
        ),
        Alert(
            "VitalsdErrors", "warning",
            f'increase(vitalsd_errors_total{{event!~"{TOLD_ELSEWHERE}"}}[15m]) > 0', "0s",
            "Something inside an agent has failed.",
            f"The agent on {INSTANCE} has logged `{{{{ $labels.event }}}}` about {value()} times in 15 minutes.",
            "docs/log.md says what that means; its line in the agent's log has the traceback: please tell us.",
            "docs/log.md", "15m",
        ),
    )  # fmt: skip


def _sight(t: Thresholds) -> tuple[Alert, ...]:
    interval = f"last_over_time(vitalsd_effective_interval_seconds{BRIDGED})"
    at_most = f"clamp_min(10 * {interval}, {t.stale_seconds:g})"
    return (
        Alert(
            "VitalsdSourceFailing", "warning", "max_over_time(vitalsd_source_success[5m]) == 0", "10m",
            "A way of reading workers fails each time for at least one of them.",
            f"Source `{{{{ $labels.source }}}}` of {TARGET} has not once worked for all workers in 15 minutes.",
            "`vitalsd status` and the agent's log (`source_failed`) say why; `vitalsd doctor` what would help.",
            "docs/permissions.md#what-each-way-in-needs",
        ),
        Alert(
            "VitalsdSamplesStale", "warning",
            f"time() - last_over_time(vitalsd_sample_timestamp_seconds{BRIDGED}) "
            f"> ignoring (target) group_left () {at_most}", "5m",
            "An agent answers, but does not look at its services any more.",
            f"{TARGET} was last looked at {value('humanizeDuration')} ago.",
            "Restart the agent; the service does not notice. Keep its log.",
        ),
        Alert(
            "VitalsdSamplesSlow", "warning",
            f"min_over_time(vitalsd_effective_interval_seconds[10m]) > {t.interval_seconds:g}", "10m",
            "An agent does not keep up with its interval.",
            f"The agent on {INSTANCE} looks at its workers every {value('humanizeDuration')} only.",
            "Have fewer targets for one agent, or raise `sampling.interval` and the threshold.",
            "docs/configuration.md#sampling",
        ),
    )  # fmt: skip


def _stored() -> tuple[Alert, ...]:
    return (
        Alert(
            "VitalsdNotStoring", "warning",
            f"max_over_time(vitalsd_store_success{BRIDGED}) == 0 "
            f"or max_over_time(vitalsd_history_success{BRIDGED}) == 0", "5m",
            "An agent cannot store what it has found.",
            f"The agent on {INSTANCE} keeps incidents or history in memory alone: a restart would lose them.",
            "Its log says why; mostly `storage.dir` is full or not its own.",
            "docs/configuration.md#storage",
        ),
        Alert(
            "VitalsdIncidentsLost", "warning", "increase(vitalsd_incidents_lost_total[1h]) > 0", "0s",
            "Incidents were lost since they could not be stored.",
            f"The agent on {INSTANCE} has lost about {value()} incidents within an hour.",
            "Its log says why; mostly `storage.dir` is full or slow.",
            "docs/configuration.md#storage", "15m",
        ),
    )  # fmt: skip


def _captures(t: Thresholds) -> tuple[Alert, ...]:
    failed = "sum without (kind) (increase(vitalsd_capture_failures_total[1h]))"
    taken = "sum without (kind) (increase(vitalsd_captures_total[1h]))"
    return (
        Alert(
            "VitalsdCapturesFail", "warning",
            f"{failed} > {t.capture_failures - 0.5:g} and {failed} > {taken}", "0s",
            "Captures of a service fail more often than not.",
            f"{TARGET}: {value()} captures came to nothing within an hour.",
            "`vitalsd captures` says why; `vitalsd doctor --pid P` what would help.",
            "docs/permissions.md#who-may-attach", "15m",
        ),
        Alert(
            "VitalsdUploadsFail", "warning",
            "increase(vitalsd_capture_upload_failures_total[1h]) > 1.5 "
            "and increase(vitalsd_capture_uploads_total[1h]) < 0.5",
            "10m", "Captures do not reach where they should be copied to.",
            f"The agent on {INSTANCE} has failed {value()} times within an hour to copy captures, and never did.",
            "`upload_problem` of the capture (`vitalsd captures ID --json`) says what is in the way.",
            "docs/configuration.md#capture", "15m",
        ),
        Alert(
            "VitalsdRemedyStopped", "warning", f"max_over_time(vitalsd_remedy_stopped{BRIDGED}) == 1", "5m",
            "Recycling workers did not help, and was stopped.",
            f"{TARGET}: its workers are not recycled any more, since that did not help.",
            "The incident says what was tried; the leak or hang needs somebody.",
            "docs/incidents.md#remedy",
        ),
    )  # fmt: skip


def _pushed() -> tuple[Alert, ...]:
    """Those that Prometheus alone can tell, since what is in the way of one way out is told by another."""
    sent, failed = "vitalsd_notifications_total", "vitalsd_notification_failures_total"
    tried, refused = "vitalsd_otlp_requests_total", "vitalsd_otlp_request_failures_total"
    return (
        Alert(
            "VitalsdNotificationsFail", "warning",
            _in_vain(sent, failed), "5m",
            "An Alertmanager takes nothing from an agent.",
            f"The agent on {INSTANCE} has tried {value()} times within an hour to tell "
            "{{ $labels.peer }} of its incidents, and lately never did.",
            "Its log says why (`notification_failed`); alerts that Prometheus sends are not affected.",
            "docs/configuration.md#exportersalertmanager", "15m",
        ),
        Alert(
            "VitalsdOtlpFails", "warning",
            _in_vain(tried, refused), "5m",
            "A collector takes no metrics from an agent.",
            f"The agent on {INSTANCE} has pushed metrics {value()} times within an hour, lately all in vain.",
            "Its log says why (`metrics_not_taken`); what Prometheus scrapes is not affected.",
            "docs/otlp.md", "15m",
        ),
        Alert(
            "VitalsdOtlpDropsPoints", "warning",
            f"increase(vitalsd_otlp_dropped_points_total[15m]) > 0 unless increase({refused}[15m]) > 0", "10m",
            "A collector takes only a part of what an agent pushes.",
            f"The agent on {INSTANCE} has lost about {value()} data points within 15 minutes.",
            "Its log quotes the collector (`metrics_not_taken`).",
            "docs/otlp.md", "15m",
        ),
    )  # fmt: skip


def _in_vain(tried: str, failed: str) -> str:
    """Failed at least twice within an hour, which is the longest interval, and never succeeded of late."""
    return f"increase({failed}[1h]) > 1.5 unless increase({tried}[15m]) > increase({failed}[15m]) + 0.5"


def _costs(t: Thresholds) -> tuple[Alert, ...]:
    workers = "count by (job, instance) (vitals_worker_up)"
    mebibytes = f"{t.agent_mebibytes:g} + {t.agent_mebibytes_per_worker:g} * {workers}"
    return (
        Alert(
            "VitalsdCpuHigh", "warning",
            "rate(vitalsd_cpu_seconds_total[15m]) > on (job, instance) group_left () "
            f"({t.agent_cores:g} + {t.agent_cores_per_worker:g} * {workers})", "30m",
            "An agent takes more of a processor than it should.",
            f"The agent on {INSTANCE} takes {value('humanizePercentage')} of a core.",
            "Raise `sampling.interval`; with `vitalsd status` at hand, tell us.",
            "docs/configuration.md#sampling",
        ),
        Alert(
            "VitalsdMemoryOverBudget", "warning",
            "min_over_time(vitalsd_resident_memory_bytes[15m]) > on (job, instance) group_left () "
            f"({MEBI} * ({mebibytes}))", "30m",
            "An agent takes more memory than it should.",
            f"The agent on {INSTANCE} takes {value('humanize1024')}B.",
            "Restart it, which its services do not notice, and tell us.",
        ),
    )  # fmt: skip
