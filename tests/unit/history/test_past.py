"""What is kept of a slot beyond its samples: as far back as it should go, in as little as it should take."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.views import PROBE, WATCHED

from vitalsd.history.failures import Failures
from vitalsd.history.garbage import Garbage
from vitalsd.history.past import Past, spans_of
from vitalsd.history.slots import Slots
from vitalsd.history.spaced import Spaced
from vitalsd.model import Histogram, PoolVitals, UnhandledError, WorkerKey
from vitalsd.settings.model import Settings

HOUR, DAY = 3600.0, 86_400.0


@given(st.lists(st.floats(0.01, 30.0), max_size=200), st.integers(1, 20))
def test_spaced(steps, parts):
    """The newest is always there, one at the beginning of the window too, and no more than the parts of it."""
    kept, at = Spaced(60.0, parts), 1000.0
    for step in steps:
        at += step
        kept.put(at, at)
        assert kept.newest == (at, at)
        assert len(kept) <= parts + 3
        if at - 1000.0 - steps[0] >= 60.0:
            assert kept.oldest[0] <= at - 60.0
    times = [time for time, _ in kept]
    assert times == sorted(times)
    assert list(reversed(kept)) == list(kept)[::-1]


def test_spaced_back():
    """The latest reading that is old enough, or none."""
    kept = Spaced(60.0, 6)
    assert (kept.newest, kept.oldest, kept.back(0.0)) == (None, None, None)
    for second in range(0, 100, 2):
        kept.put(float(second), second)
    assert kept.back(0.0) == (98.0, 98)
    found, _ = kept.back(30.0)
    assert 58 <= found <= 68
    assert kept.back(90.0) is None


def test_spaced_clock_set_back():
    """What was before would lie in the future."""
    kept = Spaced(60.0, 6)
    for at in (100.0, 200.0, 200.0, 50.0):
        kept.put(at, at)
    assert list(kept) == [(50.0, 50.0)]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=60),
    st.integers(1, 12),
    st.integers(-3, 15),
)
def test_slots(additions, count, further):
    """The sums of the latest slots, as a plain dictionary has them."""
    slots, sums, latest = Slots(count), {}, 0
    for step, value in additions:
        latest += step
        slots.add(latest, value)
        sums[latest] = sums.get(latest, 0) + value
    last = latest + further
    wanted = [sums.get(slot, 0) if slot > latest - count else 0 for slot in range(last - count + 1, last + 1)]
    assert slots.ending(last) == wanted


def test_slots_clock_set_back():
    """What comes late is not lost, and what is known is not overwritten."""
    slots = Slots(4)
    slots.add(10, 1)
    slots.add(3, 5)
    assert slots.ending(10) == [0, 0, 0, 6]


def at(seconds, age=HOUR, pid=1, probe=PROBE, **told):
    """A sample so many seconds after the first."""
    now = WATCHED.at + seconds
    process = replace(WATCHED.process, started_at=now - age)
    return replace(WATCHED, at=now, key=WorkerKey(pid, 1), process=process, probe=replace(probe, **told))


def test_failures_of_a_process_that_is_there_already():
    """Its life so far is spread evenly over the past, in as much time as it has lived or the past has."""
    failures = Failures(300.0, DAY, 60.0)
    failures.take(at(0, age=4 * DAY + 60, unhandled_errors=(2880, 0, None, 0, 0)))
    failures.take(at(2, age=4 * DAY + 62, unhandled_errors=(2880, 0, None, 0, 0)))
    known = [(errors, seconds) for errors, seconds in failures.past(0) if seconds]
    assert failures.recent(0) is None
    assert sum(errors for errors, _ in known) / sum(seconds for _, seconds in known) == pytest.approx(
        720 / DAY, rel=1e-4
    )
    assert 0.98 * DAY < sum(seconds for _, seconds in known) <= DAY
    assert sum(errors for errors, _ in failures.past(1)) == 0


def test_failures_step_back_with_a_new_process():
    """Its counters start anew, and what they show at first is only what to count from."""
    failures = Failures(300.0, DAY, 60.0)
    failures.take(at(0, unhandled_errors=(5, 0, 0, 0, 0)))
    failures.take(at(2, unhandled_errors=(7, 0, 0, 0, 0)))
    failures.take(at(4, age=1.0, pid=2, unhandled_errors=(3, 0, 0, 0, 0)))
    failures.take(at(6, age=3.0, pid=2, unhandled_errors=(30, 0, 0, 0, 0)))
    failures.take(at(100, age=97.0, pid=2, unhandled_errors=(34, 0, 0, 0, 0)))
    assert failures.recent(0).count == 2 + 4
    failures.take(at(102, age=99.0, pid=2, unhandled_errors=(1, 0, 0, 0, 0)))
    assert failures.recent(0).count == 2 + 4
    failures.take(at(500, age=497.0, pid=2, unhandled_errors=(1, 0, 0, 0, 0)))
    assert failures.recent(0) is None


def test_failures_in_a_gap():
    """Time in which nobody watched is no time without errors."""
    failures = Failures(300.0, DAY, 60.0)
    for seconds in (0, 2, 2 + 3 * HOUR, 4 + 3 * HOUR, 900 + 3 * HOUR):
        failures.take(at(seconds, age=61 + seconds, unhandled_errors=(0, 0, 0, 0, 0)))
    assert sum(seconds for _, seconds in failures.past(0)) == pytest.approx(1 + 2 + 60 + 2, abs=0.1)


def test_failures_that_were_looked_at():
    """Each once; those of a new process begin with the same numbers."""
    error = UnhandledError(6, "KeyError", ())
    failures = Failures(300.0, DAY, 0.0)
    failures.take(at(0, unhandled_errors=(5, 0, 0, 0, 0), latest_errors=(None,) * 5))
    for seconds, count in ((2, 6), (4, 6), (6, 7)):
        failures.take(at(seconds, unhandled_errors=(count, 0, 0, 0, 0), latest_errors=(error,)))
    assert failures.recent(0).kinds == (error,)
    failures.take(at(8, age=1.0, pid=2, unhandled_errors=(0, 0, 0, 0, 0)))
    failures.take(at(10, age=3.0, pid=2, unhandled_errors=(6, 0, 0, 0, 0), latest_errors=(error,)))
    assert failures.recent(0).kinds == (error, error)


def pauses(*buckets, total=0.0):
    """The collector's histograms, of which the oldest generation has this."""
    return (*PROBE.gc_pauses[:2], Histogram(PROBE.gc_pauses[2].bounds, buckets, total))


