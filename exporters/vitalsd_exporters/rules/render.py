"""The rules as the files that Prometheus, its operator and a reader take. Pure: thresholds in, text out."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from vitalsd_exporters.rules.catalogue import groups
from vitalsd_exporters.rules.model import Alert, Group, Recording
from vitalsd_exporters.rules.thresholds import Thresholds
from vitalsd_exporters.runbooks import runbook_url

__all__ = ["FILES", "pod_monitor", "prometheus_rule", "rule_file", "tables"]

HEAD = "# Written by `scripts/prometheus-rules`: change the rules or their thresholds there, not here.\n"
LABELS = {"app.kubernetes.io/name": "vitalsd", "app.kubernetes.io/component": "monitoring"}
OPERATOR = "monitoring.coreos.com/v1"


def rule_file(thresholds: Thresholds) -> str:
    """For `rule_files` of Prometheus, 2.42 and newer."""
    return HEAD + _yaml({"groups": _groups(thresholds)})


def prometheus_rule(thresholds: Thresholds) -> str:
    """For Prometheus's operator: add the labels that its `ruleSelector` asks for."""
    return HEAD + _yaml(
        {
            "apiVersion": OPERATOR,
            "kind": "PrometheusRule",
            "metadata": {"name": "vitalsd", "labels": LABELS},
            "spec": {"groups": _groups(thresholds)},
        }
    )


def pod_monitor(_thresholds: Thresholds) -> str:
    """
    Every pod with the label `vitalsd` (`sidecar` or `node`) and a container port of the name `vitalsd-metrics`.

    Labels of service discovery stand: those of `vitals_container_info` of a node's agent, which are of other pods,
    become `exported_pod` and the like. Its job is `NAMESPACE/vitalsd`.
    """
    return HEAD + _yaml(
        {
            "apiVersion": OPERATOR,
            "kind": "PodMonitor",
            "metadata": {"name": "vitalsd", "labels": LABELS},
            "spec": {
                "namespaceSelector": {"any": True},
                "selector": {
                    "matchExpressions": [{"key": "vitalsd", "operator": "In", "values": ["sidecar", "node"]}]
                },
                "podMetricsEndpoints": [
                    {
                        "port": "vitalsd-metrics",
                        "path": "/metrics",
                        "interval": "15s",
                        "scrapeTimeout": "10s",
                        "honorLabels": False,
                    }
                ],
            },
        }
    )


FILES = {
    "prometheus/vitalsd.rules.yaml": rule_file,
    "kubernetes/prometheusrule.yaml": prometheus_rule,
    "kubernetes/podmonitor.yaml": pod_monitor,
}
"""Path below the folder of deployment -> what is written there."""


def tables(thresholds: Thresholds) -> dict[str, str]:
    """Name -> table in Markdown, of docs/alerts.md."""
    made = {group.name: group for group in groups(thresholds)}
    recordings = made.pop("vitalsd.recording")
    return {
        **{name: _alert_table(group) for name, group in made.items()},
        recordings.name: _recording_table(recordings),
        "thresholds": _threshold_table(),
    }


def _groups(thresholds: Thresholds) -> list[dict[str, Any]]:
    return [
        {"name": group.name, "rules": [_rule(rule, thresholds) for rule in group.rules]}
        for group in groups(thresholds)
    ]


def _rule(rule: Recording | Alert, thresholds: Thresholds) -> dict[str, Any]:
    if isinstance(rule, Recording):
        return {"record": rule.record, "expr": rule.expr}
    return {
        "alert": rule.alert,
        "expr": rule.expr,
        "for": rule.held,
        "keep_firing_for": rule.keep,
        "labels": {"severity": rule.severity},
        "annotations": {
            "summary": rule.title,
            "description": f"{rule.description} {rule.advice}",
            "runbook_url": runbook_url(thresholds.runbooks, rule.runbook),
        },
    }


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=1000, allow_unicode=True)


def _alert_table(group: Group) -> str:
    head = "| alert | severity | fires when | for | what to do |\n|---|---|---|---|---|"
    rows = [
        f"| `{rule.alert}` | {rule.severity} | {rule.summary} `{_cell(rule.expr)}` | {rule.held} "
        f"| {_cell(rule.advice)} |"
        for rule in group.rules
        if isinstance(rule, Alert)
    ]
    return "\n".join([head, *rows])


def _recording_table(group: Group) -> str:
    rows = [
        f"| `{rule.record}` | {rule.meaning} | `{_cell(rule.expr)}` |"
        for rule in group.rules
        if isinstance(rule, Recording)
    ]
    return "\n".join(["| record | meaning | of |\n|---|---|---|", *rows])


def _threshold_table() -> str:
    described = msgspec.json.schema(Thresholds)["$defs"]["Thresholds"]["properties"]
    rows = [
        f"| `{name}` | `{_cell(msgspec.json.encode(each['default']).decode())}` | {each['description']} |"
        for name, each in described.items()
    ]
    return "\n".join(["| key | default | meaning |\n|---|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
