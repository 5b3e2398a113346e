"""
Workers of real servers that end: the slot, the reason and the incident, and none where somebody wanted it.

The agent samples as it does by default, so what is told within two seconds is told because a worker has ended.
Uses app_serves.py, tasks_celery.py, children.py and crashes.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from support.ended import Watched, command_of, serving
from support.probed import TARGETS
from support.servers import SERVERS
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOLD_SECONDS = 2.0
BY_NAME = {server.name: server for server in SERVERS}
KILLED = (
    "gunicorn sync",
    "gunicorn uvicorn",
    "uvicorn",
    "celery prefork",
    "forked processes",
    "spawned processes",
)
SOON = {
    "VITALSD__SAMPLING__INTERVAL": "500ms",
    "VITALSD__SAMPLING__DISCOVERY_INTERVAL": "500ms",
    "VITALSD__WORKERS__DOWN_AFTER": "1s",
}


def crashing(*how: object) -> list[str]:
    """How crashes.py is started."""
    return [sys.executable, str(TARGETS / "crashes.py"), *map(str, how)]


@pytest.mark.parametrize("name", KILLED)
def test_a_worker_that_is_killed(name: str, tmp_path: Path) -> None:
    """Within two seconds: the slot, the signal, and who has taken the place; and each counts as one restart."""
    with serving(tmp_path, command_of(BY_NAME[name])) as watched:
        for number in (signal.SIGKILL, signal.SIGSEGV):
            pid = watched.settle()["1"]
            incident, seconds = watched.kill(pid, number)
            assert seconds < TOLD_SECONDS
            assert (incident["worker"], incident["severity"]) == ("1", "warning")
            told = incident["evidence"]["exit"]
            assert (told["reason"], told["signal"], told["slot"]) == ("signal", number.name, "1")
            assert number.name in incident["summary"]
            wait_for("a replacement", lambda pid=pid: watched.workers().get("1") not in (None, pid), 20)
        wait_for("both to be counted", lambda: watched.restarts("signal") == 2)
        assert watched.restarts("unknown") == 0
        shown = watched.agent.command("status", f"--control-listen=127.0.0.1:{watched.agent.control_port}").stdout
        assert "restarts: shop: 2 signal" in shown, shown
        assert "ended: shop/1: " in shown


def test_a_hypercorn_whose_worker_is_killed(tmp_path: Path) -> None:
    """Its supervisor ends in order because of it: the worker is told soon, and then that nobody is left."""
    more = {"VITALSD__WORKERS__DOWN_AFTER": "2s"}
    with serving(tmp_path, command_of(BY_NAME["hypercorn"]), more=more) as watched:
        watched.settle()
        time.sleep(6)  # until the process table was read twice: a young master is taken for a worker at first
        pid = watched.settle()["1"]
        incident, seconds = watched.kill(pid, signal.SIGKILL)
        assert seconds < TOLD_SECONDS
        assert incident["worker"] == "1"
        gone = watched.incident("worker_down", severity="critical")
        assert gone["worker"] == "1"
        assert gone["evidence"]["workers_up"] == 0


def test_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """Its workers end in order, and nobody serves any more: critical, of the target."""
    more = {"VITALSD__WORKERS__DOWN_AFTER": "2s"}
    with serving(tmp_path, command_of(BY_NAME["gunicorn sync"]), more=more) as watched:
        watched.settle()
        incident, _ = watched.kill(watched.process.pid, signal.SIGKILL)
        assert incident["worker"] == ""
        watched.incident("worker_down", severity="critical")
        assert [each["worker"] for each in watched.incidents()] == [""]


def test_a_worker_that_its_supervisor_ends_for_its_silence(tmp_path: Path) -> None:
    """Nobody else has killed it: it had not touched its file for as long as gunicorn waits."""
    with serving(tmp_path, command_of(BY_NAME["gunicorn sync"], "--timeout", "4")) as watched:
        watched.settle()
        time.sleep(2)  # until it was looked at
        pid = watched.settle()["1"]
        os.kill(pid, signal.SIGSTOP)
        ended = watched.exit(pid)
        assert (ended["reason"], ended["slot"]) == ("timeout", "1")
        assert "without a sign of life, where its supervisor waits for 4 s" in ended["evidence"]
        assert watched.incident("worker_down")["worker"] == "1"


def test_a_crash_loop(tmp_path: Path) -> None:
    """Told as one thing; and lives of half a second are all counted, each with its reason."""
    with serving(tmp_path, crashing(2, 0.5, 3, 6, 30)) as watched:
        watched.settle()
        loop = watched.incident("crash_loop")
        assert (loop["worker"], loop["severity"]) == ("", "critical")
        assert loop["evidence"]["by"].keys() == {"exit 3"}
        assert loop["evidence"]["reasons"].keys() == {"error"}
        wait_for("all of them", lambda: watched.restarts("error") == 30, 30)
        assert len(watched.target()["exits"]) == 30
        assert all(each["worker"] == "" or each["count"] <= 4 for each in watched.incidents())


def test_load_balancers_hear_of_a_crash_loop(tmp_path: Path) -> None:
    """Workers that are up for 300 ms at a time take no traffic; when they have stayed up for a while, they do."""
    soon = {"VITALSD__WORKERS__CRASH_LOOP_WITHIN": "4s"}
    with serving(tmp_path, crashing(2, 0.3, 3, 3, 25), more=soon) as watched:
        watched.settle()
        assert watched.agent.get("/health/shop")[0] == 200
        loop = watched.incident("crash_loop")
        for path in ("/health/shop", "/health/shop/0", "/health/shop/1"):
            status, body = watched.agent.get(path)
            assert status == 503
            assert f"see incident `{loop['id']}`" in body
        over = watched.incident("crash_loop", state="resolved")
        assert over["timeline"][-1]["text"].startswith("its workers have stayed up for ")
        wait_for("traffic", lambda: watched.agent.get("/health/shop")[0] == 200)


def test_a_process_that_its_shell_starts_again(tmp_path: Path) -> None:
    """A service of one process is its own worker: it is told, and soon as a crash loop."""
    one = " ".join(crashing(0, 0.5, "SIGSEGV"))
    shell = ["/bin/sh", "-c", f"while :; do {one}; done"]
    match = r"--match=^\S*python\S* \S*crashes\.py 0 0\.5 SIGSEGV$"
    with serving(tmp_path, shell, match) as watched:
        loop = watched.incident("crash_loop")
        assert loop["evidence"]["by"].keys() == {"SIGSEGV"}
        assert loop["evidence"]["slots"] == ["0"]


def test_a_worker_that_the_kernel_ends_for_memory(tmp_path: Path, new_group: Callable[..., Path]) -> None:
    """The group's own counter says so: critical, with group and limit."""
    folder = new_group("vitalsd-ends", 96)
    with serving(tmp_path, crashing(2, 4, folder)) as watched:
        watched.settle()
        incident = watched.incident("oom_kill")
        assert incident["severity"] == "critical"
        assert incident["worker"] in ("0", "1")
        assert incident["evidence"]["group"].endswith(folder.name)
        assert incident["evidence"]["limit_bytes"] == 96 << 20
        assert incident["evidence"]["exit"]["reason"] == "oom_kill"
        assert watched.incidents("worker_down") == []
        wait_for("it to be counted", lambda: watched.restarts("oom_kill") >= 1)


