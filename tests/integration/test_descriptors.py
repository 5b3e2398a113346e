"""Descriptors that run out are an incident before `accept` fails; many of them, day and night, are none."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support.agent import Agent, watching
from support.probed import probed
from support.waiting import wait_for

LIMIT = 120
PER_SECOND = 2.0


def incidents(agent: Agent) -> list[dict[str, Any]]:
    """Those of the service."""
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    status, body = agent.get("/api/v1/incidents?target=shop", agent.control_port, token=token)
    assert status == 200
    return [each for each in json.loads(body)["incidents"] if each["kind"] == "fd_exhaustion"]


def opened(agent: Agent) -> float:
    """As the agent's own metric has it."""
    return agent.scrape().one("vitals_process_open_fds", target="shop")


def test_it_is_told_while_it_still_accepts(tmp_path: Path) -> None:
    """At seven tenths for as long as that lasts nothing is told; then one client more each half second."""
    agent = Agent(tmp_path, {"VITALSD__SAMPLING__INTERVAL": "1s", "VITALSD__STALL__THRESHOLD": "10s"})
    over = threading.Event()
    with ExitStack() as kept, probed(["accepts.py", str(LIMIT)], agent.segments) as service:
        port = int(service.line("ready").split()[1])

        def connect() -> None:
            kept.enter_context(socket.create_connection(("127.0.0.1", port)))

        def flood() -> None:
            while not over.wait(1 / PER_SECOND):
                connect()

        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            wait_for("the agent to see it", lambda: agent.answers() and opened(agent) > 0)
            for _ in range(round(0.7 * LIMIT - opened(agent))):
                connect()
            wait_for("them to be seen", lambda: 0.68 * LIMIT < opened(agent) < 0.75 * LIMIT)
            assert incidents(agent) == []
            thread = threading.Thread(target=flood)
            thread.start()
            (incident,) = wait_for("the incident", lambda: incidents(agent) or None, 60)
            over.set()
            thread.join()
            with socket.create_connection(("127.0.0.1", port)):
                wait_for("it to accept one more", lambda: opened(agent) > incident["evidence"]["count"])
    assert incident["evidence"]["limit"] == LIMIT
    assert incident["evidence"]["count"] < LIMIT
    assert "then it accepts no connection" in incident["summary"]
