"""What outlives what: the service its agent, the counters both, and nothing a dead process.

Uses app_blocks.py, app_serves.py, blocks.py and idles.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from bench.harness import free_ports
from support.agent import Agent, running, watching
from support.probed import TARGETS, probed
from support.waiting import wait_for

from vitalsd.segment.reader import SegmentFile

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = 10
STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
GONE = (OSError, http.client.HTTPException)


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path)


@contextlib.contextmanager
def _asking(port: int) -> Iterator[list[object]]:
    """A client that asks one question after the other, each with a deadline; what it was answered."""
    answers: list[object] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            with contextlib.closing(connection):
                try:
                    connection.request("GET", "/")
                    answers.append(connection.getresponse().status)
                except GONE as error:
                    answers.append(error)

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield answers
    finally:
        over.set()
        client.join()


def test_an_agent_killed_at_any_instant_harms_nobody(agent: Agent) -> None:
    """Ten agents killed while they read: every request is answered, nothing is stopped, no counter steps back."""
    instants = random.Random(18780)
    port = free_ports(1)[0]
    command = [
        "uvicorn",
        "--app-dir",
        str(TARGETS),
        "--log-level",
        "warning",
        "--port",
        str(port),
        "app_blocks:app",
    ]
    with running(agent, command, "--name", "shop") as service:
        agent.wait_scrape(
            "a loop", lambda scrape: bool(scrape.all("vitals_eventloop_busy_seconds_total", target="shop"))
        )
        service.wait_agent_process().kill()
        known: dict[object, float] = {}
        with _asking(port) as answers:
            for _ in range(KILLS):
                with watching(agent, "--pid", str(service.pid), "--name", "shop") as process:
                    first = agent.scrape().counters("shop")
                    stepped_back = {
                        key: (was, first.get(key)) for key, was in known.items() if first.get(key, -1) < was
                    }
                    assert stepped_back == {}
                    known = _read_until_killed(agent, process, instants.uniform(0.0, 0.5)) or first
                assert psutil.Process(service.pid).status() not in STOPPED
                assert _tracer(service.pid) == 0
        (path,) = agent.segments.glob(f"*-{service.pid}-*.seg")
        segment = SegmentFile(path)
        with contextlib.closing(segment):
            assert segment.holder() == service.pid

    assert len(known) > 40
    assert len(answers) > KILLS
    assert set(answers) == {200}


def _read_until_killed(agent: Agent, process: subprocess.Popen[str], seconds: float) -> dict:
    """Scrape without a pause until the agent is killed in the midst of it; the last answer that was whole."""
    last: dict = {}
    killer = threading.Timer(seconds, process.kill)
    killer.start()
    with contextlib.suppress(*GONE):
        while True:
            last = agent.scrape().counters("shop")
    killer.join()
    process.wait()
    return last


def _tracer(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("TracerPid")))


def test_the_next_agent_buries_what_was_left(agent: Agent) -> None:
    """A service that was killed leaves a segment; the next agent removes it, and leaves those of the living."""
    with probed(["idles.py", "3600"], agent.segments) as living:
        living.line()
        living.wait_loop("its loop", lambda loop: loop.running)
        with probed(["blocks.py"], agent.segments) as dying:
            dying.line()
            dying.wait_loop("its loop", lambda loop: loop.running)
            dying.end(signal.SIGKILL)
            assert dying.segments().keys() == {living.pid, dying.pid}
        with watching(agent):
            wait_for("the dead segment to go", lambda: not list(agent.segments.glob(f"*-{dying.pid}-*")))
            scrape = agent.wait_scrape("the living", lambda scrape: scrape.up("idles") == {"0"})

            assert "blocks" not in {labels["target"] for labels, _ in scrape.all("vitals_target_up")}
            assert len(list(agent.segments.glob(f"*-{living.pid}-*.seg"))) == 1


def test_a_dead_worker_leaves_its_state_and_no_figures(agent: Agent) -> None:
    """Of a service that was killed the agent tells that it is down, keeps no figure, and removes the segment."""
    with probed(["idles.py", "3600"], agent.segments) as service:
        service.line()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            agent.wait_scrape("a heap", lambda scrape: bool(scrape.all("vitals_heap_used_bytes", target="shop")))
            service.end(signal.SIGKILL)
            scrape = agent.wait_scrape(
                "its end", lambda scrape: scrape.one("vitals_worker_up", target="shop") == 0
            )
            wait_for("the segment to go", lambda: not list(agent.segments.glob(f"*-{service.pid}-*")))

            assert scrape.one("vitals_target_up", target="shop") == 0
            figures = {
                name for name in scrape.samples if name.startswith("vitals_") and scrape.all(name, target="shop")
            }
            of_the_target = {"vitals_target_up", "vitals_incidents_open", "vitals_incidents_total"}
            assert figures == {"vitals_worker_up", "vitals_worker_restarts_total"} | of_the_target
            assert agent.get("/health/shop")[0] == 503


def test_sighup_reloads_and_a_broken_file_changes_nothing(agent: Agent) -> None:
    """A new target appears; with a mistake in the file everything stays as it was, and a metric says so."""
    config = agent.folder / "vitalsd.yaml"

    def write(*names: str, more: str = "") -> None:
        targets = "".join(f"- {{name: {name}, pid: {os.getpid()}}}\n" for name in names)
        config.write_text(f"targets:\n{targets}{more}")

    def targets() -> set[str]:
        return {labels["target"] for labels, _ in agent.scrape().all("vitals_target_up")} - {"vitalsd"}

    write("one")
    with watching(agent, "--config", str(config)) as process:
        assert targets() == {"one"}
        write("one", "two")
        process.send_signal(signal.SIGHUP)
        wait_for("the new target", lambda: targets() == {"one", "two"})

        write("three", more="stall: {treshold: 1s}\n")
        process.send_signal(signal.SIGHUP)
        agent.wait_scrape(
            "the failure to be told", lambda scrape: scrape.one("vitalsd_config_last_reload_successful") == 0
        )
        assert targets() == {"one", "two"}
        status, sentence = agent.get("/-/reload", method="POST")
        assert status == 500
        assert "see the log" in sentence
        assert str(config) not in sentence

        write("three")
        wait_for("another reload to be allowed", lambda: agent.get("/-/reload", method="POST")[0] == 200)
        wait_for("the mended file", lambda: targets() == {"three"})
        assert agent.scrape().one("vitalsd_config_last_reload_successful") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_agent_with_zero(agent: Agent, number: signal.Signals) -> None:
    """At once and in order, though somebody still listens to a stream; its own segment goes with it."""
    with watching(agent, "--pid", str(os.getpid())) as process:
        wait_for("its own segment", lambda: list(agent.segments.glob(f"*-{process.pid}-*.seg")))
        token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
        with socket.create_connection(("127.0.0.1", agent.control_port), 20) as listener:
            head = f"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
            listener.sendall(head.encode())
            assert b" 200 " in listener.recv(100)
            process.send_signal(number)
            assert process.wait(15) == 0

    assert list(agent.segments.glob("*.seg")) == []


def _stored_slots(agent: Agent, scratch: Path) -> dict[str, tuple[int, dict[str, int]]]:
    """Slot -> pid and restarts by reason, as the next agent would find them; from a copy: the file is locked."""
    scratch.mkdir(exist_ok=True)
    (path,) = agent.storage.glob("incidents-*.db")
    for side in ("", "-wal"):
        shutil.copy(f"{path}{side}", scratch / f"copy.db{side}")
    with contextlib.closing(sqlite3.connect(scratch / "copy.db")) as connection:
        rows = connection.execute("SELECT slot, pid, restarts FROM slot WHERE target = 'shop'").fetchall()
    return {str(slot): (pid, json.loads(restarts)) for slot, pid, restarts in rows}


def test_workers_keep_their_slots_when_the_agent_is_killed(agent: Agent) -> None:
    """An agent that was killed and started again shows each worker in its old slot, with its restarts."""
    port = free_ports(1)[0]
    command = ["gunicorn", "--no-control-socket", "-b", f"127.0.0.1:{port}", "-w", "3", "app_serves:wsgi"]
    with running(agent, command, "--name", "shop", cwd=TARGETS) as service:

        def seated() -> dict[str, int] | None:
            workers = service.workers("shop") if agent.answers() else {}
            return workers if workers.keys() == {"0", "1", "2"} else None

        first = wait_for("three workers", seated, 40)
        os.kill(first["0"], signal.SIGKILL)
        before = wait_for("the replacement", lambda: (now := seated()) and now["0"] != first["0"] and now, 40)
        stored = {slot: (pid, {"signal": 1} if slot == "0" else {}) for slot, pid in before.items()}
        wait_for("the slots to be stored", lambda: _stored_slots(agent, agent.folder / "copy") == stored)
        beside = service.wait_agent_process()
        beside.kill()
        beside.wait()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            after = wait_for("three workers", seated)
            scrape = agent.scrape()

    rows = scrape.all("vitals_worker_restarts_total", target="shop")
    restarts = {(labels["worker"], labels["reason"]): value for labels, value in rows if value}
    assert before["0"] == max(before.values()), "slots in the order of age show nothing"
    assert after == before
    assert restarts == {("0", "signal"): 1}
