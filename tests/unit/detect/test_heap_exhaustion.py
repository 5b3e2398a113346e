"""When V8 is about to end a process for its heap; and the heaps that only look full."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from msgspec.structs import replace
from support.remedies import key
from support.storing import NOON
from unit.detect.heaps import EVERY, LIMIT, Heap, noisy, sample

from vitalsd.model import MemoryGroup, MemoryVitals


@pytest.mark.parametrize(
    "heap",
    [
        lambda: Heap().live(lambda _at: 0.4, 1800),
        lambda: Heap().live(lambda _at: 0.4, 1800, top=0.99, collected_every=300),
        lambda: Heap().live(lambda _at: 0.4, 1800, collected_every=3.0, costs=1.0),
        lambda: Heap().live(noisy(0.6, 0.14), 1800),
        lambda: Heap().live(lambda _at: 0.8, 1800),
        lambda: Heap().live(lambda at: min(0.72, at / 60), 1800),
        lambda: Heap().live(lambda at: 0.7 + at / 360_000, 1800),
        lambda: Heap().live(lambda at: 0.88 if at == 900 else 0.4, 1800),
        lambda: [heap := Heap(), *(heap.see(sample(at, 0.95, 0.4, 5)) for at in range(0, 1800, 3))][0],
    ],
    ids=[
        "92 % and back to 40 %",
        "99 % and back each five minutes",
        "much garbage",
        "about 60 %",
        "a cache of 80 %",
        "up to 72 % in a minute",
        "hardly grows",
        "one big request",
        "95 %, idle since",
    ],
)
def test_never_for_a_heap_that_only_looks_full(heap: Callable[[], Heap]) -> None:
    """Garbage is V8's to take, and who has a quarter left and does not grow is left alone."""
    assert [each.state.reason for each in heap().found] == []


@pytest.mark.parametrize("seconds", [120.0, 900.0, 7200.0])
@pytest.mark.parametrize("collected_every", [9.0, 60.0])
def test_it_is_told_in_time(seconds: float, collected_every: float) -> None:
    """While there is time to do something; and of how much there is, it is right."""
    heap = Heap().live(
        lambda at: 0.2 + 0.8 * at / seconds, seconds, collected_every=min(collected_every, seconds / 20)
    )
    told = heap.found[0].findings[0]
    left = NOON + seconds - told.at
    assert 0.05 * seconds < left
    if "time_to_limit_seconds" in told.evidence:
        assert told.evidence["time_to_limit_seconds"] == pytest.approx(left, rel=0.1, abs=2 * EVERY)
    assert all(each.findings for each in heap.told[heap.told.index(heap.found[0]) :])
    assert heap.told[-1].findings[0].severity == "critical"


def test_what_is_told() -> None:
    """In one sentence: how much is alive of how much, when that is all, and what to do."""
    heap = Heap().live(lambda at: 0.5 + at / 1800, 600)
    (found,) = heap.told[-1].findings
    assert found.summary == (
        "Worker 0 of `shop` has 850 MiB alive after its last full collection, of the 1.0 GiB at which V8 ends it, "
        "and at 34 MiB a minute it meets that in 5 min; restart it in time, or raise --max-old-space-size if "
        "there is memory for it."
    )
    assert found.severity == "warning"
    assert found.evidence["limit_bytes"] == LIMIT
    assert found.evidence["share"] == pytest.approx(0.833, abs=0.01)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (2 * LIMIT, "or raise --max-old-space-size, its container has 2.0 GiB left."),
        (LIMIT // 8, "restart it in time, its container has no room for a larger heap (128 MiB left)."),
    ],
)
def test_advice_by_the_room_there_is(left: int, words: str) -> None:
    """A larger heap in a container that has no room for it is a kill for memory."""
    heap = Heap().live(lambda at: 0.5 + at / 1800, 600)
    memory = MemoryVitals(2 * LIMIT, "group", MemoryGroup("/shop", left_bytes=left))
    (found,) = heap.see(replace(heap.samples[-1], memory=memory)).findings
    assert found.summary.endswith(words)
    assert found.evidence["container_left_bytes"] == left


