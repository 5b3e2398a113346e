"""
Unmodified services under real servers, each with a synchronous call in its loop: what is told of it, both ways in.

Uses app_blocks.py, aio_blocks.py and gevent_blocks.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from bench.harness import free_ports
from support.agent import Agent, running, watching
from support.probed import TARGETS
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_SECONDS = 0.5
BLOCKS = {"BLOCK_SECONDS": str(BLOCK_SECONDS), "EVERY_SECONDS": "2"}
GUNICORN = ("gunicorn", "--no-control-socket", "-b", "127.0.0.1:{port}", "-w", "2")
SERVICES = {
    "uvicorn, asyncio": ("uvicorn", "--loop", "asyncio", "--port", "{port}", "app_blocks:app"),
    "uvicorn, uvloop": ("uvicorn", "--loop", "uvloop", "--port", "{port}", "app_blocks:app"),
    "gunicorn, uvicorn workers": (*GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "app_blocks:app"),
    "aiohttp": (sys.executable, "aio_blocks.py", "{port}"),
    "gunicorn, gevent workers": (*GUNICORN, "-k", "gevent", "gevent_blocks:wsgi"),
    "gunicorn, gevent workers of one application": (*GUNICORN, "--preload", "-k", "gevent", "gevent_blocks:wsgi"),
    "gevent": (sys.executable, "gevent_blocks.py", "{port}"),
}


@contextlib.contextmanager
def _served(command: list[str], agent: Agent, way: str) -> Iterator[None]:
    """The service, with an agent beside it that has a probe inside or none."""
    agent.environment |= BLOCKS
    if way == "probe":
        with running(agent, command, "--name", "shop", cwd=TARGETS):
            yield
        return
    with (agent.folder / "service.log").open("w") as log:
        service = subprocess.Popen(
            command,
            cwd=TARGETS,
            env={name: value for name, value in agent.environment.items() if not name.startswith("VITALSD")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            yield
    finally:
        service.terminate()
        service.wait(20)


def _stalls(agent: Agent) -> list[dict[str, Any]]:
    answer = agent.command("incidents", agent.listens[1], "--target", "shop", "--json")
    found = json.loads(answer.stdout)["incidents"] if answer.returncode == 0 else []
    return [incident for incident in found if incident["kind"] == "stall"]


@pytest.mark.parametrize("way", ["probe", "zero-touch"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_synchronous_call_is_named(service: str, way: str, tmp_path: Path) -> None:
    """In each worker: that it was a call that waits, in which function, how long, with a stack from within."""
    if way == "zero-touch" and os.geteuid() != 0:
        pytest.skip("needs the right to ptrace, which root has")
    agent = Agent(tmp_path)
    command = [part.format(port=free_ports(1)[0]) for part in SERVICES[service]]
    workers = {"0", "1"} if "-w" in command else {"0"}

    def blamed() -> dict[str, dict[str, Any]] | None:
        found = {
            incident["worker"]: incident
            for incident in _stalls(agent)
            if incident["culprit"] is not None and incident["culprit"]["function"] == "ask_slowly"
        }
        return found if found.keys() >= workers else None

    with _served(command, agent, way):
        by_worker = wait_for(f"an incident of every worker of {service}", blamed, 60)

    for incident in by_worker.values():
        assert incident["cause"] == "blocking_call"
        latest = incident["evidence"]["stalls"][-1]
        assert BLOCK_SECONDS - 0.1 < latest["duration_seconds"] < 2 * BLOCK_SECONDS
        assert latest["stack_after_seconds"] < latest["duration_seconds"]
        innermost = incident["evidence"]["stacks"][0]["frames"][0]
        assert innermost["function"] == "ask_slowly"
        assert f"Worker {incident['worker']} of `shop` was blocked for" in incident["summary"]
