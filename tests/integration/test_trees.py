"""
The trees of real servers, as an agent sees them that none of them knows of: who supervises whom, in which slots.

Without a probe. Uses app_serves.py, tasks_celery.py, children.py, crowds.py, clustered.js, preforks.pl and
orphans.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from bench.harness import free_ports
from support.agent import BIN, Agent, watching
from support.probed import TARGETS
from support.servers import MORE_TREES, SERVERS, Server, installed
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TREES = (*SERVERS, *MORE_TREES)
REPLACING = [server for server in TREES if server.replaces]
SEEN_SECONDS = 6.0
"""A loop is found within one, and a stall of 0.8 s is told at once."""
NAMED = {"ids": lambda server: server.name}


@contextlib.contextmanager
def _started(command: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A service without a probe in a session of its own, all of which is gone at the end."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VITALSD", "PYTHONPATH", "GUNICORN", "WEB_CONCURRENCY"))
    }
    path = f"{BIN}{os.pathsep}{kept.get('PATH', '')}"
    process = subprocess.Popen(
        command,
        cwd=TARGETS,
        env={**kept, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(each.pid) == process.pid:
                    each.kill()
        process.communicate()


@contextlib.contextmanager
def _watched(server: Server, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Agent]]:
    """A server and an agent that was told its pid."""
    if not installed(server):
        pytest.skip(f"{server.command[0]} is not installed")
    with _started(server.at(free_ports(1)[0])) as process:
        agent = Agent(folder)
        with watching(agent, "--pid", str(process.pid), "--name", "shop"):
            yield process, agent


def _settled(server: Server, agent: Agent, without: Mapping[str, int] | None = None) -> dict[str, Any]:
    """The target, once a worker sits in every slot; `without` those who sat there."""
    gone = set((without or {}).values())

    def look() -> dict[str, Any] | None:
        target: dict[str, Any] = agent.targets()["shop"]
        up = {worker["slot"]: worker["key"]["pid"] for worker in target["workers"] if worker["up"]}
        supervised = (target["supervisor"] is not None) == (server.kind is not None)
        return target if up.keys() == server.slots and supervised and not gone & set(up.values()) else None

    return wait_for(f"a worker in every slot of {server.name}", look, 40)


def _pids(target: dict[str, Any]) -> dict[str, int]:
    """Slot -> pid."""
    return {worker["slot"]: worker["key"]["pid"] for worker in target["workers"]}


@pytest.mark.parametrize("server", TREES, **NAMED)
def test_who_supervises_whom(server: Server, tmp_path: Path) -> None:
    """The kind is recognised with what it was told; the master is no worker, and neither are helpers."""
    with _watched(server, tmp_path) as (process, agent):
        target = _settled(server, agent)
        pids, supervisor = _pids(target), target["supervisor"]

        assert pids.keys() == server.slots
        if server.kind is None:
            assert (supervisor, pids) == (None, {"0": process.pid})
            return
        assert supervisor["key"]["pid"] == process.pid
        assert process.pid not in pids.values()
        told = {name: supervisor[name] for name in ("kind", "worker_class", "timeout_seconds", "workers")}
        assert told == {
            "kind": server.kind,
            "worker_class": server.worker_class,
            "timeout_seconds": server.timeout_seconds,
            "workers": server.asked,
        }


@pytest.mark.parametrize("server", REPLACING, **NAMED)
def test_slots_stay_when_a_worker_is_replaced(server: Server, tmp_path: Path) -> None:
    """Who comes for a killed worker sits where that sat, and the others stay where they are."""
    with _watched(server, tmp_path) as (_, agent):
        before = _pids(_settled(server, agent))
        os.kill(before["0"], signal.SIGKILL)
        target = _settled(server, agent, without={"0": before["0"]})

        assert _pids(target) == {**before, "0": _pids(target)["0"]}
        assert sum(target["restarts"]["0"].values()) == 1
        assert sum(target["restarts"]["1"].values()) == 0


def test_a_request_of_uwsgi_is_no_stall(tmp_path: Path) -> None:
    """Its workers wait for connections in an epoll, as loops do for events, and serve one after the other."""
    server = next(server for server in MORE_TREES if server.name == "uWSGI")
    if not installed(server):
        pytest.skip("uwsgi is not installed")
    port = free_ports(1)[0]
    with _started(server.at(port)) as process:
        agent = Agent(tmp_path)
        with watching(agent, "--pid", str(process.pid), "--name", "shop"):
            _settled(server, agent)
            until = time.monotonic() + SEEN_SECONDS
            while time.monotonic() < until:
                for path in ("/", "/slow"):
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                        assert answer.read() == b"served"
            workers = agent.targets()["shop"]["workers"]
            incidents = agent.api("incidents")["incidents"]

    assert [incident["summary"] for incident in incidents] == []
    assert [worker["observed"] for worker in workers] == [None, None]
    assert all(worker["missing"]["observed"].startswith("a worker of uWSGI serves one") for worker in workers)


@pytest.mark.parametrize(
    ("options", "environment", "config", "expected"),
    [
        (["-t", "77"], {"GUNICORN_CMD_ARGS": "-t 5"}, "timeout = 6", 77.0),
        ([], {"GUNICORN_CMD_ARGS": "--timeout 76"}, "timeout = 6", 76.0),
        ([], {}, "import os\n\nbind = '{bind}'\ntimeout = 75\n", 75.0),
        ([], {}, "import os\n\ntimeout = 10 if os.environ else 20\n", None),
        ([], {"WEB_CONCURRENCY": "2"}, "graceful_timeout = 3", 30.0),
    ],
    ids=["command line", "environment", "configuration", "computed", "default"],
)
def test_what_gunicorn_was_told(
    tmp_path: Path, options: list[str], environment: dict[str, str], config: str, expected: float | None
) -> None:
    """Its timeout, as it takes it from each place; one that it computes is not known, and never a default."""
    bind = f"127.0.0.1:{free_ports(1)[0]}"
    file = tmp_path / "told.py"
    file.write_text(config.format(bind=bind))
    command = ["gunicorn", "--no-control-socket", "-w", "2", "-b", bind, "-c", str(file), *options]
    with _started([*command, "app_serves:wsgi"], **environment) as process:
        agent = Agent(tmp_path)
        with watching(agent, "--pid", str(process.pid), "--name", "shop"):
            target = wait_for("the workers", lambda: (now := agent.targets()["shop"])["supervisor"] and now, 40)

            assert target["supervisor"]["timeout_seconds"] == expected


def test_status_says_it_in_a_line(tmp_path: Path) -> None:
    """Kind, class, number, timeout and pid, and that nothing is known yet of the memory they share."""
    server = SERVERS[0]
    with _watched(server, tmp_path) as (process, agent):
        _settled(server, agent)
        said = agent.command("status", agent.listens[1]).stdout.splitlines()

        assert f"shop: gunicorn (sync, 2 workers, timeout 30 s), pid {process.pid}" in said
        assert any(line.startswith("shop: ") and "memory together" in line for line in said)


def test_children_that_nobody_fetches(tmp_path: Path) -> None:
    """They are told as long as they are there."""
    with _started([sys.executable, "orphans.py", "3"]) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        agent = Agent(tmp_path)
        with watching(agent, "--pid", str(process.pid), "--name", "shop"):
            target = wait_for("its zombies", lambda: (now := agent.targets()["shop"])["zombie_count"] == 3 and now)
            assert {zombie["parent"]["pid"] for zombie in target["zombies"]} == {process.pid}
            assert {zombie["name"] for zombie in target["zombies"]} == {"true"}
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "fetched\n"
            wait_for("none of them", lambda: agent.targets()["shop"]["zombie_count"] == 0)
            assert agent.targets()["shop"]["zombies"] == []
