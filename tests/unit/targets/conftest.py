"""Segments whose bytes the real probe wrote, for processes that only exist in a /proc of the test's own."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.proctree import ProcTree

from vitalsd.probe.python import layout
from vitalsd.probe.python.segment import Segment, start_ticks
from vitalsd.targets import commands
from vitalsd.targets.finder import Finder
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.places import Place

HOLDER = """
import fcntl, os, sys
held = {}
for line in sys.stdin:
    path = line.strip()
    if path in held:
        os.close(held.pop(path))
    else:
        held[path] = os.open(path, os.O_RDWR)
        fcntl.lockf(held[path], fcntl.LOCK_EX | fcntl.LOCK_NB)
    print(path, flush=True)
"""


class Holder:
    """A process that holds locks as a probe does: the kernel does not tell a process of its own."""

    def __init__(self, process):
        self._process = process
        self.pid = process.pid
        self._held = set()

    def toggle(self, path):
        """Take the lock of a file, or let go of it."""
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        assert f"{path}\n" == self._process.stdout.readline()
        self._held ^= {path}

    def let_go(self):
        """Let go of all."""
        for path in list(self._held):
            self.toggle(path)


@pytest.fixture(scope="module")
def holder_process():
    """One such process for all tests of a module."""
    command = [sys.executable, "-I", "-S", "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Holder(process)
        process.stdin.close()


@pytest.fixture
def holder(holder_process):
    """The process, holding nothing at the end."""
    yield holder_process
    holder_process.let_go()


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """On a busy machine a thread may take longer to be scheduled than the agent waits for it."""
    monkeypatch.setattr(commands, "WAIT_SECONDS", 30.0)


@pytest.fixture
def tree(tmp_path):
    """An empty /proc."""
    return ProcTree(tmp_path / "proc")


class Segments:
    """A segment folder, and the probe's bytes to put into it."""

    def __init__(self, folder, scratch):
        self.folder = folder
        self._scratch = scratch
        folder.mkdir()

    def write(self, pid, target="", heartbeat=0.0, name=None):
        """Publish a segment for a process that started when this one did (see `start`); nobody holds its lock."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VITALSD_DIR", str(self._scratch))
            patch.setenv("VITALSD_TARGET", target)
            patch.setattr(os, "getpid", lambda: pid)
            segment = Segment(0.1)
            segment.put(layout.PROCESS, [heartbeat] + [float("nan")] * (len(layout.PROCESS_FIELDS) - 1))
            segment.remove()
        os.close(segment._fd)
        path = self.folder / (name or Path(segment.path).name)
        path.write_bytes(segment._map)
        return path

    def beat(self, path, heartbeat):
        """Have a segment say that its probe lives, without a new file."""
        other = self.write(1, heartbeat=heartbeat, name=".other")
        start, end = layout.PROCESS.offset * 8, layout.PROCESS.end * 8
        with path.open("r+b") as file:
            file.seek(start)
            file.write(other.read_bytes()[start:end])
        other.unlink()

    @property
    def start(self):
        """The start time that headers carry."""
        return int(start_ticks())


@pytest.fixture
def segments(tmp_path):
    """The segment folder of the test."""
    return Segments(tmp_path / "segments", tmp_path / "scratch")


@pytest.fixture
def readable():
    """A folder that every user may look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def somebody():
    """Return a context in which this process is not root, and so may be refused what it asks for."""

    @contextlib.contextmanager
    def become():
        before = os.geteuid()
        if before == 0:
            os.seteuid(4242)
        try:
            yield
        finally:
            os.seteuid(before)

    return become


@pytest.fixture
def finder(tree, segments):
    """Return a function that makes the finder of some rules, which reads the table every ten seconds."""
    folders = []

    def make(*rules, **more):
        folders.append(SegmentFolder(lambda: [Place(segments.folder)], tree.root))
        return Finder(rules, folders[-1], 10.0, tree.root, **more)

    yield make
    for folder in folders:
        folder.close()
