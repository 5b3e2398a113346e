"""
Incidents of a real service as a real Alertmanager has them, beside peers that are bad and through restarts.

Uses blocks.py of tests/targets.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from bench.harness import free_ports
from support.agent import Agent, running, watching
from support.alertmanager import Alertmanager, Pretender, alertmanager
from support.probed import Probed, probed
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from support.agent import Scrape

TELLING = """\
route: {{receiver: hears, group_by: ['...'], group_wait: 50ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: hears
  webhook_configs: [{{url: '{url}', send_resolved: true}}]
"""
SOON = {
    "VITALSD__EXPORTERS__ALERTMANAGER__INTERVAL": "2s",
    "VITALSD__EXPORTERS__ALERTMANAGER__KEEP_FIRING_FOR": "1s",
    "VITALSD__EXPORTERS__ALERTMANAGER__TIMEOUT": "500ms",
    "VITALSD__EXPORTERS__ALERTMANAGER__RUNBOOKS": "https://wiki.example/vitalsd/",
    "VITALSD__EXPORTERS__ALERTMANAGER__LABELS": "[{name: cluster, value: eu}]",
}
BAD = {
    "alertname": "VitalsdStall",
    "target": "served",
    "worker": "0",
    "severity": "critical",
    "cause": "blocking_call",
}
ENDS_WITH_3 = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); time.sleep(600)"

pytestmark = pytest.mark.slow


def agent_for(folder: Path, *urls: str) -> Agent:
    """One that tells these."""
    folder.mkdir()
    peers = json.dumps([{"url": url} for url in urls])
    return Agent(folder, {**SOON, "VITALSD__EXPORTERS__ALERTMANAGER__PEERS": peers})


def killed(service: Probed) -> None:
    """Its end, and so that of what was wrong with it."""
    service.process.kill()
    service.process.wait()


def stalls(server: Alertmanager) -> list[dict[str, Any]]:
    """The alerts of what is the matter with it."""
    return [each for each in server.alerts() if each["labels"].items() >= BAD.items()]


def notified(receiver: Pretender) -> list[str]:
    """What the people heard of it, in the order in which they did."""
    bodies: list[Any] = list(receiver.bodies)
    return [body["status"] for body in bodies if body["commonLabels"].items() >= BAD.items()]


def is_open(scrape: Scrape) -> bool:
    """Whether the agent has found it."""
    return bool(scrape.one("vitals_incidents_open", target="served", kind="stall", severity="critical"))


def test_an_incident_is_an_alert_whatever_other_peers_do(tmp_path: Path) -> None:
    """With labels, annotations and links; a silence holds while it is sent again; it ends with the incident."""
    alert_port, nobody = free_ports(2)
    with (
        Pretender(500) as failing,
        Pretender(delay_seconds=3) as slow,
        Pretender(400) as picky,
        alertmanager(alert_port, tmp_path / "server") as server,
    ):
        agent = agent_for(
            tmp_path / "agent", f"http://127.0.0.1:{nobody}", failing.url, slow.url, picky.url, server.url
        )
        with (
            probed(["blocks.py"], agent.segments) as service,
            watching(agent, "--pid", str(service.pid), "--name", "served"),
        ):
            (alert,) = wait_for("the alert", lambda: stalls(server) or None, 40)
            assert alert["labels"] == {**BAD, "kind": "stall", "cluster": "eu"}
            said = alert["annotations"]
            assert "ask_slowly" in said["summary"]
            assert said["culprit"].startswith("ask_slowly (")
            assert said["runbook_url"] == "https://wiki.example/vitalsd/docs/incidents/stall.md#blocking_call"
            assert alert["generatorURL"] == said["incident"]
            page = f"http://127.0.0.1:{agent.control_port}/#/incidents/"
            assert said["incident"].startswith(page)
            path = "/api/v1/incidents/" + said["incident"].removeprefix(page)
            token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
            status, body = agent.get(path, agent.control_port, token=token)
            assert status == 200
            assert [each for each in json.loads(body)["timeline"] if each["event"] == "notified"]

            server.amtool("silence", "add", "--comment=known", "--author=us", "target=served", "kind=stall")
            silenced = wait_for(
                "the silence", lambda: [a for a in stalls(server) if a["status"]["silencedBy"]] or None
            )
            wait_for(
                "it to be sent again",
                lambda: [a for a in stalls(server) if a["updatedAt"] > silenced[0]["updatedAt"]] or None,
            )
            assert all(each["status"]["state"] == "suppressed" for each in stalls(server))
            assert "VitalsdStall" in server.amtool("alert", "query", "--silenced", "target=served")

            def is_told(scrape: Scrape) -> bool:
                failures = [
                    scrape.one("vitalsd_notification_failures_total", peer=url) or 0
                    for url in (failing.url, slow.url, picky.url, f"http://127.0.0.1:{nobody}")
                ]
                return min(failures) >= 2

            scrape = agent.wait_scrape("failures of each bad peer", is_told)
            assert scrape.one("vitalsd_notification_failures_total", peer=server.url) == 0
            assert scrape.one("vitalsd_notifications_total", peer=server.url)
            killed(service)
            wait_for("the end of the alert", lambda: not stalls(server))
        assert (slow.most_at_once, failing.most_at_once) == (1, 1)


def test_restarts_of_alertmanager_and_of_the_agent_lose_and_double_nothing(tmp_path: Path) -> None:
    """People hear that it fires once and that it is over once; the alert is the same one all the time."""
    (port,) = free_ports(1)
    with Pretender() as receiver:
        config = TELLING.format(url=receiver.url)
        agent = agent_for(tmp_path / "agent", f"http://127.0.0.1:{port}")
        beside = "--name", "served"
        with probed(["blocks.py"], agent.segments) as service:
            server = Alertmanager(port, tmp_path / "server", config)
            try:
                with watching(agent, "--pid", str(service.pid), *beside):
                    agent.wait_scrape("the incident, while nobody is to be told", is_open, 40)
                    server.start()
                    (first,) = wait_for("the alert", lambda: stalls(server) or None)
                    wait_for("people to hear of it", lambda: notified(receiver) == ["firing"])
                    server.stop(signal.SIGTERM)
                    server.start()
                    (again,) = wait_for("the alert to be back", lambda: stalls(server) or None)
                    assert again["startsAt"] == first["startsAt"]
                with watching(agent, "--pid", str(service.pid), *beside):
                    updated = wait_for(
                        "the next agent to tell it",
                        lambda: (
                            [each for each in stalls(server) if each["updatedAt"] > again["updatedAt"]] or None
                        ),
                    )
                    assert [each["startsAt"] for each in updated] == [first["startsAt"]]
                    killed(service)
                    wait_for("people to hear that it is over", lambda: "resolved" in notified(receiver))
            finally:
                server.stop()
        assert notified(receiver) == ["firing", "resolved"]


def test_what_came_and_went_while_nobody_could_be_told(tmp_path: Path) -> None:
    """The next agent tells it, with its own times, as long as it is not too long ago."""
    (port,) = free_ports(1)
    agent = agent_for(tmp_path / "agent", f"http://127.0.0.1:{port}")
    with (
        probed(["blocks.py"], agent.segments) as service,
        watching(agent, "--pid", str(service.pid), "--name", "served") as process,
    ):
        agent.wait_scrape("the incident", is_open, 40)
        killed(service)
        agent.wait_scrape("its end", lambda scrape: not is_open(scrape))
        process.terminate()
        process.wait(20)
    with (
        alertmanager(port, tmp_path / "server") as server,
        watching(agent, "--pid", str(os.getpid()), "--name", "served"),
    ):
        (alert,) = wait_for("the alert", lambda: stalls(server) or None)
        assert "ask_slowly" in alert["annotations"]["summary"]


def test_a_reload_adds_and_removes_peers(tmp_path: Path) -> None:
    """No restart is needed for that, and the metrics are those of the peers of now."""
    with Pretender() as before, Pretender() as after:
        agent = agent_for(tmp_path / "agent")
        del agent.environment["VITALSD__EXPORTERS__ALERTMANAGER__PEERS"]
        config = tmp_path / "vitalsd.yaml"
        config.write_text(f"exporters: {{alertmanager: {{peers: [{{url: '{before.url}'}}]}}}}\n")
        with (
            probed(["blocks.py"], agent.segments) as service,
            watching(agent, f"--config={config}", "--pid", str(service.pid), "--name", "served") as process,
        ):
            wait_for("a message", lambda: before.bodies or None, 40)
            config.write_text(f"exporters: {{alertmanager: {{peers: [{{url: '{after.url}'}}]}}}}\n")
            process.send_signal(signal.SIGHUP)
            wait_for("a message to the other", lambda: after.bodies or None)
            scrape = agent.scrape()
            assert [labels["peer"] for labels, _ in scrape.all("vitalsd_notifications_total")] == [after.url]


def test_a_service_that_crashes_is_told_though_its_agent_ends_with_it(tmp_path: Path) -> None:
    """By the agent that `vitalsd run` had put beside it; who takes no messages keeps neither of them."""
    alert_port, nobody = free_ports(2)
    with Pretender(delay_seconds=60) as slow, alertmanager(alert_port, tmp_path / "server") as server:
        agent = agent_for(tmp_path / "agent", f"http://127.0.0.1:{nobody}", slow.url, server.url)
        with running(agent, [sys.executable, "-c", ENDS_WITH_3], "--name", "served") as service:
            agent.wait_scrape("the worker", lambda scrape: scrape.up("served"), 60)
            assert service.end() == 3
            (alert,) = wait_for("the alert", lambda: server.alerts() or None)
            wait_for("the agent to end", lambda: service.agent_process() is None)
    assert (
        alert["labels"].items()
        >= {"alertname": "VitalsdWorkerDown", "target": "served", "severity": "critical"}.items()
    )
    assert "3" in alert["annotations"]["summary"]
    assert len(slow.bodies) <= 2
