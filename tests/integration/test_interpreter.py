"""What is read of a running CPython's own memory, on every Python that the machine has."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.files import open_files
from support.probed import TARGETS
from support.waiting import wait_for

from vitalsd.sources.interpreter import Interpreter, Turn
from vitalsd.sources.interpreter.interpreter import NO_CPYTHON
from vitalsd.sources.room import Descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
NOBODY = 65534


class Service:
    """A service that stops where it is told to, and the reader of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        self.reader = Interpreter(PROC, process.pid)

    def stopped(self) -> tuple[str, dict[str, Any]]:
        """Where it stops next, and what it tells of itself there."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("stopped "), f"got {line!r}"
        _, name, told = line.split(" ", 2)
        return name, json.loads(told)

    def go_on(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def read(self, tid: int | None = None) -> Turn:
        """What is read of its main thread, or of another."""
        # One that was dear, as on a busy machine it may be, is not repeated at once.
        return wait_for(f"a reading ({self.reader.missing})", lambda: self.reader.read(tid or self.pid), 10.0)


@contextlib.contextmanager
def service(*command: str) -> Iterator[Service]:
    """Start it; it is killed at the end."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    started = Service(process)
    try:
        yield started
    finally:
        started.reader.close()
        process.kill()
        process.communicate()


def turns(python: str, *mode: str) -> contextlib.AbstractContextManager[Service]:
    """The target that tells its own turns."""
    return service(python, str(TARGETS / "turns.py"), *mode)


def own(told: dict[str, Any], collecting: bool = False) -> Turn:
    """The turn that the service has told of itself."""
    return Turn(collecting, **told["turn"])


def test_a_stall_is_one_turn_from_its_exact_beginning(any_python: str) -> None:
    """A callback that blocks below coroutines and functions: each read tells the turn that the loop itself has."""
    with turns(any_python, "blocks") as blocked:
        _, told = blocked.stopped()
        read = [blocked.read() for _ in range(20)]

    assert set(read) == {own(told)}
    assert 0 <= told["now"] - told["turn"]["turn_began"] < 0.5


def test_a_flood_is_one_turn_that_moves_on(any_python: str) -> None:
    """Of 400 callbacks and a task in one turn it is told how many there are, and how many have begun."""
    with turns(any_python, "floods") as flooded:
        stops = []
        for _ in range(3):
            _, told = flooded.stopped()
            assert flooded.read() == own(told)
            stops.append(flooded.read())
            flooded.go_on()

    assert len({stop.turn_began for stop in stops}) == 1
    assert [(stop.ready, stop.ran) for stop in stops] == [(401, 1), (401, 201), (401, 400)]


def test_turns_that_are_short_are_told_apart(any_python: str) -> None:
    """Each turn of a loop that goes on has another beginning, later than the one before."""
    with turns(any_python, "steps") as stepping:
        began = []
        for _ in range(5):
            _, told = stepping.stopped()
            read = stepping.read()
            assert read == own(told)
            began.append(read.turn_began)
            stepping.go_on()

    assert began == sorted(set(began))


def test_a_saturated_loop_changes_while_it_is_read(any_python: str) -> None:
    """A loop that never rests is never taken for one turn, and what is told of it is plausible."""
    with turns(any_python, "saturates") as saturated:
        saturated.stopped()
        seen: set[float] = set()

        def look() -> bool:
            began, turn = time.monotonic(), saturated.read()
            if turn.turn_began is not None:
                assert began - 5 < turn.turn_began <= time.monotonic()
                assert turn.ready in (None, 1, 2)
                seen.add(turn.turn_began)
            return len(seen) >= 5

        wait_for("five turns", look)


def test_a_collection_is_told_while_it_runs(any_python: str) -> None:
    """Garbage is being collected in the middle of a collection, and neither before nor after."""
    with turns(any_python, "collects") as collector:
        stops = []
        for _ in range(3):
            name, told = collector.stopped()
            assert collector.read() == own(told, collecting=name == "collecting")
            stops.append(name)
            collector.go_on()

    assert stops == ["before", "collecting", "after"]


def test_uvloop_has_no_turn_but_collects(any_python: str) -> None:
    """A loop without a Python frame is not guessed at."""
    asked = subprocess.run([any_python, "-c", "import uvloop"], capture_output=True)
    if asked.returncode != 0:
        pytest.skip("this Python has no uvloop")
    with service(any_python, str(TARGETS / "turns.py"), "uvloop", "collects") as collector:
        for expected in (False, True, False):
            collector.stopped()
            assert collector.read() == Turn(expected)
            collector.go_on()


