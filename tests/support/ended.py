"""
A service whose workers end beside an agent that samples as it does by default, and what that says of them.

What is told within two seconds is told because a worker has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from bench.harness import free_ports

from support.agent import BIN, Agent, watching
from support.probed import TARGETS
from support.servers import Server, installed
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDS = {"worker_down", "crash_loop", "oom_kill"}
AS_BY_DEFAULT = {"VITALSD__SAMPLING__INTERVAL": "3s", "VITALSD__SAMPLING__DISCOVERY_INTERVAL": "5s"}


class Watched:
    """A service, and what the agent beside it says."""

    def __init__(self, agent: Agent, process: subprocess.Popen[str]) -> None:
        self.agent = agent
        self.process = process

    def beside(self, *options: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        """An agent, by its pid where nothing else is said; it is killed at the end, and the service goes on."""
        return watching(self.agent, "--name=shop", *(options or [f"--pid={self.process.pid}"]))

    def ask(self, path: str) -> Any:
        """One answer of the API."""
        token = (self.agent.storage / f"control-{self.agent.control_port}.token").read_text().strip()
        status, body = self.agent.get(path, self.agent.control_port, token=token)
        assert status == 200, body
        return json.loads(body)

    def target(self) -> dict[str, Any]:
        """The target as the API tells it."""
        return next(each for each in self.ask("/api/v1/targets")["targets"] if each["name"] == "shop")

    def incidents(self, kind: str = "") -> list[dict[str, Any]]:
        """Incidents of ends, all there ever were."""
        found = self.ask("/api/v1/incidents?limit=100")["incidents"]
        return [each for each in found if each["target"] == "shop" and each["kind"] in (kind or ENDS)]

    def incident(self, kind: str, **fields: str) -> dict[str, Any]:
        """The first of a kind, with these fields."""

        def look() -> dict[str, Any] | None:
            return next((each for each in self.incidents(kind) if fields.items() <= each.items()), None)

        return wait_for(f"{kind} {fields}", look, 60)

    def workers(self) -> dict[str, int]:
        """Slot -> pid of those that are up, without the master where it is seen alone at first."""
        up = {each["slot"]: each["key"]["pid"] for each in self.target()["workers"] if each["up"]}
        return up if set(up.values()) != {self.process.pid} else {}

    def settle(self, count: int = 2) -> dict[str, int]:
        """Slot -> pid, once so many workers are up."""
        return wait_for(f"{count} workers", lambda: len(up := self.workers()) == count and up, 40)

    def exit(self, pid: int) -> dict[str, Any]:
        """How this worker has ended."""
        ends = lambda: [each for each in self.target()["exits"] if each["key"]["pid"] == pid]  # noqa: E731
        return wait_for(f"the end of {pid}", lambda: next(iter(ends()), None))

    def restarts(self, reason: str) -> float:
        """How many were replaced, of all slots."""
        rows = self.agent.scrape().all("vitals_worker_restarts_total", target="shop", reason=reason)
        return sum(value for _, value in rows)

    def kill(self, pid: int, number: int) -> tuple[dict[str, Any], float]:
        """Send a worker a signal; the incident of its end, and after how long it was there."""
        sent = time.time()
        os.kill(pid, number)

        def told() -> dict[str, Any] | None:
            found = [each for each in self.incidents("worker_down") if each["evidence"]["exit"]["pid"] == pid]
            return found[0] if found else None

        return wait_for(f"the incident of {pid}", told), time.time() - sent


@contextlib.contextmanager
def serving(
    tmp_path: Path, command: list[str], *options: str, more: dict[str, str] | None = None
) -> Iterator[Watched]:
    """A service in a session of its own, and an agent that watches it, by its pid where nothing else is said."""
    with started(tmp_path, command, more) as watched, watched.beside(*options):
        yield watched


@contextlib.contextmanager
def started(tmp_path: Path, command: list[str], more: dict[str, str] | None = None) -> Iterator[Watched]:
    """A service in a session of its own, with no agent beside it yet."""
    agent = Agent(tmp_path, AS_BY_DEFAULT | (more or {}))
    process = subprocess.Popen(
        [str(BIN / command[0]), *command[1:]],
        cwd=TARGETS,
        env=agent.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield Watched(agent, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def command_of(server: Server, *more: str) -> list[str]:
    """How it is started, if it is there."""
    if not installed(server):
        pytest.skip(f"{server.command[0]} is not installed")
    command = server.at(free_ports(1)[0])
    return [*command[:-1], *more, command[-1]]
