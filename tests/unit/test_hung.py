"""What has become of who was told to be hung: come back, ended, replaced, or hung otherwise."""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd.detect.registry import SeenTarget
from vitalsd.detect.worker_hung import WorkerHungDetector
from vitalsd.investigation.hung import Hung, Over
from vitalsd.model import Pulse, Silence, TargetSnapshot, WorkerKey, WorkerSample
from vitalsd.settings.model import Settings

NOW = 1_000_000.0
ALL = "stopped, all workers"


def look(hung: Hung, at: float, *stopped_for: float | None, pids: tuple[int, ...] = (10, 11)) -> list[Over]:
    """Another look at two workers, of which each has stood still for so long or goes on; what is over by it."""
    now, keys = NOW + at, [WorkerKey(pid, 1) for pid in pids]
    workers, silences = [], {}
    for number, (key, seconds) in enumerate(zip(keys, stopped_for, strict=True)):
        pulse = Pulse(now, "S", now) if seconds is None else Pulse(now, "T", now - seconds)
        slot = str(number)
        workers.append(WorkerSample("shop", slot, key, now, True, "x", "none", None, None, pulse=pulse))
        if seconds is not None:
            silences[slot] = Silence("stopped", key, now - seconds, seconds, "T")
    seen = SeenTarget(now, TargetSnapshot("shop", True, tuple(workers)), silences)
    found = [each for judged in WorkerHungDetector(Settings()).judge(seen) for each in judged.findings]
    return hung.take(seen, found)


def test_one_worker_is_over_when_it_comes_back() -> None:
    """And the other, which hangs on, is not."""
    hung = Hung()
    assert look(hung, 0, 5.0, 60.0) == []
    assert look(hung, 1, None, 61.0) == [Over("0", "stopped, pid 10", "it came back after 6.00 s")]
    assert hung.any_of("shop") and not hung.any_of("till")
    assert look(hung, 2, None, 62.0) == []


def test_one_worker_that_has_ended_says_who_has_its_place() -> None:
    """Another process in its slot is not what was hung."""
    hung = Hung()
    look(hung, 0, 5.0, None)
    (over,) = look(hung, 1, None, None, pids=(12, 11))
    assert (
        over.text == "its process 10 has ended, 6.00 s after its last sign of life; process 12 has taken its place"
    )


def test_all_that_come_back_are_over_at_once() -> None:
    """One incident, one end."""
    hung = Hung()
    assert look(hung, 0, 5.0, 5.0) == []
    assert look(hung, 1, None, None) == [Over("", ALL, "they came back after 6.00 s")]
    assert not hung.any_of("shop")


def test_where_some_come_back_the_others_are_told_by_themselves() -> None:
    """It is no longer all of them."""
    hung = Hung()
    look(hung, 0, 5.0, 5.0)
    (over,) = look(hung, 1, None, 6.0)
    assert over == Over("", ALL, "after 6.00 s 1 of 2 are silent, and no longer all")
    (over,) = look(hung, 2, None, None)
    assert over.fault == "stopped, pid 11"


def test_all_that_end_are_over() -> None:
    """Who has their places is another story."""
    hung = Hung()
    look(hung, 0, 5.0, 5.0)
    assert look(hung, 1, None, None, pids=(12, 13)) == [
        Over("", ALL, "their processes have ended, 6.00 s after their last sign of life")
    ]


def test_who_was_told_before_all_stood_still_is_told_with_them() -> None:
    """It has not come back: it is in the incident of the target now."""
    hung = Hung()
    silent = Silence("uninterruptible", WorkerKey(10, 1), NOW - 20, 20.0, "D")
    workers = tuple(
        WorkerSample("shop", str(at), WorkerKey(10 + at, 1), NOW, True, "x", "none", None, None) for at in range(2)
    )
    seen = SeenTarget(NOW, TargetSnapshot("shop", True, workers), {"0": silent})
    found = [each for judged in WorkerHungDetector(Settings()).judge(seen) for each in judged.findings]
    assert hung.take(replace(seen), found) == []
    (over,) = look(hung, 10, 2.5, 2.5)
    assert over.fault == "uninterruptible, pid 10"
    assert over.text == "after 30.0 s all workers stand still with it, which is one incident of the target"
