"""
Workers of real servers that leak are recycled under load: no request fails, and it helps.

Uses app_leaks.py of tests/targets.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import time
from pathlib import Path

import pytest
from support.recycled import LONG_TEST_SECONDS, YOUNG_SECONDS, Witness, World
from support.waiting import wait_for


@pytest.fixture(autouse=True)
def takes_long() -> None:
    """Longer than a test may otherwise."""
    faulthandler.dump_traceback_later(LONG_TEST_SECONDS, exit=True, file=sys.__stderr__)


@pytest.mark.parametrize("options", [(), ("-k", "gthread", "--threads", "3")], ids=["sync", "gthread"])
def test_a_leaking_worker_is_recycled_once_and_nobody_notices(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Under load no request fails, two of three workers are there throughout, and it has helped."""
    world = World(tmp_path, "first", mode="on", min_healthy="2", helped_after="10s")
    with (
        world.running(world.command(*options)) as service,
        world.load() as load,
        Witness(service.pid) as witness,
    ):
        before = world.up()
        began = time.monotonic()
        wait_for("a day to pass", lambda: time.monotonic() - began > YOUNG_SECONDS, 80)
        world.start.touch()
        wait_for("it to have helped", lambda: world.says("it has helped"), 120)
        after, scrape, told = world.up(), world.agent.scrape(), world.told()
        leaked = int(Path(f"{world.start}.pid").read_text())
    (slot,) = (slot for slot, pid in before.items() if pid == leaked)
    assert load.failed == []
    assert load.answered > 500
    assert {slot for slot in after if after[slot] != before[slot]} == {slot}
    assert len(witness.seen) == 4
    assert witness.fewest >= 2
    assert [text.partition(f"{leaked}")[0].partition(",")[0] for _, text in told if "waits" not in text] == [
        f"worker {slot} (pid ",
        "it has ended",
        f"worker {slot} was replaced by process {after[slot]}",
        "it has helped: no leak of worker " + slot + " for 10s",
    ]
    assert scrape.one("vitalsd_remedies_total", target="served", outcome="helped") == 1
    assert scrape.one("vitals_worker_restarts_total", target="served", worker=slot, reason="recycled") == 1


def test_a_dry_run_and_an_agent_that_is_killed(tmp_path: Path) -> None:
    """It says what it would have done and touches nobody; the service does not notice that its agent is gone."""
    world = World(tmp_path, "first", mode="dry_run")
    with world.running(world.command()) as service, world.load() as load, Witness(service.pid) as witness:
        began = time.monotonic()
        wait_for("a day to pass", lambda: time.monotonic() - began > YOUNG_SECONDS, 80)
        world.start.touch()
        wait_for("what it would have done", lambda: world.says("dry run: worker"), 120)
        said = [text for _, text in world.told() if "would have been asked" in text]
        agent = service.wait_agent_process()
        agent.send_signal(signal.SIGKILL)
        answered = load.answered
        wait_for("more answers", lambda: load.answered > answered + 100)
    assert len(said) == 1
    assert f"(pid {Path(f'{world.start}.pid').read_text()})" in said[0]
    assert "would have been asked to end by SIGTERM" in said[0]
    assert len(witness.seen) == 3
    assert load.failed == []
