"""
The places of a pool whose workers or supervisor have gone, over restarts of the agent: missed, vacant or replaced.

Uses app_serves.py and idles.py of tests/targets.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from support.ended import command_of, serving, started
from support.probed import TARGETS
from support.servers import SERVERS
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

GUNICORN = next(server for server in SERVERS if server.name == "gunicorn sync")
SOON_OVER = {"VITALSD__WORKERS__DOWN_AFTER": "1s", "VITALSD__STALL__RESOLVE_AFTER": "2s"}
"""What is not found again is over soon."""
WRITTEN_SECONDS = 4
"""By then the agent, which has its store for itself, has written down what it will be asked for after its end."""


def test_an_empty_place_is_missed_by_the_next_agent(tmp_path: Path) -> None:
    """The incident goes on with its id, its reason and its beginning, and ends when somebody is there again."""
    command = [sys.executable, str(TARGETS / "idles.py"), "3611"]
    match = r"--match=idles\.py 3611$"  # as no other test has it
    with started(tmp_path, command, SOON_OVER) as watched:
        with watched.beside(match):
            pid = watched.process.pid
            wait_for("it", lambda: [each["key"]["pid"] for each in watched.target()["workers"]] == [pid])
            os.kill(pid, signal.SIGKILL)
            watched.process.wait()
            before = watched.incident("worker_down", severity="critical")
            time.sleep(WRITTEN_SECONDS)
        with watched.beside(match):
            time.sleep(5)  # longer than it takes to resolve what is not found again
            (after,) = watched.incidents()
            assert (after["id"], after["state"], after["severity"]) == (before["id"], "open", "critical")
            assert after["evidence"]["exit"] == before["evidence"]["exit"]
            assert after["evidence"]["exit"]["signal"] == "SIGKILL"
            assert watched.exit(pid)["reason"] == "signal"


def test_a_supervisor_that_is_missed_is_by_the_next_agent(tmp_path: Path) -> None:
    """It has no slot, and its workers have gone with it."""
    command = command_of(GUNICORN)
    match = f"--match={' '.join(command[1:])}$"
    with started(tmp_path, command, SOON_OVER) as watched:
        with watched.beside(match):
            watched.settle()
            watched.process.kill()
            watched.process.wait()
            before = watched.incident("worker_down", severity="critical")
            assert before["worker"] == ""
            time.sleep(WRITTEN_SECONDS)
        with watched.beside(match):
            time.sleep(5)  # longer than it takes to resolve what is not found again
            (after,) = watched.incidents()
            assert (after["id"], after["state"]) == (before["id"], "open")


def test_an_end_of_before_is_not_told_when_the_supervisor_dies(tmp_path: Path) -> None:
    """A worker was killed and replaced; then its master is, and that is what is said."""
    with serving(tmp_path, command_of(GUNICORN), more=SOON_OVER) as watched:
        first = watched.settle()["1"]
        watched.kill(first, signal.SIGKILL)
        wait_for("a replacement", lambda: watched.workers().get("1") not in (None, first), 20)
        wait_for("it to be over", lambda: all(each["state"] == "resolved" for each in watched.incidents()), 60)
        watched.process.kill()
        watched.process.wait()
        watched.incident("worker_down", severity="critical")
        time.sleep(3)
        now = [(each["worker"], each["severity"]) for each in watched.incidents() if each["state"] == "open"]
        assert now == [("", "critical")]
        shown = watched.agent.command("status", f"--control-listen=127.0.0.1:{watched.agent.control_port}").stdout
        assert f"pid {first} ended" not in "".join(line for line in shown.splitlines() if "note:" in line)


def test_a_pool_that_is_made_smaller_has_a_vacant_place(tmp_path: Path) -> None:
    """SIGTTOU: it is down at no time, neither in the API nor in the metrics, and one less is asked for."""
    with serving(tmp_path, command_of(GUNICORN)) as watched:
        watched.settle()
        time.sleep(2)
        watched.settle()
        watched.process.send_signal(signal.SIGTTOU)

        def vacant() -> list[str]:
            rows = watched.agent.scrape().all("vitals_worker_up", target="shop")
            assert {value for _, value in rows} == {1}
            return [each["slot"] for each in watched.target()["workers"] if each["vacant"]]

        (slot,) = wait_for("a vacant place", lambda: vacant() or None)
        for _ in range(10):
            assert vacant() == [slot]
            time.sleep(0.5)
        assert watched.incidents() == []
        watched.process.send_signal(signal.SIGTTIN)
        watched.settle()
        assert vacant() == []


def test_a_gunicorn_that_gives_up_says_why(tmp_path: Path) -> None:
    """Its worker cannot boot, so it halts with their code, and that means something else of itself."""
    (tmp_path / "shop.py").write_text("import time\ntime.sleep(6)\nraise RuntimeError('no database')\n")
    command = command_of(GUNICORN)
    with serving(tmp_path, [*command[:-1], "-w", "1", "--chdir", str(tmp_path), "shop:wsgi"]) as watched:
        watched.settle(1)
        assert watched.process.wait(30) == 3
        told = watched.exit(watched.process.pid)
        assert (told["slot"], told["code"], told["reason"]) == ("", 3, "error")
        assert told["evidence"] == "it exited with 3: gunicorn gives up because a worker could not boot"
