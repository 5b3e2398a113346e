"""`vitalsd capture` as a process: Ctrl-C, the progress bar, and an agent that ends meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import VITALSD
from support.captures import FakeCaptures
from support.desk import Desk, desk
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Stopping(FakeCaptures):
    """What is stopped is done, with what it has."""

    def stop(self, name: str) -> Any:
        """At once."""
        if self.one(name).state == "waiting":
            return super().stop(name)
        self.finish(name, {"stacks.txt": b"parse"})
        return self.one(name)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    """The control port of an agent."""
    with desk(tmp_path, Stopping()) as found:
        yield found


@contextlib.contextmanager
def capturing(at: Desk, *options: str, **popen: Any) -> Iterator[subprocess.Popen[str]]:
    """The command, while the capture that it has asked for runs."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
    command = [VITALSD, "capture", "cpu", "shop", *at.options, *options]
    environment = {**os.environ, **at.environment, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, env=environment, text=True, **streams)
    try:
        wait_for("the capture to be asked for", lambda: at.captures.one("new1"))
        at.captures.change("new1", state="running")
        at.captures.shares["new1"] = 0.4
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def line_of(process: subprocess.Popen[str], word: str) -> str:
    """The next line on standard error that has this word."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"nothing was said of {word}")


def test_once_ends_it_early_and_keeps_what_it_has(at: Desk) -> None:
    """Exit code 0: it is a capture."""
    with capturing(at, "--json") as process:
        line_of(process, "running")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["state"]) == (0, "done")
    assert "Ctrl-C again" in err


def test_twice_throws_it_away(at: Desk) -> None:
    """Exit code 1, and one sentence."""
    at.captures.stop = lambda name: FakeCaptures.stop(at.captures, name)
    with capturing(at) as process:
        line_of(process, "running")
        process.send_signal(signal.SIGINT)
        line_of(process, "Ctrl-C again")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1] == "vitalsd: The cpu capture of shop/0 was cancelled, and nothing of it is kept."
    assert at.captures.one("new1").state == "cancelled"
    assert not any(request.startswith("DELETE") for request in at.requests)


def test_one_that_waits_is_cancelled_at_once(at: Desk) -> None:
    """There is nothing to keep."""
    with capturing(at) as process:
        at.captures.change("new1", state="waiting")
        line_of(process, "waiting")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert (process.returncode, at.captures.one("new1").state) == (1, "cancelled")


def test_a_terminal_gets_a_bar(at: Desk) -> None:
    """With how much is done, on standard error; standard output has the answer alone."""
    ours, theirs = pty.openpty()
    with capturing(at, stderr=theirs) as process:
        os.close(theirs)
        shown = b""

        def look() -> bool:
            nonlocal shown
            if select.select([ours], [], [], 0)[0]:
                shown += os.read(ours, 65536)
            return b"40%" in shown

        wait_for("the bar", look)
        at.captures.finish("new1", {"stacks.txt": b"parse"})
        assert process.stdout is not None
        out = process.stdout.read()
        process.wait(30)
    os.close(ours)
    assert b"cpu of shop/0 running" in shown
    assert process.returncode == 0
    assert out.startswith("Took a cpu capture of shop/0") and "\x1b" not in out


def test_an_agent_that_ends_meanwhile_is_one_sentence(tmp_path: Path) -> None:
    """Exit code 1, in some seconds; the capture was the agent's, and ends with it."""
    with contextlib.ExitStack() as stack:
        agent = stack.enter_context(desk(tmp_path))
        with capturing(agent) as process:
            line_of(process, "running")
            stack.close()
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith(
        "vitalsd: The agent has not answered since it was asked for new1: if it"
    )
