"""An agent beside one process that a bench has started."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness import environment, fetch, free_ports, wait_for

__all__ = ["Agent", "agent_beside"]

TOKEN = "bench"


@dataclass(frozen=True)
class Agent:
    """Where it is asked; the process that it watches is target `bench`."""

    metrics: int
    control: int

    def exposition(self) -> str:
        """Its metrics."""
        return fetch(f"http://127.0.0.1:{self.metrics}/metrics").decode()

    def api(self, path: str) -> bytes:
        """An answer of its API."""
        return fetch(f"http://127.0.0.1:{self.control}/api/v1/{path}", {"Authorization": f"Bearer {TOKEN}"})


@contextlib.contextmanager
def agent_beside(folder: Path, segments: Path, pid: int) -> Iterator[Agent]:
    """An agent that keeps its files in `folder`, from when it tells of the process on."""
    agent = Agent(*free_ports(2))
    token = folder / "token"
    token.write_text(f"{TOKEN}\n")
    command = [sys.executable, "-m", "vitalsd", "watch", "--pid", str(pid), "--name", "bench"]
    command += ["--listen", f"127.0.0.1:{agent.metrics}", "--control-listen", f"127.0.0.1:{agent.control}"]
    extra = {
        "VITALSD_DIR": str(segments),
        "VITALSD__STORAGE__DIR": str(folder / "state"),
        "VITALSD__EXPORTERS__CONTROL__TOKEN_FILE": str(token),
        "VITALSD__LOG__LEVEL": "warning",
    }
    child = subprocess.Popen(command, env=environment(extra), stdin=subprocess.DEVNULL)

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return "vitals_worker_up" in agent.exposition()
        return False

    try:
        wait_for(answers, "the agent")
        yield agent
    finally:
        child.terminate()
        child.wait()
