"""`vitalsd top` before it draws: without a terminal, or an agent, it is a sentence and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.agent import Agent
from support.terminals import at_terminal

COMMAND = [sys.executable, "-m", "vitalsd", "top"]


def test_without_a_terminal_it_says_what_is_for_programs(tmp_path: Path) -> None:
    """In one sentence, before any agent is asked."""
    answer = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1
    assert "needs a terminal, and standard input is none" in answer.stderr
    assert "`vitalsd status --json`" in answer.stderr


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_be_drawn_on(term: str, tmp_path: Path) -> None:
    """Such as that of an editor: no escape sequence reaches it."""
    with at_terminal(COMMAND, Agent(tmp_path).environment | {"TERM": term}) as terminal:
        assert terminal.ended() == 2
        assert f"cannot draw on a terminal of the kind `{term}`" in " ".join(terminal.shown().split())
        assert b"\x1b" not in terminal.written


def test_without_an_agent_it_does_not_begin(tmp_path: Path) -> None:
    """An option that is wrong is told at once, as `vitalsd status` does."""
    agent = Agent(tmp_path)
    with at_terminal([*COMMAND, *agent.listens], agent.environment | {"TERM": "xterm"}) as terminal:
        assert terminal.ended() == 1
        assert "There is no token at" in terminal.shown()
        assert b"\x1b" not in terminal.written


def test_textual_is_imported_by_this_command_alone() -> None:
    """It is large: neither the agent nor another command pays for it."""
    asked = (
        "import sys; from vitalsd.cli import NAMES, load; list(map(load, NAMES)); print('textual' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60)
    assert answer.stdout == "False\n", answer.stderr
