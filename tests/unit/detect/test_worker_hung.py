"""Who hangs, who only serves a long request, and what is said of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.detect.evidence import hold

from vitalsd.detect.registry import Judgement, SeenTarget
from vitalsd.detect.worker_hung import WorkerHungDetector, bounds_of
from vitalsd.model import (
    Frame,
    Hold,
    Pulse,
    Silence,
    SilenceKind,
    Stack,
    Supervisor,
    SupervisorKind,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Settings

NOW = 1_000_000.0
KEY = WorkerKey(4711, 12)
STACK = Stack(5, (Frame("sleep_on_it", "/srv/shop/views.py", 31), Frame("serve", "/srv/shop/app.py", 7)))


def supervisor(kind: SupervisorKind = "gunicorn", timeout: float | None = 30.0, cls: str | None = "sync"):
    """Who ends and replaces workers."""
    return Supervisor(kind, WorkerKey(4000, 1), "gunicorn shop", timeout, cls, 2)


def silence(kind: SilenceKind = "heartbeat", seconds: float = 8.0, **fields) -> Silence:
    """Beyond the bounds."""
    known = {"stacks": (STACK,), "state": "S", "heartbeat_silent_seconds": seconds, **fields}
    return Silence(kind, KEY, NOW - seconds, seconds, **known)


def judge(
    silent: Silence | None, *, above: Supervisor | None = None, came_back: float = 0.0, ours: Hold | None = None
) -> Judgement:
    """What the rule says of worker 1."""
    pulse = Pulse(NOW, "S", NOW - 60, NOW - 0.5, "supervisor", NOW - 0.5)
    worker = WorkerSample("shop", "1", KEY, NOW, True, "gunicorn", "none", None, None, pulse=pulse)
    target = TargetSnapshot("shop", True, (worker,), supervisor=above)
    silences = {"1": silent} if silent is not None else {}
    holds = {"1": (ours,)} if ours is not None else {}
    seen = SeenTarget(NOW, target, silences, came_back, holds=holds)
    (judged,) = WorkerHungDetector(Settings()).judge(seen)
    return judged


def test_a_silent_worker_is_told_with_its_stack_and_its_end():
    """Who, where, until when, and what to do."""
    judged = judge(silence(), above=supervisor())
    (finding,) = judged.findings
    assert finding.summary == (
        "Worker 1 of `shop` hangs, or serves one request for very long: it has touched no heartbeat for 8.00 s, "
        "and is in sleep_on_it() (views.py:31); gunicorn ends it in 22 s; its stack says what it waits for; "
        "`kill -KILL 4711` has it replaced."
    )
    assert finding.severity == "critical"
    assert finding.culprit == STACK.frames[0]
    assert finding.evidence["ended_in_seconds"] == 22.0
    assert finding.evidence["stacks"][0]["frames"][0]["function"] == "sleep_on_it"
    assert judged.state.state == "fired"


@pytest.mark.parametrize(
    ("silent", "said"),
    [
        (
            silence("loop", 17.0, loop="main", cause="blocking_cpu"),
            "hangs: its event loop has not come back for 17.0 s (by computation), in sleep_on_it() (views.py:31)",
        ),
        (
            silence("loop", 17.0, loop="main", cause="blocking_cpu", stacks=()),
            "hangs: its event loop has not come back for 17.0 s (by computation)",
        ),
        (
            silence(stacks=()),
            "hangs, or serves one request for very long: it has touched no heartbeat for 8.00 s",
        ),
    ],
    ids=["a loop", "a loop without a stack", "a heartbeat without a stack"],
)
def test_the_sentence_is_whole_without_a_stack(silent, said):
    """Nothing hangs at its end; where it is, is told where a stack says so."""
    summary = judge(silent).findings[0].summary
    assert summary.startswith(f"Worker 1 of `shop` {said}; ")


@pytest.mark.parametrize(
    ("seconds", "came_back", "told"),
    [(8, 0, True), (8, 7, False), (10.4, 7, False), (10.6, 7, True), (19, 18, False), (20.5, 18, True)],
)
def test_what_workers_come_back_from_is_none(seconds: float, came_back: float, told: bool):
    """Until half as long again, or two thirds of the time after which the supervisor ends it."""
    judged = judge(silence(seconds=seconds), above=supervisor(), came_back=came_back)
    assert bool(judged.findings) is told
    assert judged.state.state == ("fired" if told else "watching")


def test_who_is_held_by_a_capture_of_ours_does_not_hang():
    """Or a remedy would end it for the snapshot that was asked for, however long; without one it hangs."""
    silent = silence("loop", seconds=17.0, loop="main", cause="blocking_cpu")
    assert judge(silent).findings
    judged = judge(silent, ours=hold(NOW - 17.2, told_seconds=14.0))
    assert judged.findings == ()
    assert judged.state.reason == (
        "it is held by capture 1n4bcpc0009 (heap, asked for by a person), for 17.0 s so far; some 14.0 s were told"
    )
    assert not judge(silent, ours=hold(NOW - 17.2, told_seconds=4.0)).findings
    assert judge(silent, ours=hold(NOW - 17.2, told_seconds=4.0, runs=False)).findings
    assert judge(silent, ours=hold(NOW - 60, told_seconds=14.0)).findings


def test_the_past_excuses_no_loop():
    """A loop serves everybody: it is not to be held up by anything."""
    judged = judge(silence("loop", loop="main", cause="blocking_call"), above=supervisor(), came_back=100)
    assert judged.findings


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("uvicorn", "uvicorn takes it for healthy, since a thread answers for it"),
        ("hypercorn", "hypercorn does not look whether it lives"),
        ("plain", "nobody looks whether it lives"),
    ],
)
def test_who_takes_a_dead_loop_for_healthy(kind: SupervisorKind, words: str):
    """A supervisor that does not notice is why nobody else has."""
    silent = silence("loop", 12.0, loop="main", cause="blocking_cpu", heartbeat_silent_seconds=None)
    (finding,) = judge(silent, above=supervisor(kind, None)).findings
    assert words in finding.summary
    assert finding.cause == "blocking_cpu"
    assert "main" in str(finding.evidence["loop"])


@pytest.mark.parametrize(
    ("state", "severity", "words"),
    [("T", "critical", "a signal has stopped it"), ("t", "warning", "a debugger holds it")],
)
def test_a_stopped_process_says_what_lets_it_go_on(state: str, severity: str, words: str):
    """And is nobody's to kill."""
    silent = silence("stopped", 2.0, state=state, stacks=(), no_stack_reason="it is stopped")
    (finding,) = judge(silent, above=supervisor("celery", None)).findings
    assert (finding.severity, finding.cause, finding.culprit) == (severity, "stopped", None)
    assert words in finding.summary
    assert "`kill -CONT 4711`" in finding.summary
    assert finding.evidence["no_stack_reason"] == "it is stopped"


