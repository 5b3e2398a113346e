"""A real Alertmanager sends what fires to the webhook, with the bearer token of its own configuration."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import free_ports
from support.captures import FakeCaptures
from support.desk import TOKEN, Desk, desk
from support.prometheus import tool
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
route:
  receiver: vitalsd
  group_by: [alertname]
  group_wait: 50ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: vitalsd
  webhook_configs:
  - url: http://{address}/api/v1/alertmanager
    send_resolved: true
    http_config:
      authorization: {{type: Bearer, credentials: {token}}}
"""


class Alertmanager:
    """A server that runs."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            sent = json.dumps(body) if body is not None else None
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def is_ready(self) -> bool:
        """Whether it takes alerts."""
        try:
            return self.ask("GET", "/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def fire(self, *alerts: dict[str, Any]) -> None:
        """Have these fire, or be resolved where they say when."""
        status, body = self.ask("POST", "/api/v2/alerts", alerts)
        assert status == 200, body

    def fingerprints(self) -> set[str]:
        """Of all that fire."""
        return {each["fingerprint"] for each in json.loads(self.ask("GET", "/api/v2/alerts")[1])}

    def sent(self) -> float:
        """How many notifications were sent, or tried to."""
        return self._count("alertmanager_notifications_total")

    def failed(self) -> float:
        """How many of them came to nothing."""
        return self._count("alertmanager_notifications_failed_total")

    def _count(self, name: str) -> float:
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        start = f'{name}{{integration="webhook"'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


@contextlib.contextmanager
def alerting(address: str, token: str, folder: Path) -> Iterator[Alertmanager]:
    """An Alertmanager that sends to this address; it is killed at the end."""
    folder.mkdir()
    (port,) = free_ports(1)
    (folder / "config.yml").write_text(CONFIG.format(address=address, token=token))
    command = [
        tool("prometheus-alertmanager"),
        f"--config.file={folder / 'config.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    server = Alertmanager(port)
    try:
        wait_for("Alertmanager to be ready", lambda: process.poll() is not None or server.is_ready(), 60)
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    """The control port of an agent."""
    with desk(tmp_path, FakeCaptures()) as found:
        yield found


def alert(name: str, **labels: str) -> dict[str, Any]:
    """One that asks for a profile."""
    return {
        "labels": {"alertname": name, "target": "shop", **labels},
        "annotations": {"vitalsd_capture": "cpu", "summary": "the loop is late"},
    }


def test_an_alert_asks_for_a_capture_and_its_end_does_not(at: Desk, tmp_path: Path) -> None:
    """Of the worker in its labels, by its fingerprint; without annotation, or resolved, it asks for nothing."""
    with alerting(at.address, TOKEN, tmp_path / "server") as server:
        firing = alert("HighDelay", worker="1")
        server.fire(firing, {"labels": {"alertname": "HighDelay", "target": "legacy"}})
        asked = wait_for("a capture", lambda: at.captures.asked or None)
        (known,) = {each["who"] for each in asked} & server.fingerprints()
        assert asked == [
            {
                "kind": "cpu",
                "target": "shop",
                "worker": "1",
                "seconds": None,
                "force": False,
                "reason": "the alert `HighDelay` is firing",
                "asked_by": "alert",
                "who": known,
            }
        ]
        server.fire({**firing, "endsAt": "2026-01-01T00:00:00Z"})
        wait_for("the message that it is resolved", lambda: server.sent() >= 2)
        assert len(at.captures.asked) == 1
        assert server.failed() == 0


def test_without_our_token_nothing_is_asked_for(at: Desk, tmp_path: Path) -> None:
    """Alertmanager counts it as failed."""
    with alerting(at.address, "another", tmp_path / "server") as server:
        server.fire(alert("HighDelay"))
        wait_for("a failure", lambda: server.failed() > 0)
    assert at.captures.asked == []