@pytest.mark.parametrize(("alive", "severity"), [(0.83, None), (0.87, "warning"), (0.94, "critical")])
def test_close_to_the_limit_the_level_is_enough(alive: float, severity: str | None) -> None:
    """Whether it grows or not: after two full collections beyond 85 %, after one beyond 93 %."""
    heap = Heap().live(lambda _at: alive, 120)
    assert {each.findings[0].severity for each in heap.found} == ({severity} if severity else set())


@pytest.mark.parametrize(
    ("alive", "costs", "times", "severity"),
    [
        (0.8, 0.05, 1, None),
        (0.8, 0.5, 1, "warning"),
        (0.8, 1.5, 1, "critical"),
        (0.6, 1.5, 1, None),
        (0.6, 0.2, 300, None),
        (0.6, 1.0, 300, None),
        (0.4, 1.0, 300, None),
    ],
)
def test_collecting_for_its_life(alive: float, costs: float, times: int, severity: str | None) -> None:
    """V8 gives up when collections free little and take long, well before the limit."""
    heap = Heap().live(lambda _at: alive, 120, collected_every=3.0, costs=costs, times=times)
    assert (heap.found[-1].findings[0].severity if heap.found else None) == severity
    if severity:
        assert "of its time to collect it" in heap.found[-1].findings[0].summary


def test_a_small_heap_that_grows_is_collected_for_its_life_early() -> None:
    """It may be ended at 80 %: so from half on, where that grows, and not where it comes back."""
    grows = Heap().live(lambda at: 0.5 + at / 1000, 200, collected_every=3.0, costs=1.0, times=300)
    assert grows.found[0].findings[0].evidence["share"] < 0.65
    waves = Heap().live(lambda at: 0.1 + 0.6 * (at % 10) / 10, 600, collected_every=3.0, costs=1.0, times=300)
    assert waves.found == []


def test_where_no_full_collection_is_seen() -> None:
    """In use without ever going down, by a probe that came late: a warning, and only after a while."""
    heap = Heap()
    for at in range(0, 90, 3):
        heap.see(sample(at, 0.93, None))
    assert not heap.told[10].findings
    (found,) = heap.told[-1].findings
    assert (found.severity, found.evidence["live_bytes"]) == ("warning", None)
    assert "952 MiB in use, and never less of late" in found.summary
    assert not heap.see(sample(90, 0.5, 0.5, 1)).findings


def test_another_process_begins_anew() -> None:
    """Whoever comes in its place has nothing to do with it."""
    heap = Heap().live(lambda at: 0.5 + at / 1800, 810)
    assert heap.told[-1].findings
    after = replace(sample(813, 0.8, 0.8, 1, 9.0), key=key(7))
    assert heap.see(after).findings == ()
    assert heap.see(replace(sample(816, 0.8, 0.79, 2, 9.0), key=key(7))).findings == ()


def test_it_stays_told_between_collections() -> None:
    """A level that was found holds until the next full collection, or ten minutes."""
    heap = Heap().live(lambda _at: 0.94, 300, collected_every=150)
    rounds = [bool(each.findings) for each in heap.told]
    assert not any(before and not after for before, after in pairwise(rounds))


def test_of_what_is_not_known_nothing_is_said() -> None:
    """Other runtimes have no limit of their own, and costs nothing; without a probe nobody tells."""
    taken = sample(0, 0.99, 0.99)
    assert taken.probe is not None
    for unlimited in (
        replace(taken, probe=replace(taken.probe, heap_limit_bytes=None)),
        replace(taken, probe=None),
        replace(taken, probe=replace(taken.probe, heap_used_bytes=None)),
    ):
        judged = Heap().see(unlimited)
        assert (judged.findings, judged.state.state) == ((), "unavailable")
