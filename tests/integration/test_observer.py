"""The observer beside real processes, with a probe and without: what it sees of stalls."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from support.files import open_files
from support.probed import TARGETS, probed
from support.waiting import wait_for

from vitalsd.detect.cause import decide
from vitalsd.probe.python.segment import in_memory
from vitalsd.sources.observer import Ended, Followed, Late, Observer
from vitalsd.sources.observer.seek import BUSY, NO_LOOP
from vitalsd.targets.processes import read_key

PROC = Path("/proc")
BLOCK_SECONDS = 0.6
IDLE = "import asyncio; asyncio.run(asyncio.sleep(100))"
SYNCHRONOUS = "import time; time.sleep(100)"
BUSY_LOOP = """
import asyncio, time
async def main():
    while True:
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass
        await asyncio.sleep(0.001)
asyncio.run(main())
"""
BUSY_SYNCHRONOUS = """
import select
opened = select.epoll()
while True:
    pass
"""
BACKGROUND = """
import asyncio, threading, time, uvloop
def background():
    while True:
        time.sleep(0.1)
        sum(range(1000))
async def main():
    threading.Thread(target=background, daemon=True).start()
    while True:
        await asyncio.sleep(0.7)
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            pass
asyncio.run(main())
"""
TICKS = """
import asyncio
async def main():
    print("ready", flush=True)
    while True:
        await asyncio.sleep(0.1)
asyncio.run(main())
"""
NODE_BUSY = "setInterval(() => { const end = Date.now() + 400; while (Date.now() < end); }, 1000)"
NODE_CHILD = "setInterval(() => require('child_process').execSync('sleep 0.4'), 1000)"


class Seen:
    """An observer that runs, and what it has told."""

    def __init__(self, **options):
        self.events = []
        self.came = threading.Condition()
        self.observer = Observer(self._take, budget_share=1.0, **options)
        self.observer.start()

    def _take(self, event):
        with self.came:
            self.events.append(event)
            self.came.notify_all()

    def follow(self, pid, segment=None):
        """Follow one process."""
        key = read_key(PROC, pid)
        assert key is not None
        self.observer.follow([Followed("test", "0", key, segment)])
        return key

    def stalls(self, count, kind=Ended):
        """The first so many that have ended."""

        def told():
            found = [event for event in self.events if isinstance(event, kind)]
            return found[:count] if len(found) >= count else None

        return wait_for(f"{count} stalls", told, 60.0)

    def ended_after(self, moment):
        """The first stall that has ended after this moment: before, the host may have had some."""

        def told():
            found = [event for event in self.events if isinstance(event, Ended)]
            return next((each for each in found if each.evidence.since + each.evidence.seconds > moment), None)

        return wait_for("the stall", told, 60.0)


@pytest.fixture
def seen():
    """An observer that runs."""
    made = Seen()
    yield made
    made.observer.stop()
    assert made.observer._problems == set()


@contextlib.contextmanager
def plain(*command):
    """A process without a probe; it is killed at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VITALSD"))}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def found(seen, key):
    """Wait until the loop is found."""
    return wait_for("the loop to be found", lambda: seen.observer.observed(key), 40.0)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["uvloop"]], ids=["asyncio", "uvloop"])
def test_sleeping_stalls(seen, arguments):
    """Every block of an unmodified service is seen, as long as it is, with what the thread did in it."""
    with plain(sys.executable, TARGETS / "blocks.py", *arguments) as process:
        key = seen.follow(process.pid)
        found(seen, key)
        for stall in seen.stalls(3):
            assert stall.evidence.seconds == pytest.approx(BLOCK_SECONDS, abs=0.1)
            assert stall.evidence.thread.doing.get("sleep", 0) >= 0.8 * stall.evidence.thread.looks
            assert (stall.evidence.runtime, stall.probed) == ("python", False)
        books = seen.observer.observed(key)
        assert books.stalls >= 3
        assert books.busy_seconds / (books.busy_seconds + books.idle_seconds) == pytest.approx(0.375, abs=0.15)


@pytest.mark.slow
def test_no_room_for_descriptors():
    """Turns are read without room as well, and nothing stays open when a stall is over."""
    seen = Seen(descriptors=0)
    with contextlib.ExitStack() as stack:
        stack.callback(seen.observer.stop)
        process = stack.enter_context(plain(sys.executable, TARGETS / "blocks.py"))
        found(seen, seen.follow(process.pid))
        assert seen.stalls(1)[0].evidence.turn.one_turn
        wait_for("the memory to be closed", lambda: f"/proc/{process.pid}/mem" not in open_files())


@pytest.mark.slow
@pytest.mark.parametrize("run", ["asyncio.run", "uvloop.run"])
def test_computation_beside_a_background_thread(seen, run):
    """
    Another thread that takes the interpreter now and then does not cut a stall into pieces.

    That it was one is known of asyncio, whose turns are; of uvloop it waits for somebody who has seen its stacks.
    """
    with plain(sys.executable, "-c", BACKGROUND.replace("asyncio.run", run)) as process:
        key = seen.follow(process.pid)
        found(seen, key)
        stalls = seen.stalls(3)
        for stall in stalls:
            assert stall.evidence.seconds == pytest.approx(0.4, abs=0.15)
        counted = seen.observer.observed(key).stalls
        if run == "asyncio.run":
            assert stalls[0].evidence.turn.one_turn
            assert counted >= len(stalls)
            return
        assert counted == 0
        seen.observer.settle(key, stall.evidence.since, True)
        assert seen.observer.observed(key).stalls == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
