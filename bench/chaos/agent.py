"""Faults of the agent itself: killed, stopped, without memory, without descriptors, with a clock that is set."""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.chaos.fault import Fault, as_root
from bench.chaos.scene import Scene
from bench.ground import cgroup_with_memory
from bench.harness import SERVICES

__all__ = ["FAULTS"]

AWAY_SECONDS = 1.0
CAPTURE_SECONDS = 1.5
PATIENCE_SECONDS = 15.0
LIMIT_BYTES = 80 << 20
HOG = "blocks = []\nwhile True: blocks.append(bytearray(b'x') * (1 << 20))"
STEPS = (2 * 3600.0, -3 * 3600.0, 40 * 86_400.0, -90.0, 0.0)
"""By how much its clock is ahead of the machine's, one after the other."""


def killed(scene: Scene) -> None:
    """At a random moment; another begins."""
    _wait(scene)
    scene.agent.kill()
    scene.stall()
    _wait(scene)
    scene.begin()


def killed_again_and_again(scene: Scene) -> None:
    """Before it has come to itself."""
    for _ in range(3):
        scene.agent.kill()
        scene.stall()
        scene.begin()
        _wait(scene)


def children_killed(scene: Scene) -> None:
    """While they look at the service for a capture."""
    asked = scene.agent.capture("cpu", "shop", CAPTURE_SECONDS, PATIENCE_SECONDS)
    scene.stall()
    time.sleep(scene.random.uniform(0.0, CAPTURE_SECONDS))
    for pid in scene.agent.helpers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    scene.mended()
    if "id" not in asked or asked["state"] == "refused":
        scene.note("capture refused by a crowded host")
    elif scene.agent.wait(str(asked["id"]), "done", "failed", "refused")["state"] != "done":
        scene.note("capture that was running")


def stopped(scene: Scene) -> None:
    """By SIGSTOP, with stalls meanwhile, and continued."""
    _wait(scene)
    os.kill(scene.agent.pid, signal.SIGSTOP)
    for _ in range(2):
        _wait(scene)
        scene.stall()
    os.kill(scene.agent.pid, signal.SIGCONT)
    scene.mended()


def out_of_memory(scene: Scene) -> None:
    """Somebody in its control group takes all there is; the kernel kills the agent, and it is started again."""
    with cgroup_with_memory(LIMIT_BYTES) as group:
        assert group is not None
        join = group.command()
        scene.agent.end()
        scene.begin(join)
        scene.wait_whole()
        scene.stall()
        hog = subprocess.Popen([*join, sys.executable, "-c", HOG])
        try:
            scene.agent.wait_ended()
        finally:
            hog.kill()
            hog.wait()
        scene.stall()
        scene.begin(join)
        scene.wait_whole()


def without_descriptors(scene: Scene) -> None:
    """It may open no more than it has."""
    opened = len(list(Path(f"/proc/{scene.agent.pid}/fd").iterdir()))
    before = resource.prlimit(scene.agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(scene.agent.pid, resource.RLIMIT_NOFILE, (opened, before[1]))
    for _ in range(2):
        scene.stall()
        _wait(scene)
    resource.prlimit(scene.agent.pid, resource.RLIMIT_NOFILE, before)
    scene.mended()


def clock_set(scene: Scene) -> None:
    """Forwards and backwards, while it runs; the machine's own stays as it is."""
    scene.agent.end()
    with _clock(scene.folder / "clock") as ahead:
        extra = {"PYTHONPATH": str(SERVICES / "clock"), "CHAOS_CLOCK": str(scene.folder / "clock")}
        scene.begin(extra=extra)
        scene.wait_whole()
        for step in STEPS[1:] if scene.quick else STEPS:
            struct.pack_into("<d", ahead, 0, step)
            scene.mended()
            scene.stall()
            _wait(scene)
        scene.wait_whole()


@contextlib.contextmanager
def _clock(path: Path) -> Iterator[mmap.mmap]:
    """What the process adds to what its clock tells."""
    path.write_bytes(bytes(8))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as ahead:
        yield ahead


def _wait(scene: Scene) -> None:
    time.sleep(scene.random.uniform(0.0, AWAY_SECONDS))


def _has_group() -> str:
    """Whether a group with a limit of memory can be made."""
    if as_root():
        return as_root()
    with cgroup_with_memory(LIMIT_BYTES) as group:
        return "" if group is not None else "no control group for memory can be made"


FAULTS = (
    Fault("the agent is killed", "SIGKILL at a random moment; another begins up to a second later", 10, 1, killed),
    Fault(
        *("the agent is killed again and again", "SIGKILL three times, before it has come to itself"),
        *(3, 1, killed_again_and_again),
    ),
    Fault("its children are killed", "SIGKILL at a random moment of a capture of CPU time", 4, 1, children_killed),
    Fault("the agent is stopped", "SIGSTOP, two stalls, SIGCONT", 5, 1, stopped),
    Fault(
        "the agent is out of memory",
        f"in a control group of {LIMIT_BYTES >> 20} MiB, of which another process takes all; it is started again",
        *(3, 1, out_of_memory, _has_group),
    ),
    Fault(
        "no descriptor is left",
        "its RLIMIT_NOFILE is lowered to what it has open, and raised again",
        *(3, 1, without_descriptors),
    ),
    Fault(
        "the clock is set",
        "two hours ahead, three hours behind, 40 days ahead, 90 seconds behind, and right again",
        *(2, 1, clock_set),
    ),
)
