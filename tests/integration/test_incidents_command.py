"""
`vitalsd incidents` against a live agent and a service that stalls: found, shown, kept over the agent's death.

Uses blocks.py and idles.py of tests/targets.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.agent import Agent, watching
from support.probed import probed
from support.waiting import wait_for


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path)


def _incidents(agent: Agent, *options: str) -> Any:
    return agent.command("incidents", agent.listens[1], *options)


def _listed(agent: Agent, *options: str) -> list[dict[str, Any]]:
    answer = _incidents(agent, "--json", *options)
    assert (answer.returncode, answer.stderr) == (0, "")
    return json.loads(answer.stdout)["incidents"]


def _stall(agent: Agent) -> dict[str, Any]:
    """An incident of the service's stalls, as soon as there is one."""

    def look() -> dict[str, Any] | None:
        found = [each for each in _listed(agent, "--target", "shop") if each["kind"] == "stall"]
        return found[0] if found else None

    return wait_for("an incident", look, 60)


def test_a_stall_is_an_incident_with_its_evidence(agent: Agent) -> None:
    """The list has a row for it, its id shows it in full, and `vitalsd status` tells that it is open."""
    with probed(["blocks.py"], agent.segments) as service:
        service.line()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            incident = _stall(agent)
            table = _incidents(agent, "--state", "open")
            full = _incidents(agent, incident["id"])
            status = agent.command("status", agent.listens[1])

    assert (incident["target"], incident["worker"], incident["state"]) == ("shop", "0", "open")
    assert incident["opened_at"].endswith("Z")
    assert incident["evidence"]["stalls"][0]["duration_seconds"] > 0.1
    assert (table.returncode, full.returncode) == (0, 0)
    assert any(line.startswith(incident["id"]) for line in table.stdout.splitlines())
    assert max(map(len, table.stdout.splitlines())) <= 80
    for part in ("timeline", "opened", "stalls, the latest", "stack, seen"):
        assert part in full.stdout
    assert f"incident: {incident['id']} " in status.stdout


def test_an_incident_goes_on_when_the_agent_is_killed(agent: Agent) -> None:
    """The next agent has it under the same id, and no counter of stalls has stepped back."""
    with probed(["blocks.py"], agent.segments) as service:
        service.line()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            first = _stall(agent)
            before = agent.scrape().all("vitals_eventloop_stalls_total", target="shop")
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            after = agent.scrape()
            again = next(each for each in _listed(agent) if each["id"] == first["id"])

    assert again["opened_at"] == first["opened_at"]
    assert again["count"] >= first["count"]
    for labels, value in before:
        now = after.one("vitals_eventloop_stalls_total", **labels)
        assert now is not None, labels
        assert now >= value, labels


def test_what_does_not_exist_is_one_sentence(agent: Agent) -> None:
    """An id that nobody gave: exit code 1, and the id in the sentence."""
    with watching(agent, "--pid", str(os.getpid())):
        answer = _incidents(agent, "nobody")

    assert (answer.returncode, answer.stdout) == (1, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith("vitalsd: No incident is called `nobody`")


def test_a_quiet_service_has_none(agent: Agent) -> None:
    """An empty list says so, and `--json` is an empty list."""
    with (
        probed(["idles.py", "3600"], agent.segments) as service,
        watching(agent, "--pid", str(service.pid), "--name", "shop"),
    ):
        plain, listed = _incidents(agent, "--target", "shop"), _listed(agent, "--target", "shop")

    assert plain.stdout.startswith("No incident")
    assert listed == []


def test_rules_say_why_they_are_quiet(agent: Agent) -> None:
    """`vitalsd status --rules` has each rule of a worker with its state and its reason."""
    with probed(["idles.py", "3600"], agent.segments) as service:
        service.line()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            text = wait_for(
                "rules",
                lambda: (
                    out
                    if "stall " in (out := agent.command("status", agent.listens[1], "--rules").stdout)
                    else None
                ),
            )

    (row,) = (line.split() for line in text.splitlines() if line.startswith("shop ") and " stall " in line)
    assert row[:3] == ["shop", "0", "stall"]
    assert row[3] in ("quiet", "watching", "fired", "unavailable")
    assert len(row) > 4
