"""History of a real agent: exported while it runs, there after kill -9, and no trouble to anybody without a disk.

Uses idles.py of tests/targets.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.agent import Agent, watching
from support.probed import probed
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.probed import Probed


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path)


@pytest.fixture
def service(agent: Agent) -> Iterator[Probed]:
    """A service with nothing to do."""
    with probed(["idles.py"], agent.segments, VITALSD_TARGET="shop") as process:
        process.line()
        yield process


def exported(agent: Agent, *more: str) -> list[dict[str, Any]]:
    """What the command prints of the service."""
    done = agent.command("history", "export", "--target=shop", agent.listens[0], *more)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_history_outlives_an_agent_that_is_killed(agent: Agent, service: Probed) -> None:
    """Written while the first minute lasts, read meanwhile, joined by the next agent: same slot, same life."""
    seen = psutil.Process(service.pid).memory_info()
    with watching(agent) as first:
        before = wait_for("a first point", lambda: exported(agent) or None)
        assert agent.scrape().one("vitalsd_history_success") == 1
        first.kill()
        first.wait()
    assert exported(agent) == before, "nothing is lost with the agent"
    with watching(agent):
        after = wait_for(
            "a later point", lambda: (now := exported(agent)) and now[-1]["t"] > before[-1]["t"] + 1 and now
        )
    every = before + after
    assert {(point["worker"], point["start"]) for point in every} == {("0", before[0]["start"])}
    assert abs(before[0]["start"] - psutil.Process(service.pid).create_time()) < 2
    assert [point["t"] for point in after] == sorted(point["t"] for point in after)
    assert all(0 < point["rss_anon"] <= 2 * seen.rss for point in every)
    assert {point["fds"] for point in every if "fds" in point} <= {
        psutil.Process(service.pid).num_fds() + number for number in range(-2, 3)
    }
    assert all(point["blocks"] > 1000 for point in every if "blocks" in point)


def test_an_agent_that_ends_in_order_leaves_all_of_it(agent: Agent, service: Probed) -> None:
    """Though it has lived for a second."""
    with watching(agent) as process:
        agent.wait_scrape("the worker", lambda scrape: scrape.up("shop") == {"0"})
        process.terminate()
        assert process.wait(15) == 0
    assert exported(agent)
    assert sorted(each.suffix for each in agent.storage.glob("history-*")) in (
        [".db", ".lock"],
        [".db", ".db-shm", ".db-wal", ".lock"],  # the latter two are left by whoever only reads
    )


def test_without_a_disk_the_agent_goes_on(tmp_path: Path) -> None:
    """It says so once, and in a metric."""
    agent = Agent(tmp_path, {"VITALSD__STORAGE__DIR": "/dev/null/nowhere"})
    with watching(agent, "--pid", str(os.getpid()), "--name", "shop") as process:
        agent.wait_scrape(
            "both to be told",
            lambda scrape: scrape.one("vitalsd_history_success") == 0 and bool(scrape.up("shop")),
        )
        assert agent.scrape().one("vitalsd_store_success") == 0
        process.terminate()
        assert process.wait(15) == 0
        assert process.stderr is not None
        told = re.findall(r'"store":"(\w+)","reason":"([^"]+)"', process.stderr.read())
    assert [store for store, _ in told] == ["incidents", "history", "captures"]
    assert all("Not a directory" in reason for _, reason in told)
