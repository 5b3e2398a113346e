"""
The servers that Python services really run under, each with the command that starts two workers of it.

Commands are to be run in `tests/targets`, where the services lie.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

SLOTS = {"0", "1"}


@dataclass(frozen=True)
class Server:
    """One way to serve."""

    name: str
    command: tuple[str, ...]
    """`{port}` stands for a free port."""
    loops: bool
    """Whether its workers run event loops."""
    slots: frozenset[str] = frozenset(SLOTS)
    replaces: bool = True
    """Whether the master starts another worker when one is killed."""

    def at(self, port: int) -> list[str]:
        """The command, with a port."""
        return [part.format(port=port) for part in self.command]


def _gunicorn(name: str, *options: str, app: str = "app_serves:wsgi", loops: bool = False) -> Server:
    """Without its control socket, which runs an event loop in the master: a test of its own has that."""
    fixed = ("gunicorn", "--no-control-socket", "-b", "127.0.0.1:{port}", "-w", "2")
    return Server(f"gunicorn {name}", (*fixed, *options, app), loops)


SERVERS = (
    _gunicorn("sync"),
    _gunicorn("sync, preloaded", "--preload"),
    _gunicorn("gthread", "-k", "gthread", "--threads", "3"),
    _gunicorn("uvicorn", "-k", "uvicorn.workers.UvicornWorker", app="app_serves:app", loops=True),
    Server("uvicorn", ("uvicorn", "--port", "{port}", "--workers", "2", "app_serves:app"), loops=True),
    Server(
        "hypercorn",
        ("hypercorn", "-b", "127.0.0.1:{port}", "-w", "2", "app_serves:app"),
        loops=True,
        replaces=False,
    ),
    Server("celery prefork", ("celery", "-A", "tasks_celery", "worker", "-c", "2", "-l", "WARNING"), loops=False),
    Server(
        "celery solo",
        ("celery", "-A", "tasks_celery", "worker", "-P", "solo", "-l", "WARNING"),
        loops=False,
        slots=frozenset({"0"}),
        replaces=False,
    ),
    Server("spawned processes", (sys.executable, "children.py", "spawn", "2"), loops=True),
    Server("forked processes", (sys.executable, "children.py", "fork", "2"), loops=True),
)


def installed(server: Server) -> bool:
    """Whether the machine has this server."""
    return Path(server.command[0]).is_absolute() or (Path(sys.executable).parent / server.command[0]).exists()
