"""A probe whose service rests sleeps, is there in time all the same, and is no more in the way than one awake."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest
from support.probed import Probed, needs_node, probed
from support.waiting import wait_for

from vitalsd.capture.census import socket_of
from vitalsd.capture.probe_stacks import list_stacks
from vitalsd.model import Stall
from vitalsd.sources.observer import Followed, Observer
from vitalsd.targets.processes import read_key

PROC = Path("/proc")


def its_stall(service: Probed) -> Stall:
    """The stall that comes next, once it is over."""
    began = time.monotonic()
    service.line("now")

    def told() -> Stall | None:
        vitals = service.vitals()
        stalls = [stall for loop in vitals.loops for stall in loop.recent_stalls] if vitals is not None else []
        return next((stall for stall in stalls if stall.since > began), None)

    return wait_for("the stall", told)


def woken(pid: int, thread: int) -> int:
    """How often a thread has gone to sleep by itself so far."""
    lines = (PROC / str(pid) / "task" / str(thread) / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def woken_within(seconds: float, pid: int, thread: int) -> int:
    """How often it does so within so long."""
    before, began = woken(pid, thread), time.monotonic()
    wait_for("a while", lambda: time.monotonic() > began + seconds)
    return woken(pid, thread) - before


def own_thread(pid: int) -> int:
    """The probe's, of a program that has no other."""
    (thread,) = {int(task.name) for task in (PROC / str(pid) / "task").iterdir()} - {pid}
    return thread


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "asleep"), [("asyncio", 12), ("uvloop", 26)])
def test_an_agent_wakes_it(tmp_path: Path, kind: str, asleep: float) -> None:
    """An agent beside it sees that the loop does not come back, and brings the stack."""
    observer = Observer(lambda _event: None, budget_share=1.0)
    rests = str(asleep + 8)  # what is told may be four seconds old
    with probed(["rests.py", kind], tmp_path, RESTS_SECONDS=rests) as service:
        service.line("ready")
        service.wait_loop("a rest", lambda loop: loop.idle_seconds > asleep)
        key = read_key(PROC, service.pid)
        assert key is not None
        assert woken_within(2, service.pid, own_thread(service.pid)) <= 3  # and six or more where it is awake
        (segment,) = tmp_path.glob("*.seg")
        observer.follow([Followed("test", "0", key, segment)])
        observer.start()
        try:
            seen = its_stall(service)
        finally:
            observer.stop()

    assert [stack.frames[0].function for stack in seen.stacks] == ["ask_slowly"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "off"), [("asyncio", 0.1), ("uvloop", 0.25)])
def test_it_has_the_length_alone(tmp_path: Path, kind: str, off: float) -> None:
    """With nobody beside it, it sleeps through a stall at rest, and tells how long that was."""
    with probed(["rests.py", kind], tmp_path) as service:
        service.line("ready")
        stall = its_stall(service)

    assert stall.duration_seconds == pytest.approx(0.4, abs=off)


@pytest.mark.slow
def test_a_fork_wakes_it(any_python: str, tmp_path: Path) -> None:
    """A service that forks after a rest does so with no thread of ours, at once; and it is watched as before."""
    with probed(["rests.py", "fork"], tmp_path, any_python, PYTHONWARNINGS="always") as service:
        service.line("ready")
        service.line("now")
        _, seconds, threads = service.line("forked").split()
        vitals = service.wait_vitals("life after", lambda vitals: bool(vitals.loops))
        _, _, err = service.end()
    # On a host that lets the thread wait for a processor for longer than a fork does, it is there.
    assert int(threads) == 1 or float(seconds) > 0.1
    assert vitals.loops[0].idle_seconds > 10
    assert "Warning" not in err


@pytest.mark.slow
def test_what_is_asked_wakes_it(tmp_path: Path) -> None:
    """Whoever asks it something is answered at once."""
    with probed(["rests.py"], tmp_path) as service:
        service.line("ready")
        service.wait_loop("a rest", lambda loop: loop.idle_seconds > 13)
        (segment,) = tmp_path.glob("*.seg")
        began = time.monotonic()
        told = asyncio.run(list_stacks(socket_of(segment), service.pid))
        took = time.monotonic() - began
    assert told.threads
    assert took < 3  # and sleeps for four


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "asleep"),
    [
        pytest.param(["storms.py", "errors"], 13, id="python"),
        pytest.param(["nodes.js", "restedRejects"], 22, id="node", marks=needs_node),
    ],
)
def test_errors_at_rest_are_told_while_they_come(tmp_path: Path, program: list[str], asleep: float) -> None:
    """The first within the seconds that it sleeps, and those after it soon, not by the dozen."""
    waits = {"CALM_SECONDS": str(asleep + 3), "AFTER_MS": str((asleep + 3) * 1000)}
    with probed(program, tmp_path, **waits) as service:
        service.line("ready")
        service.wait_loop("a loop at rest", lambda loop: loop.idle_seconds > asleep)
        service.wait_vitals("the first", lambda vitals: any(vitals.unhandled_errors))
        end, last, told_at = time.monotonic() + 12, None, [time.monotonic()]
        while time.monotonic() < end:
            vitals = service.vitals()
            if vitals is not None and vitals.unhandled_errors != last:
                last = vitals.unhandled_errors
                told_at.append(time.monotonic())
            time.sleep(0.1)
    apart = [later - earlier for earlier, later in pairwise([*told_at, end])]
    assert max(apart) < 3, apart  # and four where it sleeps on


@needs_node
@pytest.mark.slow
def test_node_is_hardly_woken(tmp_path: Path) -> None:
    """A service that nothing comes to is woken every fourth second, by one beat; a block is found all the same."""
    with probed(["nodes.js", "restedChild"], tmp_path, AFTER_MS="40000") as service:
        service.line("ready")
        service.wait_loop("a loop at rest", lambda loop: loop.idle_seconds > 22)
        woken_often = woken_within(6, service.pid, service.pid)
        stall = its_stall(service)
    assert woken_often <= 8  # and 18 where it beats each third of a second
    assert {"execSync", "restedChild"} <= {frame.function for stack in stall.stacks for frame in stack.frames}
