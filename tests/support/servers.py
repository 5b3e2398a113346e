"""
The servers that Python services really run under, each with the command that starts two workers of it.

Commands are to be run in `tests/targets`, where the services lie.
"""

from __future__ import annotations

import shutil
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
    kind: str | None = None
    """Which kind of supervisor it has; None where its worker stands alone."""
    worker_class: str | None = None
    timeout_seconds: float | None = None
    asked: int | None = 2
    """How many workers its supervisor is known to have been asked for."""

    def at(self, port: int) -> list[str]:
        """The command, with a port."""
        return [part.format(port=port) for part in self.command]


def _gunicorn(
    name: str, worker_class: str, *options: str, app: str = "app_serves:wsgi", loops: bool = False
) -> Server:
    """Without its control socket, which runs an event loop in the master: a test of its own has that."""
    fixed = ("gunicorn", "--no-control-socket", "-b", "127.0.0.1:{port}", "-w", "2")
    command = (*fixed, *options, app)
    return Server(
        f"gunicorn {name}", command, loops, kind="gunicorn", worker_class=worker_class, timeout_seconds=30.0
    )


SERVERS = (
    _gunicorn("sync", "sync"),
    _gunicorn("sync, preloaded", "sync", "--preload"),
    _gunicorn("gthread", "gthread", "--threads", "3"),
    _gunicorn(
        "uvicorn",
        "uvicorn.workers.UvicornWorker",
        *("-k", "uvicorn.workers.UvicornWorker"),
        app="app_serves:app",
        loops=True,
    ),
    Server(
        "uvicorn",
        ("uvicorn", "--port", "{port}", "--workers", "2", "app_serves:app"),
        loops=True,
        kind="uvicorn",
    ),
    Server(
        "hypercorn",
        ("hypercorn", "-b", "127.0.0.1:{port}", "-w", "2", "app_serves:app"),
        loops=True,
        replaces=False,
        kind="hypercorn",
        worker_class="asyncio",
    ),
    Server(
        "celery prefork",
        ("celery", "-A", "tasks_celery", "worker", "-c", "2", "-l", "WARNING"),
        loops=False,
        kind="celery",
        worker_class="prefork",
    ),
    Server(
        "celery solo",
        ("celery", "-A", "tasks_celery", "worker", "-P", "solo", "-l", "WARNING"),
        loops=False,
        slots=frozenset({"0"}),
        replaces=False,
    ),
    Server(
        "spawned processes",
        (sys.executable, "children.py", "spawn", "2"),
        loops=True,
        kind="multiprocessing",
        worker_class="spawn",
        asked=None,
    ),
    Server(
        "forked processes",
        (sys.executable, "children.py", "fork", "2"),
        loops=True,
        kind="multiprocessing",
        worker_class="fork",
        asked=None,
    ),
)
MORE_TREES = (
    Server(
        "uvicorn, reloading",
        ("uvicorn", "--port", "{port}", "--reload", "app_serves:app"),
        loops=True,
        slots=frozenset({"0"}),
        replaces=False,
        kind="uvicorn",
        asked=None,
    ),
    *(
        Server(
            f"a pool by {method}",
            (sys.executable, "crowds.py", method, "2"),
            loops=False,
            kind="multiprocessing",
            worker_class=method,
            asked=None,
        )
        for method in ("fork", "spawn", "forkserver")
    ),
    Server("Node cluster", ("node", "clustered.js"), loops=True, kind="node_cluster", asked=None),
    Server("a plain parent", ("perl", "preforks.pl"), loops=False, kind="plain", asked=None),
    Server(
        "uWSGI",
        (
            *("uwsgi", "--plugin", "python3", "--master", "-p", "2", "--harakiri", "20", "--die-on-term"),
            *("--http-socket", "127.0.0.1:{port}", "--wsgi-file", "app_serves.py", "--callable", "wsgi"),
        ),
        loops=False,
        kind="uwsgi",
        timeout_seconds=20.0,
    ),
)
"""Which only tests of trees start: these have no probe, or none that tells what the others' do."""


def installed(server: Server) -> bool:
    """Whether the machine has this server."""
    program = Path(sys.executable).parent / server.command[0]
    return program.exists() or shutil.which(server.command[0]) is not None