def test_a_loop_in_another_thread(any_python: str) -> None:
    """Each thread is told by itself: the loop's has a turn, and those without a loop have none."""
    with turns(any_python, "in_a_thread") as threaded:
        _, told = threaded.stopped()
        tids = [int(task.name) for task in (PROC / str(threaded.pid) / "task").iterdir()]
        read = {tid: threaded.read(tid) for tid in tids}

    assert len(tids) == 8
    assert sorted(map(str, read.values())) == sorted([str(own(told)), *[str(Turn(False))] * 7])
    assert read[threaded.pid] == Turn(False)


def test_a_child_that_a_thread_forked(any_python: str) -> None:
    """The main thread of a forked child is the one that forked it, under a number of its own."""
    with turns(any_python, "forks") as parent:
        _, told = parent.stopped()
        child = Interpreter(PROC, told["pid"])
        read = child.read(told["pid"])
        child.close()
        parent.go_on()
        parent.process.wait(20)

    assert told["pid"] != parent.pid
    assert read == own(told)


def test_another_program_is_not_read_with_the_old_addresses(any_python: str) -> None:
    """After an exec nothing is told, and the next read looks anew: it is no CPython."""
    with turns(any_python, "execs") as changing:
        _, told = changing.stopped()
        assert changing.read() == own(told)
        changing.go_on()
        wait_for("cat", lambda: (PROC / str(changing.pid) / "comm").read_text().strip() == "cat")
        assert changing.reader.read(changing.pid) is None
        assert changing.reader.missing is None
        assert changing.reader.read(changing.pid) is None
        assert changing.reader.missing == NO_CPYTHON


def test_a_process_without_python() -> None:
    """It is told at once that there is none, and not looked for again soon."""
    with service("/bin/sleep", "60") as sleeping:
        wait_for("sleep", lambda: (PROC / str(sleeping.pid) / "comm").read_text().strip() == "sleep")
        assert sleeping.reader.read(sleeping.pid) is None
        assert sleeping.reader.missing == NO_CPYTHON


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_the_missing_right_is_named() -> None:
    """A reader that may not read says whose right it lacks, and raises nothing."""
    with turns(sys.executable, "blocks") as blocked:
        blocked.stopped()
        program = (
            "import os, pathlib; from vitalsd.sources.interpreter import Interpreter; "
            f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); "
            f"reader = Interpreter(pathlib.Path('/proc'), {blocked.pid}); "
            f"print(reader.read({blocked.pid}), reader.missing)"
        )
        asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)

    assert asked.stdout.startswith("None "), asked.stderr
    assert "may be read by uid 0" in asked.stdout
    assert f"this agent is uid {NOBODY}" in asked.stdout


@pytest.mark.parametrize("most", [0, 1])
def test_its_descriptor_counts(most: int) -> None:
    """It stays open between stalls where there is room; where there is none it is opened for each."""
    with turns(sys.executable, "blocks") as blocked:
        blocked.stopped()
        room = Descriptors(most)
        reader = Interpreter(PROC, blocked.pid, room)

        def used() -> tuple[int, int]:
            return open_files().count(f"/proc/{blocked.pid}/mem"), room.used

        first = reader.read(blocked.pid)
        assert used() == (1, most)
        reader.rest()
        assert used() == (most, most)
        assert reader.read(blocked.pid) == first
        reader.close()
        reader.close()
        assert used() == (0, 0)


def test_a_process_that_dies_while_it_is_read(any_python: str) -> None:
    """Whatever the moment, nothing is raised and nothing is told afterwards."""
    with turns(any_python, "saturates") as dying:
        dying.stopped()
        dying.read()
        killer = threading.Timer(0.05, dying.process.kill)
        killer.start()
        last = wait_for("its end", lambda: dying.reader.read(dying.pid) is None)
        dying.process.wait(20)

    assert last
    assert dying.reader.read(dying.pid) is None


def test_an_executable_that_has_been_replaced(tmp_path: Path) -> None:
    """An upgrade removes the files of a running service: its memory is read all the same."""
    python = tmp_path / "service"
    shutil.copy(Path(sys.executable).resolve(), python)
    program = [str(python), str(TARGETS / "turns.py"), "blocks"]
    home = f"PYTHONHOME={sys.base_prefix}"
    library = f"LD_LIBRARY_PATH={sysconfig.get_config_var('LIBDIR')}"
    with service("/usr/bin/env", home, library, *program) as upgraded:
        _, told = upgraded.stopped()
        python.unlink()
        assert upgraded.read() == own(told)
