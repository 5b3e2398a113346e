"""
A deploy in which every worker leaks is not churned. It takes minutes: a file of its own begins early.

Uses app_leaks.py of tests/targets.
"""

from __future__ import annotations

import faulthandler
import sys
import time
from pathlib import Path

import pytest
from support.recycled import LONG_TEST_SECONDS, Witness, World
from support.waiting import wait_for


@pytest.fixture(autouse=True)
def takes_long() -> None:
    """Longer than a test may otherwise."""
    faulthandler.dump_traceback_later(LONG_TEST_SECONDS, exit=True, file=sys.__stderr__)


def test_a_bad_deploy_is_not_churned(tmp_path: Path) -> None:
    """All workers leak from their start: one is tried, and the breaker ends it, since that has not helped."""
    world = World(tmp_path, "all", mode="on", helped_after="10m", breaker="1")
    world.start.touch()
    with world.running(world.command()) as service, world.load() as load, Witness(service.pid) as witness:
        wait_for("the breaker to open", lambda: world.remedy()["state"] == "stopped", 330)
        reason, scrape = world.remedy()["reason"], world.agent.scrape()
        recycled = len(witness.seen) - 3
        more = time.monotonic() + 10
        wait_for("ten seconds more", lambda: time.monotonic() > more)
        assert len(witness.seen) - 3 == recycled == 1
    assert load.failed == []
    assert witness.fewest >= 2
    assert "1 in a row did not help" in reason
    assert scrape.one("vitalsd_remedies_total", target="served", outcome="did_not_help") == 1
    assert scrape.one("vitalsd_remedy_stopped", target="served") == 1
