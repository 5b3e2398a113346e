"""Commands that name no agent, beside agents that run on ports of their own, that have ended, or that are none."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from support.agent import Agent, watching

from vitalsd.cli.listeners import listeners

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USUAL = "127.0.0.1:18781"
LOOKS = (["status"], ["incidents"], ["captures"])


@pytest.fixture(autouse=True)
def unused() -> None:
    """Nobody has the usual port of this host."""
    if listeners("127.0.0.1", 18781):
        pytest.skip(f"somebody else listens on {USUAL} of this host")


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path)


def beside(agent: Agent) -> Agent:
    """Another one, that keeps what it stores in the same folder."""
    other = Agent(agent.folder)
    assert other.storage == agent.storage
    return other


def options(agent: Agent) -> str:
    """By which it is named."""
    return f"--control-listen 127.0.0.1:{agent.control_port} --listen 127.0.0.1:{agent.metrics_port}"


def test_who_looks_is_shown_the_only_one_and_told_so(agent: Agent) -> None:
    """The exit code of `status` is that of an agent that is not there: a check may look at nothing else."""
    with watching(agent):
        answers = [agent.command(*command) for command in LOOKS]
    told = f"note: no agent on {USUAL}: asked the only one there is, on 127.0.0.1:{agent.control_port}"
    assert [each.stderr for each in answers] == [f"{told} (--control-listen)\n"] * len(LOOKS)
    assert [each.returncode for each in answers] == [1, 0, 0]
    assert "No target is found" in answers[0].stdout


@pytest.mark.parametrize(
    "command",
    [
        ["status", "--json"],
        ["incidents", "--json"],
        ["captures", "--json"],
        ["capture", "stacks", "vitalsd", "--no-wait"],
        ["captures", "1nggebck9wb", "--delete"],
    ],
    ids=" ".join,
)
def test_what_changes_something_or_is_for_programs_asks_no_other(agent: Agent, command: list[str]) -> None:
    """The error names it, with what to write."""
    with watching(agent):
        answer = agent.command(*command)
        taken = agent.command("captures", *agent.listens).stdout
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"Another agent runs here, which is asked with `{options(agent)}`." in answer.stderr
    assert "vitalsd/0" not in taken


def test_of_several_one_has_to_be_named(agent: Agent) -> None:
    """And the sentence has what to write, for those who look and for those who change something."""
    other = beside(agent)
    with watching(agent), watching(other):
        answers = [agent.command(*command) for command in (*LOOKS, ["capture", "stacks", "vitalsd"])]
    for answer in answers:
        assert (answer.returncode, answer.stdout) == (1, "")
        assert f"\n  {options(agent)}\n" in answer.stderr and f"\n  {options(other)}\n" in answer.stderr


def test_an_agent_that_was_killed_is_none(agent: Agent) -> None:
    """Its token is still there, and so is what it has said."""
    with watching(agent):
        pass
    assert (agent.storage / f"control-{agent.control_port}.listen").exists()
    answer = agent.command("status")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert str(agent.control_port) not in answer.stderr


def test_what_has_its_port_now_is_told_no_token(agent: Agent) -> None:
    """A token outlives its agent, and is valid at its next start."""
    with watching(agent):
        pass
    with hearing(agent.control_port) as heard:
        answer = agent.command("status")
    assert answer.returncode == 1
    assert str(agent.control_port) not in answer.stderr
    assert heard == []


def test_an_agent_on_another_address_is_none_here(agent: Agent) -> None:
    """It runs, and has this port of another interface: who has it of the loopback is somebody else."""
    agent.listens[1] = f"--control-listen=127.0.0.2:{agent.control_port}"
    with watching(agent), hearing(agent.control_port) as heard:
        answer = agent.command("status")
    assert answer.returncode == 1
    assert str(agent.control_port) not in answer.stderr
    assert heard == []


@contextlib.contextmanager
def hearing(port: int) -> Iterator[list[bytes]]:
    """A server that is no agent, of this user, and what it is told."""
    heard: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                other, _ = server.accept()
                with other:
                    heard.append(other.recv(65536))
                    other.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", port)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
