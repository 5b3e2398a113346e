"""Captures that hold a real Node service: told before, told as what they are then, and spared where it can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.agent import Agent, running
from support.probed import NODE, TARGETS, needs_node
from support.taken import taken
from support.waiting import wait_for

pytestmark = [needs_node, pytest.mark.slow]
SETTINGS = {
    "VITALSD__CAPTURE__AUTOMATIC": "true",
    "VITALSD__CAPTURE__COOLDOWN": "0s",
    "VITALSD__CAPTURE__PER_HOUR": "100",
    "VITALSD__WORKERS__HUNG_AFTER": "1s",
}
HEAP_MIB = 60
"""V8 looks at it for some seconds, and walks it for more than a tenth of one."""


def fills_heap() -> list[str]:
    """A service that has so much in its heap, and next to nothing to do."""
    return [NODE or "node", str(TARGETS / "fills_heap.js"), str(HEAP_MIB), "0"]


class Asked:
    """Our own commands, of one agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._listen = f"--control-listen=127.0.0.1:{agent.control_port}"

    def incidents(self) -> list[dict[str, Any]]:
        """All, of whatever kind."""
        done = self._agent.command("incidents", self._listen, "--json")
        found: list[dict[str, Any]] = json.loads(done.stdout)["incidents"] if done.returncode == 0 else []
        return found

    def stall(self, capture: str) -> dict[str, Any] | None:
        """The one that is told as this capture's doing, once it is over."""
        of = [each for each in self.incidents() if each["evidence"].get("capture") == capture]
        return next((each for each in of if "so far" not in each["summary"]), None)


def filled(agent: Agent) -> None:
    """The probe is there, the heap is what it is to be, and the agent has seen it."""

    def full(scrape: Any) -> bool:
        used = [value for _, value in scrape.all("vitals_heap_used_bytes", target="shop")]
        return bool(used) and used[0] > 0.8 * (HEAP_MIB << 20)

    agent.wait_scrape("the shop's heap", full)


def test_a_snapshot_that_was_asked_for(tmp_path: Path) -> None:
    """Its price is told first; the stall is counted, and nobody is woken, blamed or said to hang."""
    agent = Agent(tmp_path, SETTINGS)
    with running(agent, fills_heap(), "--name", "shop"):
        filled(agent)
        asked = Asked(agent)
        capture, said = taken(agent, "heap", "shop/0")
        assert said.splitlines()[0].startswith("The heap capture of shop/0 by v8 will hold the service for about ")
        assert capture["holds_seconds"] > 3.0
        assert capture["pause_seconds"] > 0.5
        stall = wait_for("the stall", lambda: asked.stall(capture["id"]))
        assert stall["kind"] == "stall"
        assert f"by capture {capture['id']} (heap, asked for by a person)." in stall["summary"]
        assert (stall["cause"], stall["culprit"], stall["captures"]) == (None, None, [])
        assert stall["severity"] == (
            "info" if capture["pause_seconds"] < 4 * capture["holds_seconds"] else "warning"
        )
        asked_at = capture["started_at"]
        others = [each for each in asked.incidents() if each["severity"] == "critical"]
        others = [each for each in others if each["evidence"]["since"] > asked_at]  # as it was filled, it was slow
        assert others == [], others
        counted = [value for _, value in agent.scrape().all("vitals_eventloop_stalls_total", target="shop")]
        assert sum(counted) >= 1


def test_a_profile_stops_nothing_where_it_need_not(tmp_path: Path) -> None:
    """V8's profiler would hold a heap of this size as it begins: the kernel's samples come first, and say so."""
    agent = Agent(tmp_path, SETTINGS)
    with running(agent, fills_heap(), "--name", "shop"):
        filled(agent)
        capture, said = taken(agent, "cpu", "shop/0", "--seconds", "2")
        instead = capture["summary"].get("instead", "")
        assert "py-spy" not in instead
        if capture["engine"] == "perf":
            assert (capture["holds_seconds"], capture["pause_seconds"]) == (None, 0.0)
            assert instead.startswith("v8: it would hold the process for some 0.")
        else:
            assert instead.startswith("perf: ")
            assert "will hold the service for about" in said
