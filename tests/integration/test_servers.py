"""`vitalsd run` around the servers that Python services run under: who is a worker, and who takes whose place.

Uses app_serves.py, tasks_celery.py, children.py, helpers.py and drops.py of tests/targets.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bench.harness import free_ports
from support.agent import Agent, Service, running
from support.probed import TARGETS, open_to_all
from support.servers import SERVERS, Server, installed
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = Server("one child", (), loops=True, slots=frozenset({"0"}))


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.name)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Service]]:
    """One server of each kind with an agent beside it, for all tests of this file."""
    server: Server = request.param
    if not installed(server):
        pytest.skip(f"{server.command[0]} is not installed")
    agent = Agent(tmp_path_factory.mktemp("served"))
    with running(agent, server.at(free_ports(1)[0]), "--name", "served", cwd=TARGETS) as service:
        yield server, service


def _settle(server: Server, service: Service) -> dict[str, int]:
    """Slot -> pid, once every worker publishes a segment."""

    def look() -> dict[str, int] | None:
        try:
            workers = service.agent.targets()["served"]["workers"]
        except (OSError, KeyError):
            return None
        probed = {worker["slot"]: worker["key"]["pid"] for worker in workers if worker["up"] and worker["probe"]}
        return probed if probed.keys() == server.slots == {worker["slot"] for worker in workers} else None

    return wait_for(f"a probe in every slot of {server.name}", look, 40)


def test_every_worker_has_a_slot_and_the_master_has_none(served: tuple[Server, Service]) -> None:
    """Workers sit in 0..N-1; the process that only supervises them is not among them."""
    server, service = served
    pids = _settle(server, service)

    assert len(set(pids.values())) == len(server.slots)
    assert (service.pid in pids.values()) == (len(server.slots) == 1)
    assert service.agent.scrape().up("served") == server.slots
    supervisor = service.agent.targets()["served"]["supervisor"]
    assert (supervisor and supervisor["kind"]) == server.kind
    assert supervisor is None or supervisor["key"]["pid"] == service.pid


def test_every_worker_tells_what_its_kind_has(served: tuple[Server, Service]) -> None:
    """Heap, garbage collection and threads of every worker, and loop delay of those that run a loop."""
    server, service = served
    _settle(server, service)
    per_worker = ("vitals_heap_used_bytes", "vitals_heap_blocks", "vitals_process_threads")
    looped = "vitals_eventloop_delay_seconds_count"
    scrape = service.agent.wait_scrape(
        "a heap in every slot, and a loop that has been met",
        lambda scrape: (
            len(scrape.all("vitals_heap_used_bytes", target="served")) == len(server.slots)
            and (not server.loops or len(scrape.all(looped, target="served")) >= len(server.slots))
        ),
    )

    for name in per_worker:
        found = {labels["worker"]: value for labels, value in scrape.all(name, target="served")}
        assert found.keys() == server.slots, name
        assert all(value > 0 for value in found.values()), name
    pauses = scrape.all("vitals_gc_pause_seconds_count", target="served", generation="2")
    assert {labels["worker"] for labels, _ in pauses} == server.slots
    loops = {labels["worker"] for labels, _ in scrape.all(looped, target="served")}
    assert loops == (server.slots if server.loops else set())
    sources = {labels["lag_source"] for labels, _ in scrape.all("vitals_worker_info", target="served")}
    assert sources == {"probe"}


def test_a_killed_worker_is_replaced_in_its_slot(served: tuple[Server, Service]) -> None:
    """The replacement inherits the slot and one restart; the dead leave no series, the others' counters go on."""
    server, service = served
    if not server.replaces:
        pytest.skip(f"{server.name} does not replace its workers")
    agent = service.agent
    pids = _settle(server, service)
    before = agent.scrape()
    os.kill(pids["1"], signal.SIGKILL)
    later = wait_for(
        "the replacement", lambda: (now := _settle(server, service))["1"] != pids["1"] and now, seconds=40
    )
    after = agent.scrape()

    assert later["0"] == pids["0"]
    assert after.up("served") == before.up("served")
    restarts = [
        sum(value for _, value in scrape.all("vitals_worker_restarts_total", target="served", worker="1"))
        for scrape in (before, after)
    ]
    assert restarts[1] - restarts[0] == 1
    of_others = {key: value for key, value in before.counters("served").items() if ("worker", "0") in key[1]}
    now = after.counters("served")
    assert len(of_others) > 20
    assert {key for key, value in of_others.items() if now.get(key, -1.0) < value} == set()
    started = [
        scrape.one("vitals_process_start_time_seconds", target="served", worker="1") for scrape in (before, after)
    ]
    assert started[1] > started[0]
    for name in after.samples.keys() - {"vitals_incident_info"}:  # it is about the end itself
        theirs, its = (after.all(name, target="served", worker=slot) for slot in ("0", "1"))
        assert len(its) <= max(len(theirs), len(before.all(name, target="served", worker="1"))), name
    wait_for("the segment of the dead to go", lambda: not list(agent.segments.glob(f"*-{pids['1']}-*.seg")))


