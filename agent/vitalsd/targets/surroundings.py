"""
What a gunicorn has read when it started, beside its command line: environment and configuration file.

Costs some 0.1 ms once a minute, in a thread that may be left behind, since both the environment and a service's
files can hold up their reader. Needs ptrace-level access to the master; without it nothing is known.
"""

from __future__ import annotations

import os
import shlex
import stat
import threading
import time
from pathlib import Path

from vitalsd.model import WorkerKey
from vitalsd.targets.arguments import option, program_of
from vitalsd.targets.gunicorn import FLAGS, Surroundings
from vitalsd.targets.processes import Process
from vitalsd.ticks import age_seconds

__all__ = ["SurroundingsReader", "read_surroundings"]

AGAIN_SECONDS = 60.0
WAIT_SECONDS = 0.05
MOST_AT_ONCE = 2
"""More threads than these that hang would only add to what is wrong with this host."""
LONGEST_BYTES = 65_536


class SurroundingsReader:
    """Reads what masters have read, each in a thread that nobody needs to wait for."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: dict[WorkerKey, Surroundings | None] = {}
        self._due: dict[WorkerKey, float] = {}
        self._threads: list[threading.Thread] = []

    def __call__(self, master: Process) -> Surroundings | None:
        """What is known of this one; reading it is begun where that is due."""
        now = time.monotonic()
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if now >= self._due.get(master.key, 0.0) and len(self._threads) < MOST_AT_ONCE:
            self._due[master.key] = now + AGAIN_SECONDS
            thread = threading.Thread(target=self._read, args=(master,), name="vitalsd-gunicorn", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no room for one more thread
                return self._known.get(master.key)
            self._threads.append(thread)
            thread.join(WAIT_SECONDS)
        return self._known.get(master.key)

    def keep(self, keys: set[WorkerKey]) -> None:
        """Forget all others."""
        self._known = {key: known for key, known in list(self._known.items()) if key in keys}
        self._due = {key: due for key, due in self._due.items() if key in keys}

    def _read(self, master: Process) -> None:
        self._known[master.key] = read_surroundings(self._proc, master)


def read_surroundings(proc: Path, master: Process) -> Surroundings | None:
    """What this gunicorn has read; None where its environment may not be seen."""
    process = proc / str(master.pid)
    try:
        environment = _environment((process / "environ").read_bytes())
        arguments = tuple(shlex.split(environment.get("GUNICORN_CMD_ARGS", "")))
    except (OSError, ValueError):
        return None
    config = _config(process, master, arguments, environment)
    return Surroundings(arguments, environment.get("WEB_CONCURRENCY"), config)


def _environment(text: bytes) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.decode("utf-8", "replace").split("\0"))
    return {name: value for name, _, value in pairs}


def _config(process: Path, master: Process, arguments: tuple[str, ...], environment: dict[str, str]) -> str | None:
    """The text of its configuration file; empty for none, None where that cannot be known."""
    words = program_of(master.arguments).words
    given = option(words, "-c", "--config", flags=FLAGS) or option(arguments, "-c", "--config", flags=FLAGS)
    name = (given or "gunicorn.conf.py").removeprefix("file:")
    if name.startswith("python:"):
        return None
    relative = not name.startswith("/")
    if relative and any(option(each, "", "--chdir") is not None for each in (words, arguments)):
        return None  # where it was started is not known any more
    try:
        folders = _beginnings(process, environment) if relative else [process / "root"]
        there = [folder for folder in folders if (folder / name.lstrip("/")).exists()]
        if there != folders[:1]:
            return "" if not there and given is None else None
        return _text(folders[0], name.lstrip("/"), process, master.key)
    except OSError:
        return None


def _beginnings(process: Path, environment: dict[str, str]) -> list[Path]:
    """Where it may have been started: it is there still, or its configuration has moved it."""
    here, said = process / "cwd", environment.get("PWD", "")
    before = process / "root" / said.lstrip("/")
    if not said.startswith("/") or not before.exists() or here.samefile(before):
        return [here]
    return [here, before]


def _text(folder: Path, name: str, process: Path, key: WorkerKey) -> str | None:
    """A file that means there what it means here, and that has not changed since the process began."""
    path = folder / name
    if (process / "ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink():
        steps = [path, *path.parents][: len(Path(name).parts)]
        if any(step.is_symlink() for step in steps):
            return None  # in other mounts it may lead elsewhere for us
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        began = time.time() - age_seconds(key.start_ticks)
        if not stat.S_ISREG(found.st_mode) or found.st_size >= LONGEST_BYTES or found.st_mtime > began + 1:
            return None
        return os.read(descriptor, LONGEST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
