"""
Who starts and ends the workers of a target, told from the table of processes. Pure.

The parent of most workers is their supervisor, and its command line says which kind it is. What a master says that
has given itself a title (`gunicorn: master [shop]`) is its kind, and no options.

| kind | ends a worker that hangs |
|---|---|
| gunicorn | when the file that it touches is older than `--timeout`, see `gunicorn` |
| uvicorn | no: `--timeout-worker-healthcheck` is answered by a thread, also while the loop is stuck |
| hypercorn, celery, multiprocessing, Node cluster | no |
| uWSGI | when one request has taken longer than `--harakiri` |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from vitalsd.model import Supervisor, SupervisorKind
from vitalsd.targets import gunicorn
from vitalsd.targets.arguments import Program, option, program_of
from vitalsd.targets.launchers import (
    is_clustered,
    is_forkserver,
    is_launcher,
    is_spawned,
    serves_others,
)
from vitalsd.targets.processes import Process
from vitalsd.targets.rules import is_child

__all__ = ["kind_named", "supervises", "supervisor_of", "supervisor_process"]

TITLES: tuple[tuple[re.Pattern[str], SupervisorKind], ...] = (
    (re.compile(r"gunicorn: master \["), "gunicorn"),
    (re.compile(r"\[celeryd(?:@|: ).*MainProcess\]"), "celery"),
    (re.compile(r"(?:.* )?uWSGI master"), "uwsgi"),
)
"""How masters call themselves where setproctitle is installed, or uWSGI's `auto-procname` is set."""
PROGRAMS: dict[str, SupervisorKind] = {
    "gunicorn": "gunicorn",
    "gunicorn3": "gunicorn",
    "uvicorn": "uvicorn",
    "fastapi": "uvicorn",
    "hypercorn": "hypercorn",
    "celery": "celery",
    "uwsgi": "uwsgi",
    "uwsgi-core": "uwsgi",
}


class Read(Protocol):
    """What is known of what a gunicorn has read when it started."""

    def __call__(self, master: Process) -> gunicorn.Surroundings | None: ...


def supervisor_of(
    workers: Iterable[int], table: Mapping[int, Process], masters: Iterable[int] = (), read: Read | None = None
) -> Supervisor | None:
    """The supervisor of these workers; `masters` are those that rules have found to have workers below them."""
    known, children = set(masters), set(workers)
    found = supervisor_process(children, table, known)
    if found is None:
        return None
    master, below = found
    program = program_of(master.arguments)
    titled = "\0" not in master.arguments and any(title.match(master.arguments) for title, _ in TITLES)
    words = () if titled else program.words
    kind = _kind(master, program, below)
    timeout = worker_class = count = None
    missing = {"timeout_seconds": gunicorn.TITLED} if titled and kind in ("gunicorn", "uwsgi") else {}
    if kind == "gunicorn" and not titled:
        told = gunicorn.tell(words, read(master) if read is not None else None)
        timeout, worker_class, count = told.timeout_seconds, told.worker_class, told.workers
        missing = told.missing
    elif kind == "uvicorn":
        count = _number(option(words, "", "--workers"))
    elif kind == "hypercorn":
        count = _number(option(words, "-w", "--workers"))
        worker_class = option(words, "-k", "--worker-class")
        if worker_class is None and not titled and option(words, "-c", "--config") is None:
            worker_class = "asyncio"
    elif kind == "celery":
        worker_class = "prefork"  # no other pool has processes
        count = _number(option(words, "-c", "--concurrency", flags="EDB"))
    elif kind == "uwsgi":
        count = _number(option(words, "-p", "--processes", "--workers"))
        timeout = _number(option(words, "-t", "--harakiri"))
    elif kind == "multiprocessing":
        worker_class = _start_method(below, table)
    return Supervisor(kind, master.key, master.shown, timeout or None, worker_class, count, missing)


def supervisor_process(
    workers: set[int], table: Mapping[int, Process], masters: set[int]
) -> tuple[Process, tuple[Process, ...]] | None:
    """
    Who is above most of these workers, and whom it is above; None where they stand alone.

    Of two that have as many it is the younger: a gunicorn that was told to replace itself has both for a while.
    """
    above: dict[int, list[Process]] = {}
    for pid in sorted(workers & table.keys()):
        master = _master_of(table[pid], workers, table, masters)
        if master is not None:
            above.setdefault(master.pid, []).append(table[pid])
    if not above:
        return None
    chosen = max(above, key=lambda pid: (len(above[pid]), table[pid].key.start_ticks, pid))
    return table[chosen], tuple(above[chosen])


def _master_of(
    worker: Process, workers: set[int], table: Mapping[int, Process], masters: set[int]
) -> Process | None:
    """The nearest process above a worker that is none itself; else a worker that has forked others."""
    at, found, seen = worker, None, {worker.pid}
    while (parent := table.get(at.parent)) is not None and parent.pid not in seen:
        seen.add(parent.pid)
        if not (is_child(at, parent) or parent.pid in masters) or is_launcher(parent.command):
            break
        at = parent
        if is_forkserver(parent.command) or serves_others(parent.command):
            masters = {*masters, parent.parent}  # it works for whoever has started it
            continue
        found = parent
        if parent.pid not in workers:
            break
    return found


def supervises(process: Process) -> bool:
    """Whether its name says that it has others for all there is to do; a uvicorn may be the service itself."""
    if is_forkserver(process.command) or serves_others(process.command):
        return True
    program = program_of(process.arguments)
    return program.interpreter == "node" or _named(process.arguments, program) not in (None, "uvicorn")


def kind_named(command: str) -> SupervisorKind | None:
    """The kind of a process that has nobody above it or below, from its command line as it is shown."""
    return _named(command, program_of(command.replace(" ", "\0")))


def _named(command: str, program: Program) -> SupervisorKind | None:
    """Its kind by what it calls itself, or by what it runs."""
    for title, kind in TITLES:
        if title.match(command):
            return kind
    name = program.name if program.script is None else program.name.partition(".")[0]
    kind_of_name = PROGRAMS.get(name) or ("uwsgi" if re.fullmatch(r"uwsgi[_-]python\d*", name) else None)
    if kind_of_name == "celery":
        return "celery" if "worker" in program.words else None
    if name == "fastapi":
        return "uvicorn" if program.words[:1] in (("run",), ("dev",)) else None
    return kind_of_name


def _kind(master: Process, program: Program, below: tuple[Process, ...]) -> SupervisorKind:
    named = _named(master.arguments, program)
    if named is not None:
        return named
    if program.interpreter == "node":
        clustered = any(is_clustered(worker.arguments, master.arguments) for worker in below)
        return "node_cluster" if clustered else "plain"
    if program.interpreter in ("python", "pypy"):
        forked = any(worker.forked or is_spawned(worker.command) for worker in below)
        return "multiprocessing" if forked else "plain"
    return "plain"


def _start_method(below: tuple[Process, ...], table: Mapping[int, Process]) -> str:
    """How most of them were started, in the words of multiprocessing."""
    methods = Counter(
        "spawn"
        if is_spawned(worker.command)
        else "forkserver"
        if (parent := table.get(worker.parent)) is not None and is_forkserver(parent.command)
        else "fork"
        for worker in below
    )
    return methods.most_common(1)[0][0]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,6}", text) else None
