"""A service that collects, fails or queues too much is one incident of that kind; one in everyday life is none."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from support.agent import Agent, watching
from support.crowded import BUSY_HOST
from support.probed import probed
from support.waiting import wait_for

SECONDS = {
    "VITALSD__STALL__THRESHOLD": "1s",
    "VITALSD__MEMORY__GC_WINDOW": "10s",
    "VITALSD__WORKERS__SETTLE": "2s",
    "VITALSD__WORKERS__ERRORS_WINDOW": "6s",
    "VITALSD__WORKERS__ERRORS_PAST": "2m",
    "VITALSD__WORKERS__POOL_HELD": "5s",
}
"""What are minutes and days by default. Stalls are for other tests, and this machine's for nobody."""
SERVICE = {"VITALSD_STALL_THRESHOLD": "1"}
CALM_SECONDS = 32.0
"""Two windows of collections from the start of the agent, and all that is calm within them."""


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path, SECONDS)


def incidents(agent: Agent) -> list[dict[str, Any]]:
    """All that there are of the service."""
    return told(agent, "incidents")


def of_the_service(agent: Agent) -> list[dict[str, Any]]:
    """Those that it has to answer for, and not a host that has no time for it."""
    return [each for each in incidents(agent) if each["cause"] not in BUSY_HOST]


def rules(agent: Agent) -> dict[str, dict[str, Any]]:
    """What each rule says of the service."""
    return {rule["rule"]: rule for rule in told(agent, "rules")}


def told(agent: Agent, what: str) -> list[dict[str, Any]]:
    """What the API has of it."""
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    status, body = agent.get(f"/api/v1/{what}?target=shop", agent.control_port, token=token)
    assert status == 200
    return json.loads(body)[what]


def found(agent: Agent, kind: str) -> dict[str, Any]:
    """The incident of this kind, when nothing else was found by then."""
    with probed(["storms.py", kind], agent.segments, **SERVICE) as service:
        service.line("ready")
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            (incident,) = wait_for(f"an incident of {kind}", lambda: of_the_service(agent) or None, 120)
            assert rules(agent)[incident["kind"]]["state"] == "fired"
    return incident


def test_gc_storm(agent: Agent) -> None:
    """The share of the time, and that it is the service itself that collects."""
    incident = found(agent, "gc")
    assert (incident["kind"], incident["state"], incident["count"]) == ("gc_pressure", "open", 1)
    assert 0.1 < incident["evidence"]["share"] < 0.6
    assert incident["evidence"]["generation"] == 2
    assert incident["evidence"]["objects"] > 200_000
    assert "take those calls out" in incident["summary"]


def test_error_storm(agent: Agent) -> None:
    """The channel, the type and the place in the service's code; no word of whom it was about."""
    incident = found(agent, "errors")
    assert (incident["kind"], incident["count"]) == ("error_surge", 1)
    assert (incident["culprit"]["function"], incident["evidence"]["type"]) == ("ask", "KeyError")
    assert incident["culprit"]["file"].endswith("storms.py")
    assert "task exceptions never retrieved" in incident["summary"]
    assert "mostly KeyError from ask() (storms.py:" in incident["summary"]
    assert "Miller" not in json.dumps(incident)


def test_pool_storm(agent: Agent) -> None:
    """The pool by its name, and that its queue grows."""
    incident = found(agent, "pool")
    assert (incident["kind"], incident["count"]) == ("pool_saturation", 1)
    evidence = incident["evidence"]
    assert (evidence["pool"], evidence["busy"]) == ("asyncio", evidence["threads"])
    assert evidence["queued"] > evidence["threads"]
    assert "more all the time" in incident["summary"]


def test_calm_service(agent: Agent) -> None:
    """A start that makes garbage, a full collection, three errors and a batch are none, and each rule says so."""
    with probed(["storms.py", "calm"], agent.segments, CALM_SECONDS="8", **SERVICE) as service:
        service.line("ready")
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            service.line("storm")
            end = time.monotonic() + CALM_SECONDS
            wait_for("all of it to be over", lambda: time.monotonic() > end, 2 * CALM_SECONDS)
            assert incidents(agent) == []
            states = {kind: rule["state"] for kind, rule in rules(agent).items()}
            scrape = agent.scrape()
    counted = scrape.one("vitals_unhandled_errors_total", target="shop", channel="task")
    assert (counted, scrape.one("vitals_executor_queued", target="shop")) == (3, 0)
    assert states.pop("imbalance") == "unavailable"  # a worker alone is no pool
    assert states.pop("heap_exhaustion") == "unavailable"  # only V8's heap has a limit
    assert states == dict.fromkeys(states, "quiet")
    assert {"gc_pressure", "error_surge", "pool_saturation"} < states.keys()