def test_another_process_that_the_kernel_ends_for_memory(tmp_path: Path, new_group: Callable[..., Path]) -> None:
    """Not a worker, but of its group: a warning for the target."""
    folder = new_group("vitalsd-stray", 96)
    join = f"echo $$ > {folder}/cgroup.procs"
    burst = "import os; open('/proc/self/oom_score_adj', 'w').write('1000'); b'x' * (200 << 20)"
    with serving(tmp_path, ["/bin/sh", "-c", f"{join}; exec {' '.join(crashing(1, 1000, 0))}"]) as watched:
        watched.settle(1)
        time.sleep(1.0)  # until the counter was read
        shell = ["/bin/sh", "-c", f'{join}; exec {sys.executable} -c "$0"', burst]
        ended = subprocess.run(shell, check=False, timeout=30).returncode
        assert ended == -signal.SIGKILL
        incident = watched.incident("oom_kill")
        assert (incident["worker"], incident["severity"]) == ("", "warning")
        assert incident["evidence"]["kills"] == 1
        assert watched.target()["exits"] == []


class Wanted:
    """What people do to a gunicorn with two workers, and what comes of it."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.master = watched.process

    def pids(self) -> set[int]:
        """Its children."""
        return {child.pid for child in psutil.Process(self.master.pid).children()}

    def await_pids(self, count: int, without: set[int]) -> set[int]:
        """So many, none of those, and all of them known to the agent: what it has not seen it cannot miss."""

        def look() -> set[int] | None:
            now = self.pids()
            known = set(self.watched.workers().values())
            return now if len(now) == count and not now & without and now == known else None

        return wait_for(f"{count} workers", look)


def test_what_was_wanted_is_no_incident(tmp_path: Path) -> None:
    """TERM of a worker, HUP, TTIN, TTOU, workers asked one by one, and the end of the service: nothing to tell."""
    with serving(tmp_path, command_of(BY_NAME["gunicorn sync"]), more=SOON) as watched:
        watched.settle()
        wanted = Wanted(watched)
        first = wanted.pids()
        for pid in first:  # a rolling restart
            os.kill(pid, signal.SIGTERM)
            wanted.await_pids(2, {pid})
        second = wanted.await_pids(2, first)
        watched.process.send_signal(signal.SIGHUP)
        third = wanted.await_pids(2, first | second)
        watched.process.send_signal(signal.SIGTTIN)
        wanted.await_pids(3, set())
        watched.process.send_signal(signal.SIGTTOU)
        fewer = wanted.await_pids(2, set())
        gone = (first | second | third) - fewer
        for pid in gone:
            assert watched.exit(pid)["reason"] == "graceful"
        time.sleep(2)  # beyond `workers.down_after`
        watched.process.terminate()
        watched.process.wait(20)
        wait_for("its end", lambda: any(each["slot"] == "" for each in watched.target()["exits"]))
        time.sleep(3)
        assert {each["reason"] for each in watched.target()["exits"]} == {"graceful"}
        assert watched.incidents() == []


def test_max_requests_is_no_incident(tmp_path: Path) -> None:
    """Workers that end after so many requests are counted as restarts, in order."""
    server = BY_NAME["gunicorn sync"]
    with serving(tmp_path, command_of(server, "--max-requests", "2")) as watched:
        watched.settle()
        port = int(watched.target()["supervisor"]["command"].split("127.0.0.1:")[1].split()[0])

        def asked() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()
            return watched.restarts("graceful") >= 3

        wait_for("restarts in order", asked, 60)
        time.sleep(2)
        assert watched.incidents() == []


@pytest.mark.parametrize("name", ["uvicorn", "celery prefork", "gunicorn uvicorn"])
def test_a_service_that_is_stopped_is_no_incident(name: str, tmp_path: Path) -> None:
    """As `docker stop` and systemd do it."""
    with serving(tmp_path, command_of(BY_NAME[name]), more=SOON) as watched:
        watched.settle()
        time.sleep(2)  # until the process table was read twice: a young master is taken for a worker at first
        watched.process.terminate()
        watched.process.wait(30)
        wait_for("its end", lambda: any(each["slot"] == "" for each in watched.target()["exits"]))
        time.sleep(3)
        assert watched.incidents() == []
