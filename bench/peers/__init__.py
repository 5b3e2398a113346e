"""Libraries of peers that we are measured beside, and how a service loads each; no dependency of ours."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.harness import ROOT, UVICORN, Process, free_port, process, served

__all__ = ["BESIDE", "HERE", "NODE_MODULES", "beside", "python", "service", "version"]

HERE = Path(__file__).parent
ENVIRONMENT = ROOT / ".tools" / "peers"
NODE_MODULES = ROOT / ".tools" / "peers-node" / "node_modules"
PEER_PYTHON = ENVIRONMENT / "bin" / "python"
"""Made by scripts/bench-packages, as both are. Where it is missing, what needs no peer runs on our own."""
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
}
"""Of Datadog's libraries only what is asked for runs, and says nothing of the agent that is not there."""
NOT_TRACING = {"DD_TRACE_ENABLED": "false"}
"""In Node that would leave out the metrics too."""
Command = tuple[str, ...]


@contextlib.contextmanager
def service(
    kind: str, *, loop: str = "asyncio", extra: Mapping[str, str], pinned: set[int] | None = None
) -> Iterator[Process]:
    """`loaded.py` under uvicorn, or `loaded.js`; BENCH_BESIDE in `extra` names what runs beside it."""
    port = free_port()
    if kind == "node":
        command = ["node", str(HERE / "loaded.js"), str(port)]
        extra = {"NODE_PATH": str(NODE_MODULES), **extra}
    else:
        extra = {**NOT_TRACING, **extra}
        command = [python(), *UVICORN, "loaded:app", "--app-dir", str(HERE), "--loop", loop, "--port", str(port)]
    with served(command, port, {**QUIET, **extra}, pinned) as one, contextlib.ExitStack() as stack:
        if "BENCH_BESIDE" in extra:
            stack.enter_context(beside(extra["BENCH_BESIDE"], one))
        yield one


def python() -> str:
    """The interpreter that has the peers, or ours."""
    return str(PEER_PYTHON) if PEER_PYTHON.exists() else sys.executable


BESIDE: Mapping[str, Command] = {
    "py-spy": ("--rate", "100", "--nonblocking"),
    "py-spy that pauses": ("--rate", "100"),
}


def beside(name: str, watched: Process) -> contextlib.AbstractContextManager[Process]:
    """A profiler that looks at a process from outside, until it is ended."""
    where = ("--format", "raw", "--output", os.devnull, "--duration", "unlimited")
    command = [str(ENVIRONMENT / "bin" / "py-spy"), "record", *BESIDE[name], *where, "--pid", str(watched.pid)]
    return process(command, {})


def version(name: str) -> str | None:
    """Of a library in either environment; None where it is not there."""
    described = NODE_MODULES / name / "package.json"
    if described.exists():
        return str(json.loads(described.read_text())["version"])
    wanted = name.lower().replace("-", "_")
    for found in ENVIRONMENT.glob(f"lib/python*/site-packages/{wanted}-*.dist-info"):
        return found.name.removesuffix(".dist-info").removeprefix(f"{wanted}-")
    return None
