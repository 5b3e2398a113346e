"""Faults of the processes around: a pid that is taken again, thousands that live for a moment, a loop of forks."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.chaos.fault import Fault
from bench.chaos.honest import asking, giving_back
from bench.chaos.scene import Scene
from bench.harness import PROBE, SERVICES, environment, wait_for

__all__ = ["FAULTS"]

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
MARK = "chaos-again"
WORKER = f"import asyncio, time; asyncio.run(asyncio.sleep(600))  # {MARK}"
STRANGER = (
    "import asyncio, time\n"
    "async def stall():\n while True: time.sleep(0.3); await asyncio.sleep(0.1)\n"
    "asyncio.run(stall())"
)
TARGET = f"{{name: again, match: {MARK}}}"
ENDS = ("worker_down", "crash_loop")
"""What is truly told of a worker that was killed."""
SHORT_LIVED = 1000
"""In each round as many beside the services, and as many as children of one."""
LOOP_SECONDS = 3.0
LOOP = "import os\nwhile True:\n if os.fork(): os.wait()\n else: os._exit(0)"


@contextlib.contextmanager
def _running(code: str, extra: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pid_taken(scene: Scene) -> None:
    """A worker is killed; a stranger that stalls all the time has its pid, and then another worker."""
    probed = {**PROBE, "VITALSD_DIR": str(scene.segments)}
    with _running(WORKER, probed) as worker:
        wait_for(lambda: _seated(scene) == [worker.pid], "the worker to be seen")
    scene.mended()
    with contextlib.ExitStack() as stack:
        _take(worker.pid, STRANGER, probed, stack)
        wait_for(lambda: _seated(scene) == [], "nobody to be seen in its place")
        scene.stall()
        time.sleep(1.0)  # the stranger stalls all the time
        if _seated(scene):
            scene.result.lost.append("the state of a worker, which a stranger has inherited")
    with contextlib.ExitStack() as stack:
        _take(worker.pid, WORKER, probed, stack)
        scene.mended()
        wait_for(lambda: _seated(scene) == [worker.pid], "the next worker to be seen under the same pid")
        scene.stall()
    _, told = scene.agent.ask("GET", "/api/v1/incidents?target=again&limit=1000")
    invented = [each["kind"] for each in told["incidents"] if each["kind"] not in ENDS]
    scene.result.lost += [f"the truth: an incident that nobody made, {kind}" for kind in invented]


def _take(pid: int, code: str, extra: dict[str, str], stack: contextlib.ExitStack) -> None:
    """Start this under that pid; others start processes too, so it may take some tries."""

    def taken() -> bool:
        with contextlib.ExitStack() as attempt:
            LAST_PID.write_text(str(pid - 1))
            process = attempt.enter_context(_running(code, extra))
            if process.pid == pid:
                stack.push(attempt.pop_all())
            return process.pid == pid

    wait_for(taken, f"the pid {pid} again", 60.0)


def _seated(scene: Scene) -> list[int]:
    _, told = scene.agent.ask("GET", "/api/v1/targets/again")
    return [each["key"]["pid"] for each in told.get("workers", ()) if each["up"]]


def short_lived(scene: Scene) -> None:
    """Programs and forks, beside the services and as children of one that is watched."""
    known = _published(scene)
    command = [sys.executable, str(SERVICES / "forking.py"), str(SHORT_LIVED)]
    probed = environment({**PROBE, "VITALSD_DIR": str(scene.segments)})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with giving_back(scene), asking(scene):
        beside, above = (subprocess.Popen([*command, name], env=probed, **pipes) for name in ("beside", "above"))
        scene.stall()
        for process in (beside, above):
            assert process.stdout is not None
            assert process.stdout.readline() == b"done\n"
        scene.stall()
        for process in (beside, above):
            process.communicate()
        wait_for(lambda: _published(scene) <= known, "what they have published to be gone")


def _published(scene: Scene) -> set[Path]:
    """Of all but the agent, which has one of its own a moment after it began."""
    return set(scene.segments.iterdir()) - set(scene.segments.glob(f"*-{scene.agent.pid}-*"))


def loop_of_forks(scene: Scene) -> None:
    """Somebody beside forks as fast as the machine can."""
    with giving_back(scene), asking(scene):
        loops = [subprocess.Popen([sys.executable, "-c", LOOP], start_new_session=True) for _ in range(2)]
        try:
            until = time.monotonic() + LOOP_SECONDS
            scene.stall()
            time.sleep(max(0.0, until - time.monotonic()))
            scene.stall()
        finally:
            for loop in loops:
                os.killpg(loop.pid, signal.SIGKILL)
                loop.wait()


def _may_choose() -> str:
    try:
        LAST_PID.write_text(LAST_PID.read_text())
    except OSError:
        return "pids cannot be chosen here"
    return ""


FAULTS = (
    Fault(
        "the pid of a worker is taken again",
        "by a stranger that stalls all the time, and then by the next worker",
        *(5, 1, pid_taken, _may_choose),
        targets=(TARGET,),
    ),
    Fault(
        "processes that live for a moment",
        f"{SHORT_LIVED:,} beside the services, and as many as children of one, forks and programs",
        *(5, 1, short_lived),
        targets=('{name: above, match: "forking.py [0-9]+ above"}',),
    ),
    Fault("a loop of forks", f"twice, for {LOOP_SECONDS:g} s, as fast as they go", 2, 1, loop_of_forks),
)
