"""Captures from one end to the other: a real service, a real agent, the command and the files it leaves."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.agent import Agent, Service, running
from support.probed import TARGETS
from support.taken import taken
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURE = {
    "VITALSD__CAPTURE__AUTOMATIC": "true",
    "VITALSD__CAPTURE__COOLDOWN": "0s",
    "VITALSD__CAPTURE__PER_HOUR": "100",
}
FIRST = {"cpu": "profile.svg", "memory": "flamegraph.html", "heap": "census.txt", "stacks": "stacks.txt"}
SUMMARY = {"cpu": "top_functions", "memory": "top_sites", "heap": "largest_types", "stacks": "threads"}


def serving(agent: Agent, seconds: str = "0.01", every: str = "4") -> Any:
    """A service that blocks for so long at a time, and its agent."""
    agent.environment |= {"BLOCK_SECONDS": seconds, "EVERY_SECONDS": every}
    command = [sys.executable, "-m", "uvicorn", "app_blocks:app", "--port", "0", "--no-access-log"]
    return running(agent, command, "--name", "shop", cwd=TARGETS)


def incidents(agent: Agent) -> list[dict[str, Any]]:
    """Those of the shop."""
    listen = f"--control-listen=127.0.0.1:{agent.control_port}"
    listed = agent.command("incidents", listen, "--json", "--target=shop")
    found: list[dict[str, Any]] = json.loads(listed.stdout)["incidents"] if listed.returncode == 0 else []
    return found


def started(agent: Agent, service: Service) -> None:
    """The probe is there, and the agent has seen it."""
    agent.wait_scrape("the shop's loop", lambda scrape: bool(scrape.all("vitals_heap_used_bytes", target="shop")))
    assert service.process.poll() is None


@pytest.mark.slow
def test_each_kind(tmp_path: Path) -> None:
    """Every kind is taken of an unmodified service, kept whole and for this user alone, and counted."""
    agent = Agent(tmp_path, CAPTURE)
    with serving(agent) as service:
        started(agent, service)
        for kind, first in FIRST.items():
            told = taken(agent, kind, "shop/0", "--seconds", "2")[0]
            assert (told["state"], told["problem"], told["harm"]) == ("done", None, None)
            assert told["artifacts"][0]["name"] == first
            assert SUMMARY[kind] in told["summary"], told["summary"]
            assert 0 <= told["pause_seconds"] < 0.25
            (folder,) = agent.storage.glob(f"captures-*/{told['id']}")
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert {path.name for path in folder.iterdir()} == {
                "capture.json",
                *(artifact["name"] for artifact in told["artifacts"]),
            }
            assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
            assert json.loads((folder / "capture.json").read_text())["id"] == told["id"]
        scrape = agent.scrape()
        for kind in FIRST:
            assert scrape.one("vitalsd_captures_total", target="shop", kind=kind) == 1
            assert scrape.one("vitalsd_capture_failures_total", target="shop", kind=kind) == 0
        assert service.process.poll() is None


@pytest.mark.slow
def test_a_stall_takes_its_own(tmp_path: Path) -> None:
    """While a loop does not come back all threads are looked at, and the incident has what was seen."""
    agent = Agent(tmp_path, CAPTURE)
    with serving(agent, seconds="3", every="6") as service:
        started(agent, service)

        def with_capture() -> dict[str, Any] | None:
            return next((each for each in incidents(agent) if each["kind"] == "stall" and each["captures"]), None)

        incident = wait_for("a stall with its capture", with_capture, 40)
        assert "captured" in {entry["event"] for entry in incident["timeline"]}
        listed = agent.command(
            "captures", incident["captures"][0], f"--control-listen=127.0.0.1:{agent.control_port}", "--json"
        )
        capture = json.loads(listed.stdout)
        assert (capture["kind"], capture["asked_by"]) == ("stacks", "incident")
        assert capture["incident"] == incident["id"]
        (folder,) = agent.storage.glob(f"captures-*/{capture['id']}")
        assert "ask_slowly" in (folder / "stacks.txt").read_text()


FILLED = """
import asyncio
kept = [bytes(10_000) for _ in range(21_400)]
asyncio.run(asyncio.sleep(600))
"""


@pytest.mark.slow
def test_at_nine_tenths_of_its_memory(tmp_path: Path, new_group: Callable[..., Path]) -> None:
    """A service that has no room for a tracker is counted instead, lives on, and the capture says why."""
    folder = new_group("vitalsd-test", 256)
    agent = Agent(tmp_path, CAPTURE)
    code = tmp_path / "filled.py"
    code.write_text(FILLED)
    command = ["sh", "-c", f"echo $$ > {folder}/cgroup.procs && exec {sys.executable} {code}"]
    with running(agent, command, "--name", "shop") as service:
        started(agent, service)
        used, limit = (psutil.Process(service.pid).memory_info().rss, 256 << 20)
        assert used > 0.85 * limit
        told = taken(agent, "memory", "shop", "--seconds", "2")[0]
        assert (told["kind"], told["engine"]) == ("memory", "census")
        assert "memory limit" in told["summary"]["instead"]
        assert "largest_types" in told["summary"]
        assert service.process.poll() is None


@pytest.mark.slow
def test_refused(tmp_path: Path) -> None:
    """What is refused says why, with exit code 1, and what to do about it."""
    agent = Agent(tmp_path, {**CAPTURE, "VITALSD__CAPTURE__COOLDOWN": "1h"})
    listen = f"--control-listen=127.0.0.1:{agent.control_port}"
    with serving(agent) as service:
        started(agent, service)
        for _ in range(2):
            assert taken(agent, "stacks", "shop")[0]["state"] == "done"
        first = taken(agent, "heap", "shop")[0]
        again = agent.command("capture", "heap", "shop", listen)
        assert again.returncode == 1
        assert f"the last was capture {first['id']}: ask again in " in again.stderr
        assert "or now with --force" in again.stderr
        assert taken(agent, "heap", "shop", "--force")[0]["state"] == "done"
        os.kill(service.pid, 19)
        try:
            stopped = agent.command("capture", "heap", "shop", "--force", listen)
        finally:
            os.kill(service.pid, 18)
        assert stopped.returncode == 1
        assert "stopped" in stopped.stderr + stopped.stdout
        nobody = agent.command("capture", "heap", "shopp", listen)
        assert nobody.returncode in (1, 2)
        assert "`shop`" in nobody.stderr
