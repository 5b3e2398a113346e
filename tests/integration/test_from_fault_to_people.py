"""
From a fault of the demo's service to what people read, by the agent's own way to Alertmanager and by Prometheus's.

Both are real, with the rules as they are shipped but for how long an alert is held, and both are away for longer
than any alert lasts without being told again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import Agent, free_ports, running
from support.alertmanager import Alertmanager, Pretender
from support.prometheus import scraping, shipped_rules
from support.showing import fault, two_in_a_row
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

TELLING = """\
route: {{receiver: people, group_by: ['...'], group_wait: 50ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: people
  webhook_configs: [{{url: '{url}', send_resolved: true}}]
"""
AWAY_SECONDS = 15.0
"""The agent tells every two seconds what lasts for eight, Prometheus every second what lasts for four."""
BLAMED = "parse_whole_catalogue"

pytestmark = pytest.mark.slow


def heard(receiver: Pretender, own: bool) -> list[tuple[str, str]]:
    """What people were told of the stall, by one of the two ways: the state, and all that was written."""
    bodies: list[Any] = list(receiver.bodies)
    stall = {"alertname": "VitalsdStall", "target": "shop", "severity": "critical"}
    return [
        (body["status"], json.dumps(body["commonAnnotations"]))
        for body in bodies
        if body["commonLabels"].items() >= stall.items() and ("job" not in body["commonLabels"]) == own
    ]


def states(receiver: Pretender) -> tuple[list[str], list[str]]:
    """The agent's way, and Prometheus's."""
    own, other = heard(receiver, own=True), heard(receiver, own=False)
    return [state for state, _ in own], [state for state, _ in other]


def test_people_read_who_is_to_blame_once_and_that_it_is_over(tmp_path: Path) -> None:
    """By both ways, whatever Prometheus and Alertmanager do meanwhile; the agent's memory stays what it was."""
    port, first = free_ports(1)[0], two_in_a_row()
    peers = json.dumps([{"url": f"http://127.0.0.1:{port}"}])
    more = {
        "VITALSD__EXPORTERS__ALERTMANAGER__PEERS": peers,
        "VITALSD__EXPORTERS__ALERTMANAGER__INTERVAL": "2s",
        "VITALSD__STALL__RESOLVE_AFTER": "10s",
    }
    agent = Agent(tmp_path / "agent", more)
    agent.folder.mkdir()
    demo = [sys.executable, "-m", "vitalsd.demo.service", "--port", str(first), "--parent", str(os.getpid())]
    rules = shipped_rules(tmp_path / "rules.yaml", held="1s", keep="2s")
    with Pretender() as receiver, running(agent, demo, "--name", "shop") as service:
        server = Alertmanager(port, tmp_path / "alertmanager", TELLING.format(url=receiver.url))
        try:
            agent.wait_scrape("both workers", lambda scrape: len(scrape.up("shop")) == 2, 60)
            server.start()
            with scraping(agent.metrics_port, tmp_path / "prometheus", rules, port):
                fault(first, "block", 60)
                wait_for("people to hear by both ways", lambda: states(receiver) == (["firing"], ["firing"]), 60)
            for own in (True, False):
                assert [text for _, text in heard(receiver, own) if BLAMED not in text] == []

            server.stop(signal.SIGTERM)
            before = service.wait_agent_process().memory_info().rss
            time.sleep(AWAY_SECONDS)
            after = service.wait_agent_process().memory_info().rss
            fault(first, "block", 20)

            server.start()
            with scraping(agent.metrics_port, tmp_path / "prometheus", rules, port):
                wait_for("both to be told again", lambda: len(_active(server)) == 2, 60)
                assert states(receiver) == (["firing"], ["firing"])
                wait_for("its end", lambda: all("resolved" in each for each in states(receiver)), 120)
        finally:
            server.stop()
    assert states(receiver) == (["firing", "resolved"], ["firing", "resolved"])
    assert after - before < 2 << 20


def _active(server: Alertmanager) -> list[bool]:
    alerts = [each["labels"] for each in server.alerts() if each["labels"]["alertname"] == "VitalsdStall"]
    return ["job" in each for each in alerts if (each["target"], each["severity"]) == ("shop", "critical")]
