"""One process from its probe's first reading to its last: nothing is taken twice, and warm-up is taken off."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.runs import delays

from vitalsd.budget.model import Growth, Limits, LoopRun, NotMeasured, ProcessRun
from vitalsd.budget.record import KEPT_STALLS, Record
from vitalsd.detect.stall import StallBounds
from vitalsd.model import Frame, LoopVitals, ProbeVitals, Stack, Stall, StallEvidence, StallInProgress, WorkerKey

BORN = 100.0
PARSE = (Stack(3, (Frame("parse", "/srv/app.py", 12),)),)


def ended(number: int, since: float, seconds: float = 0.3) -> Stall:
    """A stall of computation."""
    return Stall(number, since, 0.0, seconds, seconds, 0.0, 0, PARSE)


def a_loop(*stalls: Stall, name: str = "main", **more: Any) -> LoopVitals:
    """A loop that was busy for these and nothing else."""
    lengths = [stall.duration_seconds for stall in stalls]
    given: dict[str, Any] = {
        "flavour": "selector",
        "running": True,
        "delay": delays(*lengths, seconds=20.0),
        "delay_max_seconds": max(lengths, default=0.0),
        "busy_seconds": sum(lengths),
        "idle_seconds": 20.0 - sum(lengths),
        "iterations": 9,
        "stalls": len(stalls),
        "stall_seconds": sum(lengths),
        "ready_callbacks": 0,
        "timers": 0,
        "current_stall": None,
        "recent_stalls": stalls[-8:],
        **more,
    }
    return LoopVitals(name=name, **given)


def vitals(*loops: LoopVitals, runtime: str = "python", errors: int = 0, heap: int | None = None) -> ProbeVitals:
    """What a probe tells."""
    known = (errors, 0, 0, 0, 0, None, None)
    counts = (None,) * 9
    return ProbeVitals(runtime, "3.11.7", loops, 0, (), heap, None, *counts, known, 0.0, None)


def record(after: float = 0.0) -> Record:
    """Of a process that began at BORN."""
    return Record(WorkerKey(7, 1), "app", BORN, Limits(0.1, after_seconds=after), StallBounds())


def finished(one: Record) -> ProcessRun:
    """With a clock that is 1000 s behind unix time, and an agent that was never late."""
    return one.finish(1000.0, lambda _since, _until: 0.0)


def main_of(run: ProcessRun) -> LoopRun:
    """The loop of the main thread."""
    return next(loop for loop in run.loops if loop.name == "main")


def test_a_stall_is_taken_once() -> None:
    """However often the ring tells it; its cause is decided, and its time is unix time."""
    one = record()
    for now in (112.0, 112.1, 112.2):
        one.take(vitals(a_loop(ended(1, 111.0))), now)
    (stall,) = main_of(finished(one)).stalls
    assert (stall.verdict.cause, stall.started_at, stall.pardon) == ("blocking_cpu", 1111.0, "")


def test_what_the_observer_saw_is_joined() -> None:
    """By loop and beginning."""
    one = record()
    one.take(vitals(a_loop(Stall(1, 111.0, 0.0, 0.3, None, 0.0, 0, ()))), 112.0)
    one.case.note_seen(StallEvidence("main", 111.0, 0.3, False, "python", stacks=PARSE, stack_after_seconds=0.1))
    (stall,) = main_of(finished(one)).stalls
    assert stall.evidence.stacks == PARSE


def test_stalls_that_came_too_fast_are_known_to_be_missing() -> None:
    """Twelve since the last look, of which the ring has eight; the longest is among the lost."""
    one = record()
    stalls = [ended(number, 110.0 + number, 0.9 if number == 1 else 0.2) for number in range(1, 13)]
    one.take(vitals(a_loop(*stalls)), 125.0)
    loop = main_of(finished(one))
    assert len(loop.stalls) == 8
    assert (loop.lost, loop.lost_seconds) == (4, 0.9)
    assert loop.lost_at_most_seconds == 0.9


def test_room_is_bounded() -> None:
    """The longest are kept, and the others are counted."""
    one = record()
    one._limits = Limits(0.2, p99_delay_seconds=0.15)
    for number in range(1, KEPT_STALLS + 100):
        one.settle(100.0 + number, 1000.0, lambda _since, _until: 0.0)
        one.take(vitals(a_loop(ended(number, 100.0 + number, 0.1 + number / 1000), stalls=number)), 101.0 + number)
    loop = main_of(finished(one))
    assert len(loop.stalls) == KEPT_STALLS
    assert loop.stalls[0].evidence.seconds == pytest.approx(0.1 + (KEPT_STALLS + 99) / 1000)
    assert loop.lost == 0
    assert not one.stalled
    dropped = [0.1 + number / 1000 for number in range(1, 100)]
    assert loop.dropped.over == 0
    assert loop.dropped.beyond_seconds == pytest.approx(sum(one - 0.15 for one in dropped if one > 0.15))


def test_what_is_excused_takes_no_room() -> None:
    """Hundreds of long stalls of warm-up, and then one that is shorter and counts: it is kept, and no other is."""
    one = record(after=60.0)
    for number in range(1, KEPT_STALLS + 51):
        since = BORN + number * 0.19
        one.take(vitals(a_loop(ended(number, since, 0.2), stalls=number, stall_seconds=number / 5)), since + 0.19)
    late = KEPT_STALLS + 51
    whole = delays(*[0.2] * (late - 1), 0.15, seconds=100.0)
    end = a_loop(ended(late, 190.0, 0.15), stalls=late, stall_seconds=(late - 1) / 5 + 0.15, delay=whole)
    one.take(vitals(end), 200.0)
    loop = main_of(finished(one))
    assert [stall.seconds for stall in loop.stalls if not stall.pardon] == [0.15]
    assert loop.lost == 0


def test_a_loss_in_warm_up_is_none_later() -> None:
    """What was not read before judging began is not missed."""
    one = record(after=5.0)
    early = [ended(number, 100.0 + number / 10, 0.1) for number in range(1, 21)]
    one.take(vitals(a_loop(*early)), 106.0)
    one.take(vitals(a_loop(*early, ended(21, 110.0, 0.05))), 120.0)
    assert main_of(finished(one)).lost == 0


def test_what_the_host_had_it_wait_is_taken_off() -> None:
    """2 s by the clock of which it computed 0.4 s: these are judged, by who computed, and the rest is no delay."""
    one = record()
    one.take(vitals(a_loop(Stall(1, 111.0, 0.0, 2.0, 0.4, 0.0, 0, PARSE))), 115.0)
    (loop,) = one.finish(0.0, lambda _since, _until: 1.9).loops
    (stall,) = loop.stalls
    assert (stall.pardon, stall.seconds, stall.evidence.seconds) == ("", 0.4, 2.0)
    assert (stall.verdict.cause, stall.verdict.culprit) == ("blocking_cpu", PARSE[0].frames[0])
    assert "beside that, the agent itself was late" in stall.verdict.reason
    assert loop.delay.buckets == pytest.approx(delays(0.4, seconds=18.4).buckets, abs=1)


def test_one_that_had_not_come_back() -> None:
    """When the process was seen last: it counts, as far as it was known."""
    one = record()
    going = StallInProgress(112.0, 1.5, PARSE)
    one.take(vitals(a_loop(current_stall=going)), 113.5)
    (stall,) = main_of(finished(one)).stalls
    assert (stall.evidence.in_progress, stall.evidence.seconds) == (True, 1.5)
    assert stall.verdict.culprit == PARSE[0].frames[0]


def test_warm_up_is_taken_off() -> None:
    """Its stall, its part of the histogram, and its errors."""
    one = record(after=5.0)
    one.take(vitals(a_loop(ended(1, 102.0, 1.0)), errors=2), 105.1)
    both = a_loop(ended(1, 102.0, 1.0), ended(2, 111.0, 0.3), delay=delays(1.0, 0.3, seconds=40.0))
    one.take(vitals(both, errors=3), 120.0)
    run = finished(one)
    assert [bool(stall.pardon) for stall in main_of(run).stalls] == [True, False]
    assert main_of(run).delay.buckets[-1] == pytest.approx(1000, abs=2)
    assert [error.count for error in run.errors] == [1]


def test_a_life_of_nothing_but_warm_up() -> None:
    """Is left out, and says so."""
    one = record(after=5.0)
    one.take(vitals(a_loop(ended(1, 102.0, 1.0)), errors=2), 103.0)
    run = finished(one)
    assert run.pardon == "it lived for 3.0 s, and the first 5 s of each process are left out"
    assert run.errors == ()
    assert isinstance(run.growth, NotMeasured)


def test_a_stall_of_the_host_is_taken_off_the_histogram() -> None:
    """And its agent was late as well."""
    one = record()
    idle = Stall(1, 111.0, 0.0, 2.0, 0.01, 0.0, 0, ())
    one.take(vitals(a_loop(idle)), 115.0)
    (loop,) = one.finish(0.0, lambda _since, _until: 1.9).loops
    assert loop.stalls[0].pardon == "the whole host stood still"
    assert loop.delay.buckets[-1] - loop.delay.buckets[-2] == 0
    assert loop.delay.buckets[8] == loop.delay.buckets[-1]


def test_threads_of_a_node_that_compute() -> None:
    """Are there for that."""
    one = record()
    one.take(vitals(a_loop(), a_loop(ended(1, 111.0, 3.0), name="loop-1"), runtime="node"), 115.0)
    assert [loop.name for loop in finished(one).loops] == ["main"]


def test_a_heap_is_followed() -> None:
    """From reading to reading."""
    one = record()
    for second in range(21):
        one.take(vitals(a_loop(), heap=1000 + second), BORN + second)
    growth = finished(one).growth
    assert isinstance(growth, Growth)
    assert growth.grown_bytes == 12


def test_one_that_told_nothing() -> None:
    """Such as a probe that has switched itself off: what it said of that is kept."""
    one = record()
    one.unread = "it is off"
    run = finished(one)
    assert (run.loops, run.errors, run.unread) == ((), None, "it is off")


def test_one_that_was_never_heard() -> None:
    """It is not good for that: a process that had just begun, or whose probe hangs."""
    run = finished(record())
    assert (run.errors, run.unread) == (None, "its probe had said nothing yet when it was seen last")


def test_a_probe_that_went_off_later() -> None:
    """What it had told is kept, and that it told no more."""
    one = record()
    one.take(vitals(a_loop(ended(1, 111.0))), 112.0)
    one.unread = "it is off"
    run = finished(one)
    assert (len(main_of(run).stalls), run.unread) == (1, "it is off")


def test_errors_that_no_channel_counts() -> None:
    """Are not known, which is not none."""
    one = record()
    silent = msgspec.structs.replace(vitals(a_loop()), unhandled_errors=(None,) * 7)
    one.take(silent, 112.0)
    assert finished(one).errors is None


def test_errors_that_the_probe_has_given_up() -> None:
    """What it had counted by then is told, and none is not known."""
    for count in (0, 2):
        one = record()
        one.take(msgspec.structs.replace(vitals(a_loop(), errors=count), lost=("errors: KeyError",)), 112.0)
        known = finished(one).errors
        assert known is None if not count else known is not None and known[0].count == 2