@pytest.mark.parametrize("state", ["D", "S", "t"])
def test_a_frozen_group_is_no_disk(state: str):
    """Whatever the kernel calls its state; no signal lets it go on."""
    silent = silence("stopped", 11.0, state=state, frozen=True, stacks=())
    (finding,) = judge(silent, above=supervisor("celery", None)).findings
    assert (finding.severity, finding.cause) == ("critical", "stopped")
    assert "its cgroup is frozen (docker pause?)" in finding.summary
    assert "`docker unpause`" in finding.summary
    assert "kill" not in finding.summary


def test_a_worker_in_the_kernel_says_where():
    """No signal helps, so none is advised."""
    silent = silence("uninterruptible", 11.0, state="D", waits_in="nfs_wait_bit_killable")
    (finding,) = judge(silent).findings
    assert finding.cause == "disk_io"
    assert "nfs_wait_bit_killable" in finding.summary
    assert "kill" not in finding.summary.replace("nfs_wait_bit_killable", "")


def test_the_supervisor_itself_has_no_slot():
    """Stopped, it replaces nobody."""
    target = TargetSnapshot("shop", True, (), supervisor=supervisor())
    silent = silence("stopped", 3.0, state="T", stacks=())
    (judged,) = WorkerHungDetector(Settings()).judge(SeenTarget(NOW, target, {"": silent}))
    (finding,) = judged.findings
    assert finding.worker == ""
    assert finding.summary.startswith("The supervisor of `shop` (gunicorn) has stood still for 3.00 s")


def test_a_quiet_rule_says_who_shows_life():
    """And one that cannot know says why not."""
    assert judge(None).state.reason == "it touched its heartbeat file 0.50 s ago"
    worker = WorkerSample("shop", "1", KEY, NOW, True, "x", "none", None, None, pulse=Pulse(NOW, "S", NOW))
    target = TargetSnapshot("shop", True, (worker,))
    (judged,) = WorkerHungDetector(Settings()).judge(SeenTarget(NOW, target))
    assert judged.state.state == "unavailable"
    assert "no loop of it is seen" in judged.state.reason
    gone = replace(worker, up=False)
    assert WorkerHungDetector(Settings()).judge(SeenTarget(NOW, TargetSnapshot("shop", False, (gone,)))) == ()


@pytest.mark.parametrize(
    ("above", "silent", "untouched"),
    [
        (None, 10, 20),
        (supervisor(), 7.5, 7.5),
        (supervisor(timeout=120), 10, 10),
        (supervisor(timeout=None), 10, 10),
        (supervisor(cls="uvicorn.workers.UvicornWorker"), 7.5, 20),
        (supervisor(cls=None), 7.5, 20),
    ],
)
def test_bounds(above: Supervisor | None, silent: float, untouched: float):
    """A quarter of the timeout; and where the file may be touched each half of it only, two thirds."""
    bounds = bounds_of(10.0, above)
    assert (bounds.silent_seconds, bounds.untouched_seconds) == (silent, untouched)


