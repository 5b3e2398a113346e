"""
Targets that are stopped, held by a debugger, dead, about to die, or somebody else by now: what is said of them.

Uses idles.py, blocks.py and traces.py of tests/targets. All without a probe, where the agent knows least.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import Agent, watching
from support.probed import TARGETS
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
ENDS = ("worker_down", "crash_loop")
"""What is told of services that the tests kill."""
TROUBLE = ("observer_failed", "sampling_failed", "Traceback", "source_failed")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to ptrace, which root has")


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path)


@contextlib.contextmanager
def _plain(name: str) -> Iterator[subprocess.Popen[str]]:
    """A service without a probe, past its start; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, TARGETS / name],
        env={name: value for name, value in os.environ.items() if not name.startswith(("VITALSD", "PYTHON"))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _incidents(agent: Agent) -> list[dict[str, Any]]:
    """All but how workers have ended."""
    answer = agent.command("incidents", agent.listens[1], "--target", "shop", "--json")
    assert answer.returncode == 0, answer.stderr
    return [one for one in json.loads(answer.stdout)["incidents"] if one["kind"] not in ENDS]


def _stall(agent: Agent) -> dict[str, Any]:
    found = wait_for("an incident", lambda: _incidents(agent) or None, 30)
    return found[0]


def _wait_seen(agent: Agent) -> None:
    """Wait until the loop is watched from outside."""
    agent.wait_scrape(
        "a loop seen from outside",
        lambda scrape: bool(scrape.all("vitals_worker_info", target="shop", lag_source="observer")),
    )


def _end(process: subprocess.Popen[str]) -> str:
    """End the agent; what it has logged."""
    process.terminate()
    return process.communicate(timeout=20)[1]


def test_stopped(agent: Agent) -> None:
    """SIGSTOP is told as that, and as nothing else, however long it lasts."""
    with _plain("idles.py") as service, watching(agent, "--pid", str(service.pid), "--name", "shop") as watch:
        _wait_seen(agent)
        service.send_signal(signal.SIGSTOP)
        incident = _stall(agent)
        service.send_signal(signal.SIGCONT)
        wait_for("the whole stall", lambda: not _stall(agent)["summary"].count("so far"), 30)
        found, log = _incidents(agent), _end(watch)

    assert [each["cause"] for each in found] == ["stopped"]
    assert incident["culprit"] is None
    assert "(SIGSTOP)" in incident["evidence"]["reason"]
    assert [word for word in TROUBLE if word in log] == []


def test_held_by_a_debugger(agent: Agent) -> None:
    """A debugger that holds the process is told as one, and the process is not looked into meanwhile."""
    with _plain("idles.py") as service, watching(agent, "--pid", str(service.pid), "--name", "shop") as watch:
        _wait_seen(agent)
        command = [sys.executable, TARGETS / "traces.py", str(service.pid), "0.8"]
        tracer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if "not permitted" in tracer.stderr:
            pytest.skip("this kernel lets nobody trace")
        assert tracer.stdout.split("\n")[:2] == ["held", "let go"], tracer.stderr
        _stall(agent)
        found, log = _incidents(agent), _end(watch)

    assert [each["cause"] for each in found] == ["stopped"]
    assert "debugger" in found[0]["evidence"]["reason"]
    assert service.poll() is not None  # by the test's own hand: it went on until then
    assert [word for word in TROUBLE if word in log] == []


def test_dead_and_not_buried(agent: Agent) -> None:
    """A zombie is no worker that is late: it is down, and nothing is wrong with the agent."""
    with _plain("idles.py") as service, watching(agent, "--pid", str(service.pid), "--name", "shop") as watch:
        _wait_seen(agent)
        os.kill(service.pid, signal.SIGKILL)
        agent.wait_scrape("a worker that is down", lambda scrape: not scrape.up("shop"))
        assert Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        found, log = _incidents(agent), _end(watch)

    assert found == []
    assert [word for word in TROUBLE if word in log] == []


def test_gone_in_the_middle_of_a_look(agent: Agent) -> None:
    """Services that come and go all the time, each killed at another moment, trouble nobody."""
    with watching(agent, "--match", "hard-target-idles", "--name", "shop") as watch:
        for number in range(40):
            code = "import asyncio; asyncio.run(asyncio.sleep(60))  # hard-target-idles"
            service = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL)
            time.sleep(0.05 + number * 0.01)  # not to wait for anything: to die at another moment each time
            service.kill()
            service.wait()
        agent.wait_scrape("nobody", lambda scrape: not scrape.up("shop"))
        found, log = _incidents(agent), _end(watch)

    assert found == []
    assert [word for word in TROUBLE if word in log] == []


def test_somebody_else_has_the_pid(agent: Agent) -> None:
    """A pid in a rule means the process that had it: who gets it later is neither watched nor blamed."""
    try:
        LAST_PID.write_text(LAST_PID.read_text())
    except OSError:
        pytest.skip("pids cannot be chosen here")
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(_plain("idles.py"))
        watch = stack.enter_context(watching(agent, "--pid", str(service.pid), "--name", "shop"))
        _wait_seen(agent)
        service.kill()
        service.wait()

        def taken() -> subprocess.Popen[str] | None:
            LAST_PID.write_text(str(service.pid - 1))
            other = stack.enter_context(_plain("blocks.py"))
            return other if other.pid == service.pid else None

        other = wait_for("the same pid again", taken, 30)
        agent.wait_scrape("nobody in its place", lambda scrape: not scrape.up("shop"))
        time.sleep(3.0)  # it blocks in each second of it
        assert other.poll() is None
        found, log = _incidents(agent), _end(watch)

    assert found == []
    assert [word for word in TROUBLE if word in log] == []
