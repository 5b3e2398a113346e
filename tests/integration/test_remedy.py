"""
Workers of real servers are recycled under load: no request fails, one at a time, and no more than helps.

Uses app_leaks.py of tests/targets. A day is a minute here.
"""

from __future__ import annotations

import contextlib
import faulthandler
import http.client
import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest
from support.agent import Agent, Service, free_ports, running, watching
from support.probed import TARGETS
from support.waiting import wait_for

from vitalsd.cli.run import LAUNCH

if TYPE_CHECKING:
    from collections.abc import Iterator

GONE = (OSError, http.client.HTTPException)
FAILED_TESTS = 400
"""A day has to pass, which is longer than a test may take otherwise."""
YOUNG_SECONDS = 65.0
"""A leak is told from what a process is by its first day."""
QUICKLY = {
    "VITALSD__SAMPLING__INTERVAL": "150ms",
    "VITALSD__MEMORY__DAY": "60s",
    "VITALSD__MEMORY__SETTLE": "3s",
    "VITALSD__MEMORY__EXHAUSTION": "60s",
    "VITALSD__WORKERS__SETTLE": "3s",
}


class Load:
    """Clients that ask one request after the other, on connections of their own; and who has answered."""

    def __init__(self, port: int, count: int = 3) -> None:
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]
        self.pids: set[int] = set()
        self.answered = 0
        self.failed: list[str] = []

    def _ask(self, number: int) -> None:
        path = "/slow" if number == 0 else "/"
        while not self._over.wait(0.01):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            with contextlib.closing(connection):
                try:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    self.pids.add(int(answer.read()))
                    self.answered += 1
                except (*GONE, ValueError) as error:
                    self.failed.append(f"{type(error).__name__}: {error}")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


class Witness:
    """Looks at the children of a master again and again: who was there, and how few at once."""

    def __init__(self, master: int) -> None:
        self._master = psutil.Process(master)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._helps: dict[int, bool] = {}
        self.seen: list[int] = []
        self.fewest = 1_000

    def _look(self) -> None:
        while not self._over.wait(0.02):
            alive = [each.pid for each in self._master.children() if self._is_worker(each)]
            self.seen += [pid for pid in alive if pid not in self.seen]
            self.fewest = min(self.fewest, len(alive))

    def _is_worker(self, process: psutil.Process) -> bool:
        try:
            if process.pid not in self._helps:
                self._helps[process.pid] = "resource_tracker" in " ".join(process.cmdline())
            return process.status() != psutil.STATUS_ZOMBIE and not self._helps[process.pid]
        except psutil.NoSuchProcess:
            return False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()