def test_garbage_of_a_process_that_is_replaced():
    """Two processes do not join, nor does a counter that has stepped back."""
    garbage = Garbage(10.0, 30.0, 0.0)
    for second in range(0, 40, 2):
        garbage.take(at(second, gc_pauses=pauses(*(second,) * 10, total=second / 4)))
    first, before = garbage.windows()
    assert (first.share, before.share) == (pytest.approx(0.25), pytest.approx(0.25))
    assert first.counts == (0, 0, round(first.wall_seconds))
    assert first.longest_between == (0.0, 0.001)
    garbage.take(at(40, gc_pauses=pauses(*(1,) * 10, total=0.0)))
    assert len(garbage.windows()) < 2
    garbage.take(at(42, pid=2, gc_pauses=pauses(*(1,) * 10)))
    assert (garbage.windows(), garbage.share(), garbage.pauses_longer(0.0)) == ((), 0.0, 0)


def test_longer_pauses():
    """Counted from the bucket's bound that is next, in all generations; none beyond the last one."""
    garbage = Garbage(10.0, 30.0, 0.0)
    garbage.take(at(0, gc_pauses=pauses(*(0,) * 10)))
    garbage.take(at(2, gc_pauses=pauses(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)))
    lately = garbage.lately()
    for bound, count in ((0.25, 4), (0.2, 4), (0.26, 3), (5.0, 1), (6.0, 0), (0.0, 9)):
        assert garbage.pauses_longer(bound) == count
        assert lately.longer(bound) == (0, 0, count)
    assert lately.longest_between == (5.0, None)


def test_pools_begin_anew_when_nobody_waits():
    """A look between two that are kept may be the one that counts."""
    past = Past(spans_of(Settings()))
    full, idle = (PoolVitals("asyncio", 2, 2, 9),), (PoolVitals("asyncio", 2, 2, 0),)
    for second, pools in enumerate([full, full, idle, full]):
        past.take(at(float(second), pools=pools))
    assert [pools for _, pools in past.pools] == [idle, full]
    past.take(at(9.0, pid=2, pools=full))
    assert len(past.pools) == 1


def sizes(value, seen):
    """Bytes of everything within, once each; what all workers share is not counted."""
    if id(value) in seen or isinstance(value, type | str | int):
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(sizes(part, seen) for part in value.values())
    if isinstance(value, list | tuple) or hasattr(value, "popleft"):
        return size + sum(sizes(part, seen) for part in value)
    return size + sizes(getattr(value, "__dict__", None), seen) if hasattr(value, "__dict__") else size


def test_weight():
    """A worker that collects all the time and has no errors weighs what the head of the module says."""
    past = Past(spans_of(Settings()))
    for number in range(1000):
        busy = pauses(*(number,) * 10, total=number / 100)
        past.take(at(2.0 * number, age=HOUR + 2 * number, gc_pauses=busy, unhandled_errors=(0,) * 5))
    assert 4_000 < sizes(past, set()) < 16 * 1024
