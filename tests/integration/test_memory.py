"""
Memory of real processes: control groups of the test's own with limits that hold, and pages shared after a fork.

Uses eats.py of tests/targets. Groups need a hierarchy that may be written, which root has: they go at the end.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.agent import Agent, watching
from support.probed import TARGETS

from vitalsd.model import MemoryGroup, WorkerKey
from vitalsd.probe.python.segment import in_memory
from vitalsd.sources.memory import MemorySource
from vitalsd.sources.registry import Worker
from vitalsd.sources.rollup import PERIOD_SECONDS
from vitalsd.targets.processes import read_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vitalsd.model import MemoryVitals

MIB = 2**20
PROC = Path("/proc")
NOBODY = 65534


class Eater:
    """One program that takes memory as it is told, and the source that reads it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        self.now = 1000.0
        self.source = MemorySource(clock=lambda: self.now, start=lambda read: read())

    def told(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, line: str) -> str:
        """Have it do something; the answer is what came of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        done, _, answer = self.told().partition(" ")
        assert done == "done"
        return answer

    def key(self, pid: int = 0) -> WorkerKey:
        """Who it is, or who one of its children is."""
        key = read_key(PROC, pid or self.pid)
        assert key is not None
        return key

    def read(self, pid: int = 0, after: float = PERIOD_SECONDS) -> MemoryVitals:
        """What is known so much later, when everything is due; nothing is missing."""
        self.now += after
        missing: dict[str, str] = {}
        vitals = self.source.read(Worker("eats", self.key(pid), None), missing)
        assert missing == {}
        return vitals

    def group(self) -> MemoryGroup:
        """What its group says now."""
        group = self.read().group
        assert group is not None
        return group


@contextlib.contextmanager
def eating(**options: Any) -> Iterator[Eater]:
    """The program, ready; its children end with it."""
    process = subprocess.Popen(
        [sys.executable, TARGETS / "eats.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        eater = Eater(process)
        assert eater.told() == "ready"
        yield eater
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def test_limit_use_and_kills(new_group: Callable[..., Path]) -> None:
    """A group's limit, what it uses of it, what is left, and that somebody was killed in it."""
    folder = new_group("vitalsd-test", 64)
    with eating() as eater:
        eater.do(f"join {folder}")
        before, limit = eater.group(), eater.read()
        assert (limit.limit_bytes, limit.limit_kind) == (64 * MIB, "group")
        assert Path(before.name).name == folder.name
        assert before.oom_kills == 0

        eater.do("take 24")
        after = eater.group()
        assert before.used_bytes is not None
        assert before.headroom_bytes is not None
        assert after.used_bytes is not None
        assert after.headroom_bytes is not None
        assert 24 * MIB <= after.used_bytes - before.used_bytes <= 32 * MIB
        assert 24 * MIB <= before.headroom_bytes - after.headroom_bytes <= 32 * MIB
        assert after.headroom_bytes <= 40 * MIB

        assert os.WTERMSIG(int(eater.do("burst 128"))) == signal.SIGKILL
        killed = eater.group()
        assert killed.oom_kills == 1
        assert killed.limit_hits is not None
        if not psutil.swap_memory().total:  # version 1 does not count hits of its limit of both in every kernel
            assert killed.limit_hits > 0
        assert eater.process.poll() is None


@pytest.mark.parametrize(("place", "kept"), [("/var/tmp", False), ("/dev/shm", True)])
def test_pages_of_files_are_left(new_group: Callable[..., Path], place: str, kept: bool) -> None:
    """They count as used, and the kernel takes them back before it kills; not those of files in memory."""
    if in_memory(place) != kept:
        pytest.skip(f"{place} is {'on a disk' if kept else 'in memory'}")
    folder = new_group("vitalsd-test", 96)
    with eating() as eater, tempfile.NamedTemporaryFile(dir=place) as file:
        eater.do(f"join {folder}")
        before = eater.group()
        eater.do(f"fill {file.name}")
        after = eater.group()
        assert before.left_bytes is not None
        assert after.left_bytes is not None
        assert after.headroom_bytes is not None
        assert (before.left_bytes - after.left_bytes >= 40 * MIB) is kept
        assert after.left_bytes >= after.headroom_bytes
        if not kept:
            assert before.left_bytes - after.left_bytes <= 6 * MIB
            eater.do("take 64")  # there is room: files make it
            assert eater.process.poll() is None


