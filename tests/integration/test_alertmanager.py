"""A real Alertmanager sends what fires to the webhook, with the bearer token of its own configuration."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from bench.harness import free_ports
from support.alertmanager import Alertmanager, alertmanager
from support.captures import FakeCaptures
from support.desk import TOKEN, Desk, desk
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


@contextlib.contextmanager
def alerting(address: str, token: str, folder: Path) -> Iterator[Alertmanager]:
    """An Alertmanager that sends to this address; it is killed at the end."""
    (port,) = free_ports(1)
    with alertmanager(port, folder, CONFIG.format(address=address, token=token)) as server:
        yield server


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