@pytest.mark.parametrize(
    ("script", "doing"), [(NODE_BUSY, "running"), (NODE_CHILD, "call")], ids=["busy", "child"]
)
def test_node(seen, script, doing):
    """The same of Node; waiting for a child is waiting in an epoll, but not in the loop's own."""
    with plain("node", "-e", script) as process:
        found(seen, seen.follow(process.pid))
        for stall in seen.stalls(2):
            assert stall.evidence.seconds == pytest.approx(0.4, abs=0.15)
            assert stall.evidence.thread.doing.get(doing, 0) >= 0.7 * stall.evidence.thread.looks
            assert stall.evidence.runtime == "node"


@pytest.mark.slow
def test_stopped(seen):
    """A service that is stopped is late and says why; continued, it is idle again."""
    with plain(sys.executable, "-c", IDLE) as process:
        key = seen.follow(process.pid)
        found(seen, key)
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGSTOP)
        try:
            seen.stalls(1, Late)
            time.sleep(1.0)
        finally:
            process.send_signal(signal.SIGCONT)
        stall = seen.ended_after(stopped_at)
        assert decide(stall.evidence).cause == "stopped"
        assert stall.evidence.thread.states["T"] >= 0.9 * stall.evidence.thread.looks
        wait_for("its rest", lambda: not seen.observer.in_progress(key))


@pytest.mark.slow
def test_synchronous_worker(seen):
    """It is said of a process without a loop that it has none."""
    with plain(sys.executable, "-c", SYNCHRONOUS) as process:
        key = seen.follow(process.pid)
        assert wait_for("the search to end", lambda: seen.observer.missing(key)) == NO_LOOP


@pytest.mark.slow
def test_busy_loop(seen):
    """A loop that is in its epoll for one millisecond of twenty is found, and soon."""
    with plain(sys.executable, "-c", BUSY_LOOP) as process:
        key = seen.follow(process.pid)
        books = wait_for("the loop to be found", lambda: seen.observer.observed(key), 20.0)
        assert books.thread_id == process.pid
        assert seen.observer.missing(key) is None


@pytest.mark.slow
def test_busy_synchronous_worker(seen):
    """Of one that computes, and has an epoll that it never waits in, nothing is told but that it computes."""
    with plain(sys.executable, "-c", BUSY_SYNCHRONOUS) as process:
        key = seen.follow(process.pid)
        assert wait_for("the search to end", lambda: seen.observer.missing(key)) == BUSY
        assert seen.observer.observed(key) is None
        assert seen.events == []


@pytest.mark.slow
def test_killed_in_a_stall(seen):
    """A service that is killed in a stall has had it, and there is no end of it."""
    with plain(sys.executable, TARGETS / "blocks.py") as process:
        found(seen, seen.follow(process.pid))
        seen.stalls(1)
        late = len([event for event in seen.events if isinstance(event, Late)])
        seen.stalls(late + 1, Late)
        process.kill()
        last = seen.stalls(late + 1)[-1]
        assert last.evidence.seconds <= BLOCK_SECONDS + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["uvloop"]], ids=["asyncio", "uvloop"])
def test_probed(seen, tmp_path, arguments):
    """Each stall has the same name here as in the ring of the probe, and evidence beside it."""
    with probed(["blocks.py", *arguments], tmp_path) as process:
        process.line()
        process.wait_vitals("a loop", lambda vitals: bool(vitals.loops))
        (segment,) = process.folder.glob("*.seg")
        seen.follow(process.pid, segment)
        stalls = seen.stalls(2)
        loop = process.wait_loop("the ring", lambda loop: len(loop.recent_stalls) >= 2)
        ring = {stall.since: stall for stall in loop.recent_stalls}
        for stall in stalls:
            assert stall.probed
            assert stall.evidence.since in ring
            assert stall.evidence.seconds == pytest.approx(ring[stall.evidence.since].duration_seconds, abs=0.2)
            assert "sleep" in stall.evidence.thread.doing
        assert time.monotonic() > stalls[0].evidence.since


@pytest.mark.slow
def test_stopped_with_a_segment_on_a_disk(seen, tmp_path):
    """While it is stopped nobody copies its words: /proc says so, and it is told at once, not when it goes on."""
    if in_memory("/var/tmp"):
        pytest.skip("/var/tmp is in memory here")
    program = tmp_path / "ticks.py"
    program.write_text(TICKS)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, probed([str(program)], Path(folder)) as process:
        process.line()
        process.wait_vitals("a loop", lambda vitals: bool(vitals.loops))
        (segment,) = process.folder.glob("*.seg")
        key = seen.follow(process.pid, segment)
        stopped_at = time.monotonic()
        process.process.send_signal(signal.SIGSTOP)
        try:
            seen.stalls(1, Late)
            (evidence,) = wait_for("what is known so far", lambda: seen.observer.in_progress(key))
            assert decide(evidence).cause == "stopped"
            time.sleep(1.0)  # its copy is old for a moment after it goes on, and of that there are looks, too
        finally:
            process.process.send_signal(signal.SIGCONT)
        stall = seen.ended_after(stopped_at)
        assert decide(stall.evidence).cause == "stopped"
