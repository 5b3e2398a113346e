"""Workers that hang are recycled, and an agent that is killed in the middle leaves nothing half done."""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.agent import watching
from support.recycled import LONG_TEST_SECONDS, Witness, World
from support.waiting import wait_for


@pytest.fixture(autouse=True)
def takes_long() -> None:
    """Longer than a test may otherwise."""
    faulthandler.dump_traceback_later(LONG_TEST_SECONDS, exit=True, file=sys.__stderr__)


HANGS = {"VITALSD__WORKERS__HUNG_AFTER": "1s"}


def test_a_worker_that_hangs_is_killed_after_its_time(tmp_path: Path) -> None:
    """It is asked, does not react, and is killed: all other requests are answered, and it has helped."""
    world = World(tmp_path, "first", mode="on", grace="2s", helped_after="5s")
    world.agent.environment |= HANGS
    with world.running(world.hanging()) as service, Witness(service.pid) as witness:
        settled = time.monotonic() + 5
        wait_for("workers that are old enough", lambda: time.monotonic() > settled)
        before = set(world.up().values())
        with world.one_hangs():
            wait_for("it to be asked", lambda: world.says("was asked to end", "worker_hung"), 40)
            with world.load() as load:
                wait_for("it to have helped", lambda: world.says("it has helped", "worker_hung"), 60)
        after = set(world.up().values())
        told, scrape = [text for _, text in world.told("worker_hung")], world.agent.scrape()
    steps = [text for text in told if "waits" not in text]
    assert [any(word in text for text in steps) for word in ("asked", "was killed", "replaced by")] == [True] * 3
    assert load.failed == []
    assert (len(before - after), len(after - before)) == (1, 1)
    assert witness.fewest >= 2
    recycled = scrape.all("vitals_worker_restarts_total", target="served", reason="recycled")
    assert sum(value for _, value in recycled) == 1


def test_an_agent_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    """The worker that was asked is left as it is, and the service serves; the next agent sees it through."""
    world = World(tmp_path, "first", mode="on", grace="12s", helped_after="5s")
    world.agent.environment |= HANGS
    with world.alone() as master, Witness(master) as witness:
        arguments = ["--pid", str(master), "--name", "served"]
        with contextlib.ExitStack() as asking:
            with watching(world.agent, *arguments):
                wait_for("three workers", lambda: len(world.up()) == 3, 40)
                settled = time.monotonic() + 5
                wait_for("workers that are old enough", lambda: time.monotonic() > settled)
                asking.enter_context(world.one_hangs())
                wait_for("it to be asked", lambda: world.says("was asked to end", "worker_hung"), 40)
                (asked,) = [text for _, text in world.told("worker_hung") if "was asked" in text]
            hung = psutil.Process(int(asked.partition("(pid ")[2].partition(")")[0]))
            assert hung.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
            with world.load() as load:
                wait_for("answers without an agent", lambda: load.answered > 100)
                with watching(world.agent, *arguments):
                    wait_for("it to have helped", lambda: world.says("it has helped", "worker_hung"), 60)
                    told = [text for _, text in world.told("worker_hung")]
    assert load.failed == []
    assert witness.fewest >= 2
    assert not hung.is_running()
    once = [sum(words in text for text in told) for words in ("was asked to end", "was killed", "replaced by")]
    assert once == [1, 1, 1]
