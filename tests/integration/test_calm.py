"""In calm an agent reads its workers half as often; as often as it may when somebody looks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from support.agent import Agent, watching
from support.probed import probed
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = 3
AS_BY_DEFAULT = {"VITALSD__SAMPLING__INTERVAL": f"{INTERVAL}s", "VITALSD__SAMPLING__DISCOVERY_INTERVAL": "5s"}
SOON = 2.0
"""A second until the next look for life, and what a crowded host takes; in calm a round would be 2.5 s away."""


def sampled_at(agent: Agent) -> float:
    """When the latest round was made: a scrape is nobody who looks."""
    return agent.scrape().one("vitalsd_sample_timestamp_seconds", target="vitalsd") or 0.0


def next_round(agent: Agent) -> float:
    """When the next round is made, waited for."""
    before = sampled_at(agent)
    return wait_for("a round", lambda: now if (now := sampled_at(agent)) > before else None, 4 * INTERVAL)


def calm_round(agent: Agent) -> float:
    """A round that came after one which was left out."""

    def twice_as_long() -> float | None:
        before, after = next_round(agent), next_round(agent)
        return after if after - before > 1.8 * INTERVAL else None

    return wait_for("calm", twice_as_long, 90)


def test_calm_and_who_looks(tmp_path: Path) -> None:
    """Whoever asks for the targets has the round made that is being left out, and the one after."""
    agent = Agent(tmp_path, AS_BY_DEFAULT)
    with probed(["idles.py"], agent.segments) as service, watching(agent, "--pid", str(service.pid)):
        began = calm_round(agent)
        time.sleep(max(0.0, began + 1.15 * INTERVAL - time.time()))
        assert sampled_at(agent) == began
        asked_at = time.time()
        agent.api("targets")
        assert next_round(agent) - asked_at < SOON
        assert next_round(agent) - asked_at < SOON + INTERVAL
