"""
`vitalsd top` on a terminal of 80 columns, beside a real agent and a service that stalls.

Uses blocks.py and idles.py of tests/targets.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from support.agent import VITALSD, Agent, running, watching
from support.probed import TARGETS, probed
from support.terminals import Terminal, at_terminal
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
TOOK, REFUSED = "Took a stacks", "No stacks capture of shop/0"
STYLES = re.compile(rb"\x1b\[([\d;]*)m")
TALL = 50
"""Lines that have room for an incident with the stalls of a while, and the stack below them."""
OVERRUN = "ask again when it is quieter"
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 3.0


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


def top(agent: Agent, lines: int = 24, **more: str):
    """The command on a terminal."""
    return at_terminal([VITALSD, "top", *agent.listens], agent.environment | more, lines=lines)


def test_a_stall_is_seen_and_looked_into(agent: Agent, service: int) -> None:
    """It shows while it lasts, then as an incident with its culprit; stacks can be asked for; it ends clean."""
    agent.environment["VITALSD__CAPTURE__COOLDOWN"] = "1s"  # they may have to be asked for again
    with watching(agent, "--pid", str(service), "--name", "shop"), top(agent, TALL) as terminal:
        terminal.wait("stalled 0.")
        terminal.wait("stall/blocking_call in ask_slowly (blocks.py:")
        terminal.press("\t\r")
        terminal.wait("stack, seen")
        terminal.press("w")
        terminal.wait(f"pid {service}, up for")
        terminal.press("k")
        overrun = _taken(terminal)
        terminal.press("q")

        assert terminal.ended() == 0
        assert terminal.is_restored()
        styles = {style for found in STYLES.findall(terminal.written) for style in found.split(b";")}
        assert not styles & {b"31", b"38"}  # NO_COLOR
    if overrun is not None:
        pytest.skip(f"no stacks were taken for {PATIENCE_SECONDS:g} s: {overrun}")


def _taken(terminal: Terminal) -> str | None:
    """Have the stacks shown, asked for again while the host is overrun; why not, where it is so all the time."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        wait_for("stacks, or why not", lambda: any(each in terminal.shown() for each in (TOOK, REFUSED)), 60)
        if TOOK in terminal.shown():
            terminal.wait("MainThread")
            return None
        refusal = " ".join(terminal.shown().partition(REFUSED)[2].split()).lstrip(": ")
        assert OVERRUN in refusal, refusal
        if time.monotonic() > ends:
            return refusal
        terminal.press("a")
        time.sleep(PAUSE_SECONDS)  # until it may be quieter, and the last answer has gone from the screen


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