def test_limit_of_a_group_above(new_group: Callable[..., Path]) -> None:
    """The limit of a pod holds for its containers, and what a neighbour uses leaves less room."""
    pod = new_group("vitalsd-pod", 96)
    one, other = (new_group(name, 512, pod) for name in ("one", "other"))
    with eating() as eater, eating() as neighbour:
        eater.do(f"join {one}")
        neighbour.do(f"join {other}")
        told = eater.read()
        assert told.limit_bytes == 96 * MIB
        before = eater.group().headroom_bytes
        neighbour.do("take 48")
        after = eater.group().headroom_bytes
        assert before is not None
        assert after is not None
        assert 48 * MIB <= before - after <= 56 * MIB


def test_own_limit() -> None:
    """A process that has limited itself has that limit, without any group."""
    limited = {resource.RLIMIT_DATA: "data", resource.RLIMIT_AS: "address_space"}
    for kind, name in limited.items():
        with eating(preexec_fn=lambda kind=kind: resource.setrlimit(kind, (512 * MIB, 512 * MIB))) as eater:
            told = eater.read()
            assert (told.limit_bytes, told.limit_kind) == (512 * MIB, name)


def test_shared_after_a_fork() -> None:
    """Pages of before a fork are in each process's anonymous memory, and in PSS once over both."""
    with eating() as eater:
        eater.do("take 32")
        child = int(eater.do("share"))
        eater.read(), eater.read(child)
        parent, told = eater.read(), eater.read(child)
        status = (PROC / str(child) / "status").read_text()
        anonymous = (
            int(next(line for line in status.splitlines() if line.startswith("RssAnon:")).split()[1]) * 1024
        )
        assert anonymous > 32 * MIB
        assert told.proportional_bytes is not None
        assert told.unique_bytes is not None
        assert parent.unique_bytes is not None
        assert 16 * MIB <= told.proportional_bytes < 24 * MIB
        assert told.unique_bytes < 8 * MIB
        assert parent.unique_bytes < 16 * MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_the_missing_right_is_named() -> None:
    """Of another user's process PSS is what lacks, with the right that is needed; its group and limit are open."""
    with eating(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (512 * MIB, 512 * MIB))) as eater:
        program = (
            "import os, pathlib, time; from vitalsd.sources.memory import MemorySource; "
            "from vitalsd.sources.registry import Worker; from vitalsd.targets.processes import read_key; "
            f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); "
            f"worker = Worker('eats', read_key(pathlib.Path('/proc'), {eater.pid}), None); "
            "late = iter((1000.0, 2000.0)); missing = {}; "
            "source = MemorySource(clock=lambda: next(late), start=lambda read: read()); "
            "source.read(worker, missing); print(source.read(worker, missing).limit_bytes, missing)"
        )
        asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert asked.stdout.startswith(f"{512 * MIB} {{'memory.proportional_bytes': "), asked.stderr
    assert f"/proc/{eater.pid}/smaps_rollup may be read by uid 0 or with CAP_SYS_PTRACE" in asked.stdout
    assert f"this agent is uid {NOBODY}: run it as uid 0" in asked.stdout


def test_agent(new_group: Callable[..., Path], tmp_path: Path) -> None:
    """The limit and each kill are in the agent's metrics, and the group in its API."""
    folder = new_group("vitalsd-agent", 64)
    agent = Agent(tmp_path)
    with eating() as eater:
        eater.do(f"join {folder}")
        with watching(agent, "--name=eats", f"--pid={eater.pid}"):
            labels = {"target": "eats", "worker": "0"}
            agent.wait_scrape(
                "the limit", lambda scrape: scrape.one("vitals_memory_limit_bytes", **labels) == 64 * MIB
            )
            assert agent.scrape().one("vitals_memory_oom_kills_total", **labels) == 0
            eater.do("burst 128")
            agent.wait_scrape(
                "the kill", lambda scrape: scrape.one("vitals_memory_oom_kills_total", **labels) == 1
            )
            (worker,) = agent.targets()["eats"]["workers"]
            assert worker["memory"]["group"]["limit_bytes"] == 64 * MIB
            assert worker["memory"]["limit_kind"] == "group"
