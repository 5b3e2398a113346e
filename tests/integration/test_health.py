"""
What load balancers hear while a service is frozen, and of children that nobody fetches: real processes.

Uses children.py and orphans.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from support.agent import Agent, watching
from support.probed import TARGETS
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON = {"VITALSD__WORKERS__ZOMBIES": "3", "VITALSD__WORKERS__ZOMBIE_AFTER": "1s"}
OPEN = "vitals_incidents_open"


@contextlib.contextmanager
def watched(folder: Path, *command: str) -> Iterator[tuple[Agent, int]]:
    """A service, and the agent beside it."""
    agent = Agent(folder, SOON)
    service = subprocess.Popen(
        [sys.executable, *command],
        cwd=TARGETS,
        env=agent.environment,
        start_new_session=True,
        stdin=subprocess.PIPE,
    )
    try:
        with watching(agent, "--pid", str(service.pid), "--name", "served"):
            yield agent, service.pid
    finally:
        os.killpg(service.pid, signal.SIGCONT)
        os.killpg(service.pid, signal.SIGKILL)
        service.communicate()


def health(agent: Agent, path: str = "/health/served") -> tuple[int, list[str], int]:
    """Status, reasons and Retry-After."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.metrics_port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        reasons = json.loads(response.read()).get("reasons", [])
        return response.status, reasons, int(response.headers.get("Retry-After", 0))


def two_workers(agent: Agent) -> dict[str, int]:
    """Slot -> pid, once both are there."""

    def look() -> dict[str, int] | None:
        target = agent.targets().get("served") if agent.answers() else None
        workers = target["workers"] if target is not None else []
        pids = {one["slot"]: one["key"]["pid"] for one in workers if one["up"]}
        return pids if pids.keys() == {"0", "1"} else None

    return wait_for("two workers", look, 40)


def test_a_service_that_is_frozen_is_answered_for(tmp_path: Path) -> None:
    """503 with the reason while all of it stands still, for the worker alone as well, and 200 some time after."""
    with watched(tmp_path, "children.py", "spawn", "2") as (agent, pid):
        two_workers(agent)
        wait_for("health", lambda: health(agent)[0] == 200)
        os.killpg(pid, signal.SIGSTOP)
        status, reasons, retry = wait_for("503", lambda: (told := health(agent))[0] == 503 and told)
        assert all("is stopped" in reason or "is stuck" in reason for reason in reasons)
        assert (status, retry) == (503, 5)
        assert health(agent, "/health/served/1")[0] in (200, 503)
        wait_for("the other one", lambda: len(health(agent)[1]) == 2)
        wait_for("it to be hung", lambda: any(value for _, value in agent.scrape().all(OPEN, kind="worker_hung")))
        os.killpg(pid, signal.SIGCONT)
        wait_for("that it was hung", lambda: any("until" in reason for reason in health(agent)[1]))
        wait_for("health", lambda: health(agent)[0] == 200)


def test_children_that_nobody_fetches_are_told(tmp_path: Path) -> None:
    """Whose they are, how many, and what they are called."""
    with watched(tmp_path, "orphans.py", "3") as (agent, pid):

        def look() -> list[dict[str, Any]] | None:
            token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
            status, body = agent.get("/api/v1/incidents", agent.control_port, token=token)
            assert status == 200, body
            return [one for one in json.loads(body)["incidents"] if one["kind"] == "zombie"] or None

        (told,) = wait_for("the incident", look, 40)
        assert told["evidence"]["parent_pid"] == pid
        assert (told["evidence"]["zombies"], told["evidence"]["names"]) == (3, {"true": 3})
