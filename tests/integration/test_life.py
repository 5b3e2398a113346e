"""
Workers that hang or are stopped, under the servers that they really run under: who it is, where, and until when.

Uses app_hangs.py, app_serves.py, tasks_celery.py and children.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from bench.harness import free_ports
from support.agent import Agent, running, watching
from support.probed import TARGETS
from support.servers import Server, installed
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON = {"VITALSD__WORKERS__HUNG_AFTER": "2s"}
GUNICORN = ("gunicorn", "--no-control-socket", "-b", "127.0.0.1:{port}", "-w", "2", "-t", "30")


def incidents(agent: Agent, kind: str = "worker_hung") -> list[dict[str, Any]]:
    """Those of one kind, of the service."""
    told = agent.api("incidents?target=served")["incidents"]
    return [one for one in told if one["kind"] == kind]


def hung(agent: Agent, seconds: float = 25.0, *, stacks: bool = True) -> dict[str, Any]:
    """The only one there is, once it has its stack."""

    def look() -> dict[str, Any] | None:
        told = incidents(agent)
        return told[0] if told and (not stacks or told[0]["evidence"].get("stacks")) else None

    return wait_for("an incident with its stack", look, seconds)


def ask(port: int, path: str) -> None:
    """Ask for it, and wait for no answer longer than the service lives."""

    def asking() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            connection.getresponse().read()

    threading.Thread(target=asking, daemon=True).start()


def listens(port: int) -> bool:
    """Whether the service answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    return False


@dataclass
class Plain:
    """A service that nobody has put a probe into, and the agent beside it."""

    agent: Agent
    port: int
    pid: int


