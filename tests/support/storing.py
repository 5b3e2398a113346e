"""What tests of the agent's files have in common: a clock, a disk tried again at once, a writer that is killed."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vitalsd.storage import keeper

__all__ = ["LISTEN", "NOON", "Clock", "told_by_killed_writer", "try_again_at_once"]

NOON = 1_782_907_200.0
"""2026-07-01T12:00:00Z."""
LISTEN = "127.0.0.1:18780"


class Clock:
    """Unix time that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        """What it shows."""
        return self.now


def try_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a disk that takes nothing be tried without a pause."""
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(keeper, "LONGEST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(keeper, "AT_ONCE_SECONDS", 0.0)


def told_by_killed_writer(script: str, path: Path, after: int) -> int:
    """Run a program that writes, kill it once it has told of so many; the last number that it has told."""
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = 0
        while told < after:
            assert select.select([process.stdout], [], [], 30)[0], "the writer says nothing"
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        return int((process.stdout.read().split() or [told])[-1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
