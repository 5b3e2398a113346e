"""gunicorn on gevent, with the probe: its loop is not asyncio's, and seen from outside. Uses wsgi_blocks.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.agent import Agent, free_ports, running
from support.probed import TARGETS
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path


def test_gevent_under_the_probe(tmp_path: Path) -> None:
    """Its stalls are told with their culprit, and its delay is measured by whoever looks."""
    agent = Agent(tmp_path)
    (port,) = free_ports(1)
    command = ["gunicorn", "-k", "gevent", "-b", f"127.0.0.1:{port}", "--chdir", str(TARGETS)]
    with running(agent, [*command, "wsgi_blocks:application"], "--name=shop") as service:
        agent.wait_scrape("a worker", lambda scrape: bool(scrape.up("shop")))
        worker = wait_for("its loop beside its probe", lambda: _worker(agent), 60)
        assert worker["probe"]["loops"] == []
        assert worker["lag_source"] == "observer"
        assert agent.get("/slow", port) == (200, "served")
        stall = wait_for("its stall", lambda: _stall(agent) or (agent.get("/slow", port) and None), 60)
    assert stall["culprit"]["function"] == "compute_report", service.said()


def _worker(agent: Agent) -> dict[str, Any] | None:
    """Once its probe has told of no loop for a while."""
    up = [each for each in agent.targets()["shop"]["workers"] if each["probe"] and each["observed"]]
    return up[0] if len(up) == 1 else None


def _stall(agent: Agent) -> dict[str, Any] | None:
    """One whose stack was taken."""
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    _, body = agent.get("/api/v1/incidents?limit=100", agent.control_port, token=token)
    found = [each for each in json.loads(body)["incidents"] if (each["kind"], each["target"]) == ("stall", "shop")]
    return next((each for each in found if each["culprit"] is not None), None)