@contextlib.contextmanager
def plain(folder: Path, command: tuple[str, ...], more: dict[str, str], *, serves: bool = True) -> Iterator[Plain]:
    """Start it, and the agent once it serves."""
    agent = Agent(folder, more)
    (port,) = free_ports(1)
    words = [word.format(port=port) for word in command]
    with (folder / "service.log").open("w") as log:
        service = subprocess.Popen(
            words,
            cwd=TARGETS,
            env=agent.environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        if serves:
            wait_for("the service to answer", lambda: listens(port), 30)
        with watching(agent, "--pid", str(service.pid), "--name", "served"):
            yield Plain(agent, port, service.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGCONT)
            os.killpg(service.pid, signal.SIGKILL)
        service.wait()


def two_workers(agent: Agent) -> dict[str, int]:
    """Slot -> pid, once both are there."""

    def look() -> dict[str, int] | None:
        target = agent.targets().get("served") if agent.answers() else None
        workers = target["workers"] if target is not None else []
        pids = {one["slot"]: one["key"]["pid"] for one in workers if one["up"]}
        return pids if pids.keys() == {"0", "1"} else None

    return wait_for("two workers", look, 40)


@pytest.mark.parametrize(("path", "function"), [("/sleep", "wait_for_the_bank"), ("/spin", "count_every_coin")])
def test_a_synchronous_worker_is_told_long_before_its_arbiter_aborts_it(
    path: str, function: str, tmp_path: Path
) -> None:
    """With gunicorn's own timeout of 30 s the stack is there 20 s before, by the default bounds."""
    with plain(tmp_path, (*GUNICORN, "app_hangs:wsgi"), {}) as service:
        pids = two_workers(service.agent)
        ask(service.port, path)
        told = hung(service.agent)
        evidence = told["evidence"]
        assert evidence["pid"] == pids[told["worker"]]
        assert told["culprit"]["function"].endswith(function)
        assert told["severity"] == "critical"
        assert evidence["ended_in_seconds"] >= 20
        assert "gunicorn ends it in" in told["summary"]


def test_workers_at_rest_are_not_hung(tmp_path: Path) -> None:
    """A synchronous worker with nothing to do touches its file each half of the timeout only."""
    command = (
        "gunicorn",
        "--no-control-socket",
        "-b",
        "127.0.0.1:{port}",
        "-w",
        "2",
        "-t",
        "12",
        "app_hangs:wsgi",
    )
    with plain(tmp_path, command, {"VITALSD__WORKERS__HUNG_AFTER": "1s"}) as service:
        touched: dict[str, set[str]] = {}

        def look() -> bool:
            for worker in service.agent.targets()["served"]["workers"]:
                if worker["pulse"] is not None and worker["pulse"]["touched_at"] is not None:
                    touched.setdefault(worker["slot"], set()).add(worker["pulse"]["touched_at"][:19])
            return len(touched) == 2 and all(len(times) >= 3 for times in touched.values())

        wait_for("each to touch its file three times", look, 60)
        assert incidents(service.agent) == []


def test_a_long_request_is_an_incident_once(tmp_path: Path) -> None:
    """What workers of this service have come back from by themselves is told, resolved, and not told again."""
    more = {"VITALSD__WORKERS__HUNG_AFTER": "2s"}
    with plain(tmp_path, (*GUNICORN, "app_hangs:wsgi"), more) as service:
        two_workers(service.agent)
        ask(service.port, "/sleep6")
        first = hung(service.agent)
        ended = wait_for(
            "it to come back",
            lambda: [one for one in incidents(service.agent) if one["state"] == "resolved"] or None,
            20,
        )
        assert "it came back after" in ended[0]["timeline"][-1]["text"]
        ask(service.port, "/sleep6")

        def excused() -> bool:
            status = service.agent.command("status", *service.agent.listens[1:], "--rules", "--json")
            states = json.loads(status.stdout).get("rules", [])
            return any(one["rule"] == "worker_hung" and one["state"] == "watching" for one in states)

        wait_for("the rule to say why it does not fire", excused, 10)
        assert [one["id"] for one in incidents(service.agent)] == [first["id"]]
        assert len(incidents(service.agent)[0]["timeline"]) == len(ended[0]["timeline"])


LOOPS = [
    Server("uvicorn", ("uvicorn", "--port", "{port}", "--workers", "2", "app_hangs:app"), loops=True),
    Server("hypercorn", ("hypercorn", "-b", "127.0.0.1:{port}", "-w", "2", "app_hangs:app"), loops=True),
    Server("gunicorn", (*GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "app_hangs:app"), loops=True),
]
AFTER = {
    "uvicorn": "uvicorn takes it for healthy, since a thread answers for it",
    "hypercorn": "hypercorn does not look whether it lives",
    "gunicorn": "gunicorn ends it in",
}


@pytest.mark.parametrize("probed", [True, False], ids=["probe", "zero-touch"])
@pytest.mark.parametrize("server", LOOPS, ids=lambda server: server.name)
def test_a_loop_that_hangs_is_told_whoever_takes_it_for_healthy(
    server: Server, probed: bool, tmp_path: Path
) -> None:
    """The right slot, the function, and what its supervisor does about it."""
    if not installed(server):
        pytest.skip(f"{server.command[0]} is not installed")
    with contextlib.ExitStack() as stack:
        if probed:
            agent = Agent(tmp_path, SOON)
            (port,) = free_ports(1)
            stack.enter_context(running(agent, server.at(port), "--name", "served", cwd=TARGETS))
            wait_for("the service to answer", lambda: listens(port), 40)
        else:
            service = stack.enter_context(plain(tmp_path, server.command, SOON))
            agent, port = service.agent, service.port
        pids = two_workers(agent)
        wait_for("its loops to be seen", lambda: _loops_seen(agent, probed), 30)
        ask(port, "/sleep20")
        told = hung(agent)
        assert told["evidence"]["pid"] == pids[told["worker"]]
        assert told["evidence"]["shown_by"] == "loop"
        assert told["culprit"]["function"].endswith("wait_for_the_bank")
        assert AFTER[server.name] in told["summary"]


def _loops_seen(agent: Agent, probed: bool) -> bool:
    workers = agent.targets()["served"]["workers"]
    if not probed:
        return all(one["observed"] for one in workers)
    return all(any(loop["running"] for loop in (one["probe"] or {}).get("loops", ())) for one in workers)


STOPPED = [
    ("gthread", (*GUNICORN, "-k", "gthread", "--threads", "3", "app_serves:wsgi")),
    ("celery", ("celery", "-A", "tasks_celery", "worker", "-c", "2", "-l", "WARNING")),
    ("multiprocessing", (sys.executable, "children.py", "spawn", "2")),
]


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A control group of version 1 that can be frozen; whoever is in it goes on at the end."""
    group = Path(f"/sys/fs/cgroup/freezer/vitalsd-life-{os.getpid()}")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group for freezing can be made here: {error}")
    try:
        yield group
    finally:
        (group / "freezer.state").write_text("THAWED")
        for pid in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()


def test_a_frozen_group_is_told_as_stopped(freezer: Path, tmp_path: Path) -> None:
    """As `docker pause` does it: one incident with all that is in it, no disk is blamed, and it ends with that."""
    joins = f"echo $$ > {freezer}/cgroup.procs; exec {sys.executable} children.py spawn 2"
    with plain(tmp_path, ("sh", "-c", joins), SOON, serves=False) as service:
        pids = two_workers(service.agent)
        (freezer / "freezer.state").write_text("FROZEN")
        told = hung(service.agent, stacks=False)
        assert (told["worker"], told["cause"], told["severity"]) == ("", "stopped", "critical")
        assert told["summary"].startswith("All 2 workers of `served` and their supervisor (multiprocessing) have")
        assert "their cgroup is frozen (docker pause?)" in told["summary"]
        assert told["evidence"]["pids"] == pids
        (freezer / "freezer.state").write_text("THAWED")
        wait_for("it to be over", lambda: incidents(service.agent)[0]["state"] == "resolved", 10)
        (told,) = incidents(service.agent)
        assert told["timeline"][-1]["text"].startswith("they came back after")
        assert {one["cause"] for one in incidents(service.agent, "stall")} <= {"stopped"}


@pytest.mark.parametrize(("name", "command"), STOPPED, ids=[name for name, _ in STOPPED])
def test_a_stopped_worker_is_told_and_told_again_when_it_goes_on(
    name: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Within two seconds of the two that a person may look, with what to do; nothing looks into it meanwhile."""
    serves = name == "gthread"
    with plain(tmp_path, command, SOON, serves=serves) as service:
        pids = two_workers(service.agent)
        stopped = psutil.Process(pids["1"])
        stopped.suspend()
        told = hung(service.agent, stacks=False)
        assert (told["worker"], told["cause"], told["severity"]) == ("1", "stopped", "critical")
        assert f"kill -CONT {pids['1']}" in told["summary"]
        assert stopped.status() == psutil.STATUS_STOPPED
        stopped.resume()
        wait_for("it to be over", lambda: incidents(service.agent)[0]["state"] == "resolved", 10)
        assert "it came back after" in incidents(service.agent)[0]["timeline"][-1]["text"]
