"""
Alerts on what the agent has judged: one for each kind of incident and severity, by `vitals_incidents_open`.

The agent has weighed these already, so what is asked of time is short. Longer is asked of what one event opens and
the next look closes: an incident stays open for a minute after it was last found, so `5m` means that it recurs.
The agent's own incidents (target `vitalsd`) are one alert, of `agent`.
"""

from __future__ import annotations

from typing import NamedTuple

from vitalsd_exporters.rules.model import BRIDGED, TARGET, TARGET_ALONE, Alert, Group, Level, value
from vitalsd_exporters.runbooks import page_of

__all__ = ["NOT_ALERTED", "judged_group"]

NOT_ALERTED = {
    (
        "growth",
        "info",
    ): "memory that may or may not be a leak: proven, it is `leak`; in time, `exhaustion` says when",
    ("stall", "info"): "a capture that somebody has asked for holds the worker, for as long as was told",
    ("imbalance", "info"): "a worker that rests while the others are full costs capacity, and is nobody's page",
}
"""Kind and severity -> why no alert is made of it."""


TOLD_WITHIN = "5m"
"""An alert may fire, or go on, when what it is about is over: who was to blame is told all the same."""
RECURS_OFTEN, RECURS_WITHIN = 6, "30m"
"""Opened so often, it is no less than one that goes on, however short each is."""


class Kind(NamedTuple):
    """How an incident becomes an alert."""

    kind: str
    held: dict[Level, str]
    happens: str
    """Ends the summary: what the target has, or does."""
    keep: str = "5m"


KINDS = (
    Kind("stall", {"warning": "10m", "critical": "3m"}, "event loops are blocked again and again"),
    Kind("starvation", {"warning": "10m", "critical": "3m"}, "callbacks wait although the loop turns"),
    Kind("leak", {"warning": "5m", "critical": "1m"}, "memory is never given back"),
    Kind("fragmentation", {"warning": "15m"}, "memory grows while what lives in it does not"),
    Kind("exhaustion", {"warning": "15m", "critical": "1m"}, "memory is about to meet its limit"),
    Kind("fd_exhaustion", {"warning": "5m", "critical": "30s"}, "file descriptors are about to run out"),
    Kind("heap_exhaustion", {"warning": "5m", "critical": "30s"}, "V8's heap is about to meet its limit"),
    Kind("fd_leak", {"warning": "15m"}, "file descriptors are never given back"),
    Kind("thread_leak", {"warning": "15m"}, "threads never end"),
    Kind("task_leak", {"warning": "15m"}, "tasks are never done"),
    Kind("gc_pressure", {"warning": "10m", "critical": "5m"}, "garbage collection takes the workers' time"),
    Kind("error_surge", {"warning": "5m", "critical": "3m"}, "errors that nobody handles are above what is usual"),
    Kind("pool_saturation", {"warning": "10m", "critical": "3m"}, "a thread pool does not keep up"),
    Kind("worker_down", {"warning": "5m", "critical": "1m"}, "workers end out of order"),
    Kind("worker_hung", {"warning": "5m", "critical": "1m"}, "workers show no life"),
    Kind("crash_loop", {"critical": "0s"}, "workers are started and end, over and over", "15m"),
    Kind("oom_kill", {"warning": "0s", "critical": "0s"}, "the kernel has killed workers for memory", "15m"),
    Kind("zombie", {"warning": "15m"}, "ended children are not fetched by their parent"),
    Kind("imbalance", {"warning": "15m"}, "one worker has all the work"),
    Kind("capture_harmful", {"warning": "0s"}, "a capture has held the service, and its engine is stopped", "15m"),
)


def judged_group() -> Group:
    """In the order of docs/incidents.md."""
    return Group("vitalsd.incidents", tuple(_alert(kind, severity) for kind in KINDS for severity in kind.held))


def _alert(kind: Kind, severity: Level) -> Alert:
    chosen = f'kind="{kind.kind}", severity="{severity}", target!="vitalsd"'
    return Alert(
        alert="Vitalsd" + "".join(word.capitalize() for word in kind.kind.split("_")),
        severity=severity,
        expr=f"max_over_time(vitals_incidents_open{{{chosen}}}{BRIDGED}) > 0"
        f" or (increase(vitals_incidents_total{{{chosen}}}[{RECURS_WITHIN}]) > {RECURS_OFTEN - 0.5:g})",
        held=kind.held[severity],
        summary=f"{kind.happens[:1].upper()}{kind.happens[1:]}.",
        description=f"{TARGET}: `{kind.kind}`, {severity}, {value()} of them open, or opened in half an hour.",
        advice="`vitalsd incidents` beside the service names the worker and the cause, with the evidence.",
        runbook=page_of(kind.kind),
        keep=kind.keep,
        whose=TARGET_ALONE,
        more=_lead(kind.kind, severity),
    )


def _lead(kind: str, severity: Level) -> str:
    """Asks Prometheus for the one that was found most often, and says what is known of it."""
    of_it = f'job=%q, instance=%q, target=%q, kind=\\"{kind}\\", severity=\\"{severity}\\"'
    whose = "$labels.job $labels.instance $labels.target"
    asked = f'printf "last_over_time(vitals_incident_info{{{of_it}}}[{TOLD_WITHIN}])" {whose} | query'
    worker = "{{ with .Labels.worker }}worker {{ . }}{{ else }}all workers{{ end }}"
    cause = "{{ with .Labels.cause }}, `{{ . }}`{{ end }}"
    culprit = "{{ with .Labels.culprit }} in {{ . }}{{ end }}"
    told = f"{{{{ if or .Labels.cause .Labels.culprit }}}} Most often: {worker}{cause}{culprit}.{{{{ end }}}}"
    return f"{{{{ with {asked} }}}}{{{{ with first . }}}}{told}{{{{ end }}}}{{{{ end }}}}"
