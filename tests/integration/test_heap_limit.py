"""A Node whose heap fills up: an incident and its evidence before V8 ends it, and afterwards how it ended."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from support.agent import Agent, running
from support.probed import NODE, TARGETS, needs_node, probed
from support.waiting import wait_for

pytestmark = needs_node
LIMIT_MIB = 64
FILLS = "40", "0.4"
"""MiB at once, and a second."""
OFTEN = {"VITALSD__SAMPLING__INTERVAL": "1s"}
TAKEN = OFTEN | {"VITALSD__CAPTURE__AUTOMATIC": "true", "VITALSD__CAPTURE__MEMORY_DURATION": "5s"}


def fills_heap(*how: str) -> list[str]:
    """The program, with a small heap."""
    return [NODE or "node", f"--max-old-space-size={LIMIT_MIB}", str(TARGETS / "fills_heap.js"), *how]


def incidents(agent: Agent, kind: str) -> list[dict[str, Any]]:
    """Those of a kind, as the command tells them: from the agent, or from what it has left."""
    listen = f"--control-listen=127.0.0.1:{agent.control_port}"
    done = agent.command("incidents", listen, "--json")
    found = json.loads(done.stdout)["incidents"] if done.returncode == 0 else []
    return [each for each in found if each["kind"] == kind]


def captures(agent: Agent) -> list[dict[str, Any]]:
    """All that were asked for."""
    done = agent.command("captures", f"--control-listen=127.0.0.1:{agent.control_port}", "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout)["captures"]
    return found


def skip_where_overloaded(agent: Agent) -> None:
    """Nothing is captured by itself on a host that is overrun."""
    if any(each["refusal"] == "overload" for each in captures(agent)):
        pytest.skip("this host is too busy for captures")


def told(agent: Agent, kind: str, seconds: float) -> dict[str, Any]:
    """The first of a kind."""
    return wait_for(f"`{kind}`", lambda: next(iter(incidents(agent, kind)), None), seconds)


@pytest.mark.slow
def test_it_is_told_before_v8_ends_it(tmp_path: Path) -> None:
    """With the snapshot that shows what fills it, where that is allowed; and how it ended says that it was V8."""
    agent = Agent(tmp_path, TAKEN | {"VITALSD__CAPTURE__NEAR_HEAP_LIMIT": "true"})
    with running(agent, fills_heap(*FILLS), "--name", "shop") as service:
        incident = told(agent, "heap_exhaustion", 90)
        assert service.process.poll() is None
        assert incident["evidence"]["limit_bytes"] == LIMIT_MIB << 20
        assert incident["evidence"]["share"] < 1.0
        assert service.process.wait(120) == -signal.SIGABRT
        assert "JavaScript heap out of memory" in service.said()
        down = told(agent, "worker_down", 30)
        (incident,) = incidents(agent, "heap_exhaustion")
    kept = [json.loads(path.read_text()) for path in agent.storage.glob("captures-*/*/capture.json")]
    assert f"was ended by V8 at its heap limit of {LIMIT_MIB} MiB, most likely (SIGABRT)" in down["summary"]
    assert "V8's heap had" in down["evidence"]["exit"]["evidence"]
    if "the load of this host" in incident["evidence"].get("no_capture_reason", ""):
        pytest.skip("this host is too busy for captures")
    assert incident["captures"], incident["evidence"].get("no_capture_reason") or incident["timeline"]
    (heap,) = [each for each in kept if each["kind"] == "heap"]
    assert (heap["state"], heap["id"] in incident["captures"]) == ("done", True)
    census = next(agent.storage.glob(f"captures-*/{heap['id']}/census.json"))
    assert "Order" in {row["type"] for row in json.loads(census.read_text())["types"][:10]}


@pytest.mark.slow
def test_without_leave_no_snapshot_holds_it(tmp_path: Path) -> None:
    """The incident says which key would have; who allocates what fills the heap is told all the same."""
    agent = Agent(tmp_path, TAKEN)
    with running(agent, fills_heap(*FILLS), "--name", "shop") as service:
        told(agent, "heap_exhaustion", 90)

        def captured() -> dict[str, Any] | None:
            skip_where_overloaded(agent)
            (incident,) = incidents(agent, "heap_exhaustion")
            return incident if incident["captures"] else None

        try:
            incident = wait_for("the memory capture", captured, 60)
        except AssertionError:
            raise AssertionError(f"none is told, of {captures(agent)}") from None
        assert service.process.poll() is None
        (refused,) = [each for each in captures(agent) if each["kind"] == "heap"]
    assert (refused["state"], refused["refusal"]) == ("refused", "hold")
    assert "capture.near_heap_limit" in refused["problem"]
    assert incident["evidence"]["top_sites"][0]["function"] in ("takeOrders", "Order")


@pytest.mark.slow
def test_garbage_that_fills_it_again_and_again_is_none(tmp_path: Path) -> None:
    """It is beyond half of the limit, is collected again and again, comes back by itself, and lives."""
    agent = Agent(tmp_path, OFTEN)
    used: list[float] = []

    def waves() -> bool:
        scrape = agent.scrape()
        used.append(scrape.one("vitals_heap_used_bytes", target="shop") or 0.0)
        assert not scrape.one("vitals_incidents_total", target="shop", kind="heap_exhaustion", severity="warning")
        count = scrape.one("vitals_gc_pause_seconds_count", target="shop", generation="major") or 0.0
        return count > 200 and max(used) > 0.6 * LIMIT_MIB * (1 << 20)

    with running(agent, fills_heap("wave"), "--name", "shop") as service:
        agent.wait_scrape("its heap", lambda scrape: bool(scrape.all("vitals_heap_live_bytes", target="shop")))
        wait_for("some waves", waves, 90)
        assert service.process.poll() is None
        assert incidents(agent, "heap_exhaustion") == []


@pytest.mark.parametrize("options", [[f"--max-old-space-size={LIMIT_MIB}"], ["--max_semi_space_size=32"], []])
def test_the_limit_is_that_of_what_lives(options: list[str], tmp_path: Path) -> None:
    """As V8 itself tells it of its old space, whatever the young have."""
    whole = "require('v8').getHeapStatistics().heap_size_limit"
    program = f"setInterval(() => {{}}, 1000); console.log('ready', {whole})"
    with probed([NODE or "node", *options, "-e", program], tmp_path) as service:
        counted = int(service.line().split()[1])
        limit = service.wait_vitals(
            "the limit", lambda vitals: vitals.heap_limit_bytes is not None
        ).heap_limit_bytes
    said = "".join(options)
    young = (96 if "semi" in said else 48) << 20
    assert limit == (LIMIT_MIB << 20 if "old" in said else counted - young)
