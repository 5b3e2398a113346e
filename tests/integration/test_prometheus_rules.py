"""
A real Prometheus evaluates our rules over a real agent, whose service blocks for 0.8 s in every 3.7 s.

Uses app_blocks.py of tests/targets. Where alerts have to be held for minutes, `pending` is as far as a test waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bench.harness import free_ports
from support.agent import Agent, running
from support.probed import TARGETS
from support.prometheus import RULES, Prometheus, scraping
from support.waiting import wait_for

from vitalsd_exporters.rules.model import Recording
from vitalsd_exporters.rules.recording import recording_group

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = [rule.record for rule in recording_group().rules if isinstance(rule, Recording)]
LATE = {"VitalsdStall", "VitalsdStallTime", "VitalsdDelayHigh"}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that evaluates the rules each second, of a service that blocks."""
    agent = Agent(tmp_path_factory.mktemp("agent"), {"BLOCK_SECONDS": "0.8", "EVERY_SECONDS": "3.7"})
    port = str(free_ports(1)[0])
    command = ["uvicorn", "--app-dir", str(TARGETS), "--log-level", "warning", "--port", port, "app_blocks:app"]
    folder = tmp_path_factory.mktemp("prometheus") / "server"
    with running(agent, command, "--name", "shop"), scraping(agent.metrics_port, folder, RULES) as server:
        yield server


def _told(prometheus: Prometheus) -> set[str]:
    return {labels["alertname"] for labels, _ in prometheus.ask('ALERTS{target="shop"}')}


def test_a_service_that_stalls_is_told_by_incident_and_by_threshold(prometheus: Prometheus) -> None:
    """All three become pending, and with them nothing that is not true of the service or of the agent."""
    wait_for("the alerts to be pending", lambda: _told(prometheus) >= LATE, 120)

    assert _told(prometheus) - LATE <= {"VitalsdWorkerDelayHigh"}


def test_every_recording_returns_data(prometheus: Prometheus) -> None:
    """Of the service, except where the machine knows no limit of its memory."""
    told = [name for name in RECORDED if name != "worker:vitals_memory_limit:ratio"]
    assert len(told) > 10

    for name in told:
        wait_for(name, lambda name=name: bool(prometheus.ask(f'{{__name__="{name}", target="shop"}}')), 60)
    limited = bool(prometheus.ask('vitals_memory_limit_bytes{target="shop"}'))
    assert bool(prometheus.ask('{__name__="worker:vitals_memory_limit:ratio", target="shop"}')) == limited


def test_every_rule_is_evaluated(prometheus: Prometheus) -> None:
    """None meets series that it cannot match, or labels that are there twice."""
    wait_for("each to be evaluated", lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), 60)

    rules = prometheus.rules()
    assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
    assert len(rules) > 60
    assert [
        str(alert["annotations"]) for rule in rules for alert in rule.get("alerts", []) if "<error" in str(alert)
    ] == []
