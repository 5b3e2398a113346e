"""Captures as a person has them taken: by the command, of an agent that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.waiting import wait_for

if TYPE_CHECKING:
    from support.agent import Agent

__all__ = ["taken"]


def taken(agent: Agent, *words: str) -> tuple[dict[str, Any], str]:
    """What one has come to, and what was said meanwhile; asked again while the host leaves the agent no time."""
    listen = f"--control-listen=127.0.0.1:{agent.control_port}"

    def ask() -> tuple[dict[str, Any], str] | None:
        done = agent.command("capture", *words, listen, "--json", timeout=200)
        told: dict[str, Any] = json.loads(done.stdout)
        if told["refusal"] == "overload":
            return None
        assert done.returncode == 0, done.stdout + done.stderr
        return told, done.stderr

    return wait_for("a capture on a quieter host", ask, 120)