class World:
    """A gunicorn with three workers, its agent, and clients."""

    def __init__(self, folder: Path, leaks: str, **remedy: str) -> None:
        self.start = folder / "leak"
        keys = {f"VITALSD__REMEDY__{name.upper()}": value for name, value in remedy.items()}
        self.agent = Agent(folder, {"LEAKS": leaks, "LEAKS_FROM": str(self.start), **QUICKLY, **keys})
        self.port = free_ports(1)[0]

    def command(self, *options: str) -> list[str]:
        """Of a service that leaks."""
        bind = f"127.0.0.1:{self.port}"
        return ["gunicorn", "--no-control-socket", "-b", bind, "-w", "3", *options, "app_leaks:wsgi"]

    def hanging(self) -> list[str]:
        """Of one whose supervisor never ends a worker that hangs."""
        return ["uvicorn", "--port", str(self.port), "--workers", "3", "--log-level", "warning", "app_leaks:app"]

    @contextlib.contextmanager
    def running(self, command: list[str]) -> Iterator[Service]:
        """All of it, all workers up."""
        with running(self.agent, command, "--name", "served", cwd=TARGETS) as service:
            wait_for("three workers", lambda: self.agent.answers() and len(self.up()) == 3, 40)
            yield service

    @contextlib.contextmanager
    def alone(self) -> Iterator[int]:
        """One that hangs, with the probe and without an agent: the pid of its master."""
        probe = {"PYTHONPATH": str(LAUNCH), "VITALSD_TARGET": "served"}
        self.agent.segments.mkdir(mode=0o700)
        process = psutil.Popen(self.hanging(), cwd=TARGETS, env=self.agent.environment | probe)
        try:
            wait_for("the service to listen", self._listens, 40)
            yield process.pid
        finally:
            below = process.children()
            process.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(10)
            for each in (*below, process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def one_hangs(self) -> Iterator[None]:
        """A request that is never answered."""
        with socket.create_connection(("127.0.0.1", self.port)) as asking:
            asking.sendall(b"GET /hang HTTP/1.1\r\nHost: shop\r\n\r\n")
            yield

    def up(self) -> dict[str, int]:
        """Slot -> pid."""
        target = self.agent.targets().get("served", {"workers": []})
        return {each["slot"]: each["key"]["pid"] for each in target["workers"] if each["up"]}

    def remedy(self) -> dict[str, Any]:
        """How it stands."""
        return self.agent.targets()["served"]["remedy"]

    def told(self, kind: str = "leak") -> list[tuple[str, str]]:
        """What the timelines of all incidents of a kind say of remedy: slot, text."""
        token = (self.agent.storage / f"control-{self.agent.control_port}.token").read_text().strip()
        status, body = self.agent.get("/api/v1/incidents?limit=200", self.agent.control_port, token=token)
        assert status == 200, body
        entries = [
            (entry["at"], each["worker"], entry["text"])
            for each in json.loads(body)["incidents"]
            if each["kind"] == kind
            for entry in each["timeline"]
            if entry["event"] == "remedy"
        ]
        return [(slot, text) for _, slot, text in sorted(entries)]

    def says(self, what: str, kind: str = "leak") -> bool:
        """Whether one of them says this."""
        return any(what in text for _, text in self.told(kind))


@pytest.fixture(autouse=True)
def takes_long() -> None:
    """Longer than a test may otherwise."""
    faulthandler.dump_traceback_later(FAILED_TESTS, exit=True, file=sys.__stderr__)


@pytest.mark.parametrize("options", [(), ("-k", "gthread", "--threads", "3")], ids=["sync", "gthread"])
def test_a_leaking_worker_is_recycled_once_and_nobody_notices(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Under load no request fails, two of three workers are there throughout, and it has helped."""
    world = World(tmp_path, "first", mode="on", min_healthy="2", helped_after="10s")
    with (
        world.running(world.command(*options)) as service,
        Load(world.port) as load,
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


def test_a_bad_deploy_is_not_churned(tmp_path: Path) -> None:
    """All workers leak from their start: one is tried after the other, and the breaker ends it after two."""
    world = World(tmp_path, "all", mode="on", helped_after="10m", breaker="2")
    world.start.touch()
    with world.running(world.command()) as service, Load(world.port) as load, Witness(service.pid) as witness:
        wait_for("the breaker to open", lambda: world.remedy()["state"] == "stopped", 330)
        reason, scrape = world.remedy()["reason"], world.agent.scrape()
        recycled = len(witness.seen) - 3
        more = time.monotonic() + 10
        wait_for("ten seconds more", lambda: time.monotonic() > more)
        assert len(witness.seen) - 3 == recycled == 2
    assert load.failed == []
    assert witness.fewest >= 2
    assert "2 in a row did not help" in reason
    assert scrape.one("vitalsd_remedies_total", target="served", outcome="did_not_help") == 2
    assert scrape.one("vitalsd_remedy_stopped", target="served") == 1


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
            with Load(world.port) as load:
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
            with Load(world.port) as load:
                wait_for("answers without an agent", lambda: load.answered > 100)
                with watching(world.agent, *arguments):
                    wait_for("it to have helped", lambda: world.says("it has helped", "worker_hung"), 60)
                    told = [text for _, text in world.told("worker_hung")]
    assert load.failed == []
    assert witness.fewest >= 2
    assert not hung.is_running()
    once = [sum(words in text for text in told) for words in ("was asked to end", "was killed", "replaced by")]
    assert once == [1, 1, 1]


def test_a_dry_run_and_an_agent_that_is_killed(tmp_path: Path) -> None:
    """It says what it would have done and touches nobody; the service does not notice that its agent is gone."""
    world = World(tmp_path, "first", mode="dry_run")
    with world.running(world.command()) as service, Load(world.port) as load, Witness(service.pid) as witness:
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
