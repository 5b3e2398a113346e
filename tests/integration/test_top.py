"""
`vitalsd top` on a terminal of 80 columns, beside a real agent and a service that stalls.

Uses blocks.py and idles.py of tests/targets.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from support.agent import VITALSD, Agent, running, watching
from support.probed import TARGETS, probed
from support.terminals import at_terminal
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders, and a terminal without colours."""
    agent = Agent(tmp_path, {"NO_COLOR": "1", "TERM": "xterm-256color"})
    agent.segments.mkdir()
    return agent


@pytest.fixture
def service(agent: Agent) -> Iterator[int]:
    """The pid of a service that stalls each second."""
    with probed(["blocks.py"], agent.segments) as running:
        running.line()
        yield running.pid


def top(agent: Agent, **more: str):
    """The command on a terminal."""
    return at_terminal([VITALSD, "top", *agent.listens], agent.environment | more)


def test_a_stall_is_seen_and_looked_into(agent: Agent, service: int) -> None:
    """It shows while it lasts, then as an incident with its culprit; stacks can be asked for; it ends clean."""
    with watching(agent, "--pid", str(service), "--name", "shop"), top(agent) as terminal:
        terminal.wait("stalled 0.")
        terminal.wait("stall/blocking_call in ask_slowly (blocks.py:")
        terminal.press("\t\r")
        terminal.wait("stack, seen")
        terminal.press("w")
        terminal.wait(f"pid {service}, up for")
        terminal.press("k")
        wait_for("stacks, or why not", lambda: _answered(terminal.shown()), 60)
        terminal.press("q")

        assert terminal.ended() == 0
        assert terminal.is_restored()
        assert not any(sign in terminal.written for sign in (b"\x1b[31", b"\x1b[38", b";31m", b";38;"))


def _answered(shown: str) -> bool:
    """The agent has taken them, or refuses since the host is too busy just now."""
    return ("MainThread" in shown and "Took a stacks" in shown) or "No stacks capture of shop/0" in shown


def test_it_outlives_the_agent(agent: Agent, service: int) -> None:
    """It says since when the agent is gone, and goes on with the next one, which has another token."""
    options = ("--pid", str(service), "--name", "shop")
    with watching(agent, *options):
        terminals = top(agent)
        terminal = terminals.__enter__()
        terminal.wait("shop/0")
    try:
        terminal.wait("The agent has been gone for")
        (agent.storage / f"control-{agent.control_port}.token").unlink()
        with watching(agent, *options):
            wait_for("the agent to be heard again", lambda: "has been gone" not in terminal.shown(), 60)
            terminal.wait("stalled 0.")
            terminal.press("\x03")
            assert terminal.ended() == 0
            assert terminal.is_restored()
    finally:
        terminals.__exit__(None, None, None)


def test_a_service_that_has_ended_is_told(agent: Agent) -> None:
    """Its agent has ended with it, and has left word of how that was."""
    with running(agent, [sys.executable, str(TARGETS / "idles.py"), "3600"], "--name", "shop") as run:
        run.wait_agent_process()
        agent.wait_scrape("its worker", lambda scrape: scrape.up("shop") == {"0"})
        with top(agent) as terminal:
            terminal.wait("shop/0")
            run.end(signal.SIGKILL)
            terminal.wait("shop has ended by SIGKILL")
            terminal.press("q")
            assert terminal.ended() == 0


def test_an_agent_that_is_stopped_keeps_nobody_waiting(agent: Agent, service: int) -> None:
    """Keys answer meanwhile, it is told that nothing comes, and to leave takes no time."""
    with watching(agent, "--pid", str(service), "--name", "shop") as process, top(agent) as terminal:
        terminal.wait("shop/0")
        os.kill(process.pid, signal.SIGSTOP)
        try:
            terminal.wait("told nothing for")
            terminal.press("?")
            terminal.wait("Workers and incidents")
            terminal.press("q")
            assert terminal.ended(4.0) == 0  # less than a question of the agent may take
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert terminal.is_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal(agent: Agent, service: int, number: int) -> None:
    """Whoever ends it from elsewhere means `q`."""
    with watching(agent, "--pid", str(service), "--name", "shop"), top(agent) as terminal:
        terminal.wait("shop/0")
        psutil.Process(terminal.process.pid).send_signal(number)
        assert terminal.ended() == 0
        assert terminal.is_restored()


@pytest.mark.parametrize("term", ["vt100", "linux", "screen"])
def test_terminals_of_other_kinds(agent: Agent, service: int, term: str) -> None:
    """It is drawn on them, also after the window has been made smaller."""
    with watching(agent, "--pid", str(service), "--name", "shop"), top(agent, TERM=term) as terminal:
        terminal.wait("shop/0")
        terminal.resize(50, 12)
        wait_for("fewer columns", lambda: "STALLS" not in terminal.shown() and "shop/0" in terminal.shown())
        terminal.press("q")
        assert terminal.ended() == 0