def test_a_master_that_runs_a_loop_is_no_worker(tmp_path) -> None:
    """gunicorn's master serves its control socket by asyncio; it still serves no request, so it is no worker."""
    server = SERVERS[0]
    command = [word for word in server.at(free_ports(1)[0]) if word != "--no-control-socket"]
    command[1:1] = ["--control-socket", str(tmp_path / "control")]
    agent = Agent(tmp_path)
    with running(agent, command, "--name", "served", cwd=TARGETS) as service:
        agent.wait_scrape(
            "a probe in both workers",
            lambda scrape: len(scrape.all("vitals_heap_used_bytes", target="served")) >= 2,
        )
        # The master is as old as its workers: its segment comes with theirs, and its slot with the next search.
        sampled = agent.scrape().one("vitalsd_sample_timestamp_seconds", target="served") or 0.0
        agent.wait_scrape(
            "another search",
            lambda scrape: (scrape.one("vitalsd_sample_timestamp_seconds", target="served") or 0.0) > sampled + 2,
        )

        assert service.pid not in service.workers("served").values()


CHILDREN = [sys.executable, str(TARGETS / "children.py"), "fork", "1", "asks"]


def test_a_master_that_was_alone_at_first_is_no_restart(tmp_path) -> None:
    """A service that has only just started its worker has no restarts, though the agent saw its master alone."""
    agent = Agent(tmp_path)
    with running(agent, CHILDREN, "--name", "served", stdin=subprocess.PIPE) as service:
        agent.wait_scrape("the master alone", lambda scrape: scrape.up("served") == {"0"})
        _start_child(service)
        wait_for("the worker", lambda: _settle(ONE, service)["0"] != service.pid)
        restarts = agent.scrape().all("vitals_worker_restarts_total", target="served")

    assert sum(value for _, value in restarts) == 0


def test_a_master_never_sits_in_for_its_worker(tmp_path) -> None:
    """While the only worker is dead its slot is down, and the next worker is the first restart."""
    agent = Agent(tmp_path)
    with running(agent, CHILDREN, "--name", "served", stdin=subprocess.PIPE) as service:
        _start_child(service)
        worker = wait_for("the worker", lambda: (pid := _settle(ONE, service)["0"]) != service.pid and pid)
        before = agent.scrape()
        os.kill(worker, signal.SIGKILL)
        agent.wait_scrape(
            "the death to be seen",
            lambda scrape: (
                scrape.one("vitals_process_start_time_seconds", target="served")
                != before.one("vitals_process_start_time_seconds", target="served")
            ),
        )
        meanwhile = agent.scrape()
        _start_child(service)
        wait_for("the replacement", lambda: _settle(ONE, service)["0"] not in (worker, service.pid))
        after = agent.scrape()

    assert meanwhile.up("served") == set()
    restarts = [
        sum(value for _, value in scrape.all("vitals_worker_restarts_total", target="served"))
        for scrape in (before, after)
    ]
    assert restarts[1] - restarts[0] == 1


def _start_child(service: Service) -> None:
    """Let children.py go on."""
    assert service.process.stdin is not None
    service.process.stdin.write("go\n")
    service.process.stdin.flush()


def test_helpers_are_no_workers_and_leave_nothing(tmp_path) -> None:
    """Scripts that a service shells out to, with a loop or without, are never counted and leave no segment."""
    agent = Agent(tmp_path)
    with running(agent, [sys.executable, str(TARGETS / "helpers.py")], "--name", "served") as service:
        seen: set[str] = set()

        def all_done() -> bool:
            scrape = agent.scrape() if agent.answers() else None
            if scrape is not None:
                seen.update(labels["worker"] for labels, _ in scrape.all("vitals_worker_up", target="served"))
            return "helped" in service.said()

        wait_for("the helpers to end", all_done, 40)
        agent.wait_scrape(
            "the service's own heap", lambda scrape: bool(scrape.all("vitals_heap_blocks", target="served"))
        )
        wait_for(
            "one segment of the service", lambda: len(list(agent.segments.glob(f"*-{service.pid}-*.seg"))) == 1
        )
        names = {path.name.split("-")[1] for path in agent.segments.glob("*.seg")}
        own = str(service.wait_agent_process().pid)

        assert seen == {"0"}
        assert service.workers("served") == {"0": service.pid}
        assert names - {own} == {str(service.pid)}
        restarts = agent.scrape().all("vitals_worker_restarts_total", target="served")
        assert sum(value for _, value in restarts) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
def test_workers_that_drop_privileges_are_seen(tmp_path) -> None:
    """Workers that become `nobody` after the fork put their segments elsewhere, and root's agent finds them."""
    python = "/usr/bin/python3"  # Debian's; the one that runs the tests may lie in root's home
    if not open_to_all(python):
        pytest.skip(f"{python} is not there, or `nobody` cannot read the probe's files")
    agent = Agent(tmp_path)
    del agent.environment["VITALSD_DIR"]  # the default: /run/vitalsd for root, /dev/shm/vitalsd-UID for others
    with running(agent, [python, str(TARGETS / "drops.py")], "--name", "served") as service:
        pids = _settle(SERVERS[0], service)

        assert service.pid not in pids.values()
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids.values()} == {65534}
        files = agent.scrape().all("vitals_process_open_fds", target="served")
        assert {labels["worker"] for labels, _ in files} == {"0", "1"}
    for pid in pids.values():
        for path in Path("/dev/shm/vitalsd-65534").glob(f"*-{pid}-*.seg"):
            path.unlink()