def pool(*silences: Silence | None, above: Silence | None = None, looks: tuple[Pulse, ...] = ()) -> SeenTarget:
    """A target with these workers, of which one that shows life has none."""
    seats = [replace(KEY, pid=10 + number) for number in range(len(silences))]
    pulses = looks or tuple(Pulse(NOW, "T", each.since) if each else Pulse(NOW, "S", NOW) for each in silences)
    workers = tuple(
        WorkerSample("shop", str(number), key, NOW, True, "gunicorn", "none", None, None, pulse=pulses[number])
        for number, key in enumerate(seats)
    )
    told = {str(number): replace(each, key=seats[number]) for number, each in enumerate(silences) if each}
    told |= {"": replace(above, key=supervisor().key)} if above is not None else {}
    pulse = Pulse(NOW, "T", above.since) if above is not None else Pulse(NOW, "S", NOW)
    target = TargetSnapshot("shop", True, workers, supervisor=supervisor(), supervisor_pulse=pulse)
    return SeenTarget(NOW, target, told)


def found(seen: SeenTarget) -> list[tuple[str, str]]:
    """Of whom it is told, and how."""
    judged = WorkerHungDetector(Settings()).judge(seen)
    return [(finding.worker, finding.fault) for each in judged for finding in each.findings]


STANDS = silence("stopped", 12.0, state="T", stacks=(), no_stack_reason="it is stopped")
FROZEN = replace(STANDS, frozen=True, state="S")


def test_a_paused_container_is_one_incident_of_the_target():
    """With who was in it, and one command for all; each worker's rule says so too."""
    judged = WorkerHungDetector(Settings()).judge(pool(FROZEN, FROZEN, FROZEN, above=FROZEN))
    (finding,) = [finding for each in judged for finding in each.findings]
    assert (finding.worker, finding.severity, finding.cause) == ("", "critical", "stopped")
    assert finding.summary == (
        "All 3 workers of `shop` and their supervisor (gunicorn) have stood still for 12.0 s: their cgroup is "
        "frozen (docker pause?); none of them answers meanwhile; `docker unpause` lets their container go on, and "
        "no signal does."
    )
    assert finding.evidence["pids"] == {"0": 10, "1": 11, "2": 12}
    assert (finding.evidence["supervisor_pid"], finding.evidence["frozen"]) == (4000, True)
    states = [(each.state.worker, each.state.state) for each in judged]
    assert states == [("", "fired"), ("0", "fired"), ("1", "fired"), ("2", "fired")]


def test_workers_that_a_signal_has_stopped_are_ended_by_a_supervisor_that_was_not():
    """When the first of them is, and what lets them go on before."""
    (finding,) = WorkerHungDetector(Settings()).judge(pool(STANDS, STANDS))[0].findings
    assert finding.summary.startswith(
        "All 2 workers of `shop` have stood still for 12.0 s: a signal has stopped them"
    )
    assert finding.advice == (
        "gunicorn ends the first in 18 s; `kill -CONT 10 11` lets them go on, unless somebody looks into them"
    )


def test_a_worker_that_is_alone_stands_still_with_its_supervisor():
    """That is one incident as well; without, it is the worker's own."""
    (finding,) = WorkerHungDetector(Settings()).judge(pool(FROZEN, above=FROZEN))[0].findings
    assert (finding.worker, finding.summary[:70]) == (
        "",
        "Worker 0 of `shop` and its supervisor (gunicorn) have stood still for ",
    )
    assert found(pool(STANDS)) == [("0", "stopped, pid 10")]


LATER = replace(STANDS, seconds=8.0, since=NOW - 8)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (pool(STANDS, None), [("0", "stopped, pid 10")]),
        (pool(STANDS, LATER), [("0", "stopped, pid 10"), ("1", "stopped, pid 11")]),
        (pool(STANDS, FROZEN), [("0", "stopped, pid 10"), ("1", "stopped, pid 11")]),
        (pool(STANDS, silence()), [("0", "stopped, pid 10"), ("1", "heartbeat, pid 11")]),
        (pool(STANDS, STANDS, above=LATER), [("", "stopped, all workers"), ("", "stopped, pid 4000")]),
    ],
    ids=["one of two", "not at once", "in other ways", "hangs by itself", "a supervisor stopped later"],
)
def test_what_is_not_one_standstill_is_told_of_each(seen: SeenTarget, told: list[tuple[str, str]]):
    """Each has a reason of its own."""
    assert found(seen) == told


def test_who_was_stopped_a_look_later_is_waited_for():
    """Or the first would be told by itself; nobody waits for one that goes on."""
    first = replace(STANDS, seconds=2.2, since=NOW - 2.2)
    young = Pulse(NOW, "T", NOW - 1.2)
    stands = Pulse(NOW, "T", first.since)
    waiting = pool(first, None, looks=(stands, young))
    judged = WorkerHungDetector(Settings()).judge(waiting)
    assert [(each.findings, each.state.state) for each in judged] == [((), "watching")] * 2
    assert found(pool(first, None, looks=(stands, Pulse(NOW, "T", NOW)))) == [("0", "stopped, pid 10")]
    assert found(pool(first, None, looks=(stands, Pulse(NOW, "S", NOW - 1.2)))) == [("0", "stopped, pid 10")]
