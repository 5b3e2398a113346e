"""In calm an agent reads its workers half as often; when something stirs or somebody looks, as often as it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.agent import Agent, watching
from support.probed import probed
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = 0.5
OFTEN = {"VITALSD__SAMPLING__INTERVAL": "500ms"}


def kept(agent: Agent) -> float:
    """The interval that the agent keeps, by its own metric: a scrape is nobody who looks."""
    return agent.scrape().one("vitalsd_effective_interval_seconds") or 0.0


def test_calm_and_what_stirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the interval in calm; the interval while somebody asks for the targets, and when a loop is late."""
    monkeypatch.setenv("RESTS_SECONDS", "25")
    agent = Agent(tmp_path, OFTEN)
    calm, often = pytest.approx(2 * INTERVAL, rel=0.2), pytest.approx(INTERVAL, rel=0.2)
    with probed(["rests.py"], agent.segments) as service, watching(agent, "--pid", str(service.pid)):
        wait_for("calm", lambda: kept(agent) == calm)

        def asked() -> bool:
            agent.api("targets")
            return kept(agent) == often

        wait_for("it to look more often for who asks", asked, 5.0)
        wait_for("calm again", lambda: kept(agent) == calm)
        service.line("ready")
        service.line("now")
        wait_for("it to look more often at who was late", lambda: kept(agent) == often, 5.0)
        wait_for("calm at last", lambda: kept(agent) == calm)
