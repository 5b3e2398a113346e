"""
A loop without a selector, from the probe's heartbeat to the agent's vitals: counters that never step back, and a
histogram that is right on average.

Clock, CPU clock and loop are simulated; meter, ledger, segment and reader are real. The loop runs each callback
when it is due or as much later as the test says, and the agent looks between any two pieces of time.
"""

import contextlib
import itertools
import math
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalsd.probe.python import heartbeat, layout, ledger, stalls
from vitalsd.probe.python.heartbeat import HeartbeatMeter
from vitalsd.probe.python.ledger import Ledger
from vitalsd.probe.python.stalls import StallBook
from vitalsd.segment.vitals import read_vitals

THRESHOLD_SECONDS = 0.1
INTERVAL = layout.DELAY_INTERVAL_SECONDS
TOTALS = ("busy_seconds", "idle_seconds", "stalls", "stall_seconds", "delay_max_seconds")
ROUNDING = 1e-9
LAG_SECONDS = layout.REST_FLUSH_SECONDS + heartbeat.REST_INTERVAL


class Simulation:
    """A loop with a heartbeat in it, and an agent that looks all the time."""

    def __init__(self, segment, reader):
        self.now = 1000.0
        self.cpu = 5.0
        self.reader = reader
        self.looks = []
        self.handles = []
        book = StallBook(segment, THRESHOLD_SECONDS)
        self.ledger = Ledger(0, segment, book, types.SimpleNamespace(seconds=0.0), 0.0)
        self.meter = HeartbeatMeter(self, self.ledger, segment.words, pytest.fail)

    def call_later(self, delay, callback):
        """The loop's own; the handle can be cancelled."""
        handle = types.SimpleNamespace(due=self.now + delay, callback=callback, cancelled=False)
        handle.cancel = lambda: setattr(handle, "cancelled", True)
        self.handles.append(handle)
        return handle

    def look(self):
        """Read everything."""
        (loop,) = read_vitals(self.reader, self.now, 0.0).loops
        self.looks.append(loop)
        return loop

    def beat(self, late=0.0, cpu_share=0.0, looks=1):
        """Run the one callback there is, `late` seconds after it is due."""
        (handle,) = (handle for handle in self.handles if not handle.cancelled)
        self.handles.clear()
        self.now = max(self.now, handle.due)
        for _ in range(looks):
            self.now += late / looks
            self.look()
        self.cpu += late * cpu_share
        handle.callback()
        self.look()


@pytest.fixture(scope="module")
def simulating(writing, opened):
    """Return a context: one simulation."""

    @contextlib.contextmanager
    def run():
        with (
            writing(threshold=THRESHOLD_SECONDS) as segment,
            opened(segment.path) as reader,
            pytest.MonkeyPatch.context() as patch,
        ):
            clock = types.SimpleNamespace(now=1000.0, cpu=5.0)
            patch.setattr(heartbeat, "monotonic", lambda: clock.now)
            patch.setattr(heartbeat, "thread_time", lambda: clock.cpu)
            patch.setattr(ledger, "thread_time", lambda: clock.cpu)
            patch.setattr(stalls, "time", lambda: 0.0)
            clock = Simulation(segment, reader)
            yield clock

    return run


ON_GRID = ((1.375, 0.0, 1), (0.625, 0.0, 1), (0.125, 0.0, 1), (22.0, 0.0, 1))
LATE = st.one_of(st.floats(0.0, 0.03), st.floats(0.02, 1.5), st.floats(0.0, 40.0)).map(
    lambda late: late * 0.9973117
)
"""Not a round number, as no real lateness is one; ON_GRID is."""
BEATS = st.lists(st.tuples(LATE, st.floats(0.0, 1.0), st.integers(1, 4)), max_size=30)


def assert_never_steps_back(looks):
    """No total and no bucket is ever smaller than at the look before."""
    for before, after in itertools.pairwise(looks):
        for name in TOTALS:
            assert getattr(before, name) <= getattr(after, name), name
        assert before.delay.sum <= after.delay.sum
        bounds = (*layout.DELAY_BOUNDS_SECONDS, math.inf)
        for bound, earlier, later in zip(bounds, before.delay.buckets, after.delay.buckets, strict=True):
            assert earlier <= later, bound


@given(BEATS)
def test_never_steps_back(simulating, beats):
    """Busy and idle time, stalls, the longest delay and every bucket, at any look, while the loop is at work."""
    with simulating() as simulation:
        for late, cpu_share, looks in beats:
            simulation.beat(late, cpu_share, looks)
        assert_never_steps_back(simulation.looks)
        assert [look for look in simulation.looks if look.iterations is not None] == []


def test_never_steps_back_on_the_grid(simulating):
    """The same where a stall lasts for a whole number of periods and samples fall on a bound."""
    with simulating() as simulation:
        for late, cpu_share, looks in ON_GRID:
            simulation.beat(late, cpu_share, looks)
        assert_never_steps_back(simulation.looks)


@pytest.mark.parametrize("late", [0.3, 0.5, 1.1])
def test_never_steps_back_from_rest(simulating, late):
    """The same where the stall ends a rest, in which beats are 320 ms apart."""
    with simulating() as simulation:
        for _ in range(800):
            simulation.beat()
        simulation.beat(late, looks=5)
        assert_never_steps_back(simulation.looks)


AT_REST = st.tuples(st.floats(0.0, 0.0015), st.floats(0.0, 1.0), st.just(2))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(AT_REST, st.tuples(LATE, st.floats(0.0, 1.0), st.integers(1, 4))), max_size=12),
    st.booleans(),
)
def test_at_rest(simulating, beats, ends):
    """Of two beats in time one only notes that it came, few are told: nothing steps back, all time is booked."""
    with simulating() as simulation:
        for _ in range(800):
            simulation.beat()
        idle = set()
        for _ in range(28):  # 9 s
            simulation.beat(0.0005)
            idle.add(simulation.look().idle_seconds)
        assert len(idle) in (4, 5)
        for late, cpu_share, looks in beats:
            simulation.beat(late, cpu_share, looks)
            last = simulation.look()
            passed = simulation.now - 1000.0
            assert passed - LAG_SECONDS < last.busy_seconds + last.idle_seconds <= passed + ROUNDING
        if ends:
            simulation.now += 0.1
            simulation.meter.end()
            last = simulation.look()
            assert last.busy_seconds + last.idle_seconds == pytest.approx(simulation.now - 1000.0)
        assert_never_steps_back(simulation.looks)


@given(BEATS)
def test_time_adds_up(simulating, beats):
    """Busy and idle time together are the time that has passed, in whole periods: never more."""
    with simulating() as simulation:
        for late, cpu_share, _ in beats:
            simulation.beat(late, cpu_share)
            last = simulation.look()
            passed = simulation.now - 1000.0
            assert passed - LAG_SECONDS < last.busy_seconds + last.idle_seconds <= passed + ROUNDING


def test_on_time(simulating):
    """A loop that is always on time has no busy time, no delay and no stall, for ten seconds."""
    with simulating() as simulation:
        for _ in range(500):
            simulation.beat()
        last = simulation.look()
    assert (last.busy_seconds, last.stalls, last.delay.sum) == (0.0, 0, 0.0)
    assert last.idle_seconds == pytest.approx(10.0, abs=layout.REST_FLUSH_SECONDS + 0.01)
    assert len(set(last.delay.buckets)) == 1


@pytest.mark.parametrize(("cpu_share", "busy"), [(0.0, 0.51), (1.0, 0.5)])
def test_stall(simulating, cpu_share, busy):
    """A stall is as long as its CPU time, or else its lateness and half a period."""
    with simulating() as simulation:
        simulation.beat()
        simulation.beat(0.5, cpu_share)
        last = simulation.looks[-1]
    assert (last.stalls, last.stall_seconds) == (1, pytest.approx(busy))
    assert last.busy_seconds == pytest.approx(busy, abs=0.001)
    assert last.delay_max_seconds == pytest.approx(0.5)


def test_cpu_time_before_a_stall(simulating):
    """What the loop computed before it was blocked is not the stall's CPU time."""
    with simulating() as simulation:
        simulation.beat()
        for _ in range(3):
            simulation.cpu += 0.018
            simulation.beat()
        simulation.beat(0.3)
        (stall,) = simulation.look().recent_stalls
    assert stall.cpu_seconds == pytest.approx(0.0, abs=0.001)


def test_loop_that_lives_for_a_moment(simulating):
    """A loop that ends before its first beat is booked by its CPU time; `asyncio.run` can make thousands."""
    with simulating() as simulation:
        simulation.now += 0.012
        simulation.cpu += 0.004
        simulation.meter.end()
        loop = simulation.look()
    assert loop.busy_seconds == pytest.approx(0.004)
    assert loop.idle_seconds == pytest.approx(0.008)


def test_stall_in_progress(simulating):
    """A stall shows while it lasts, counted from the beat that is missing."""
    with simulating() as simulation:
        simulation.beat()
        (handle,) = simulation.handles
        simulation.now = handle.due + 0.75
        loop = simulation.look()
    assert loop.current_stall.seconds == pytest.approx(0.75)
    assert loop.busy_seconds == pytest.approx(0.75)
    assert loop.delay_max_seconds == pytest.approx(0.75)


def test_rest(simulating):
    """At rest the loop is woken three times a second, in the first 15 s and at work fifty times."""
    with simulating() as simulation:
        periods = []
        for cpu in [0.0] * 800 + [0.1] * 10:
            before = simulation.now
            simulation.cpu += cpu
            simulation.beat()
            periods.append(round(simulation.now - before, 3))
    assert periods[:740] == [0.02] * 740
    assert periods[755:801] == [0.32] * 46
    assert periods[-3:] == [0.02] * 3


def test_stall_from_rest(simulating):
    """A stall that ends a rest is one stall, with the delays it caused."""
    with simulating() as simulation:
        for _ in range(800):
            simulation.beat()
        simulation.beat(0.3)
        at_its_end = simulation.look()
        for _ in range(20):
            simulation.beat()
        later = simulation.look()
    assert (at_its_end.stalls, later.stalls) == (1, 1)
    assert later.delay.sum == at_its_end.delay.sum


@pytest.mark.parametrize("period", [INTERVAL, heartbeat.REST_INTERVAL])
@pytest.mark.parametrize("stretch", [0.003, 0.02, 0.033, 0.25, 1.0])
def test_unbiased(period, stretch):
    """
    Over all moments at which a stretch may begin, the delays booked are those that arrivals really have.

    Of a stretch b the time b - B waits longer than B; one beat in `period / b` notices a short one.
    """
    phases = 4000
    books = Ledger(0, None, None, None, 0.0)
    for phase in range(phases):
        late = stretch - period * (phase + 0.5) / phases
        books.book_lateness(late, period)
    for index, bound in enumerate(layout.DELAY_BOUNDS_SECONDS):
        beyond = sum(books._over[index:]) / phases
        assert beyond == pytest.approx(max(0.0, stretch - bound), abs=period / phases)


def test_stall_at_the_end(simulating):
    """A loop that stops while it is late has had that stall: what a reader has seen is not taken back."""
    with simulating() as simulation:
        simulation.beat()
        (handle,) = simulation.handles
        simulation.now = handle.due + 0.75
        seen = simulation.look()
        simulation.meter.end()
        last = simulation.look()
    assert last.busy_seconds >= seen.busy_seconds
    assert (last.stalls, last.delay_max_seconds) == (1, pytest.approx(0.75))


def test_unhooked(simulating):
    """Once unhooked nothing of ours is left in the loop, and a beat that is already on its way does nothing."""
    with simulating() as simulation:
        (handle,) = simulation.handles
        simulation.meter.unhook()
        handle.callback()
        assert simulation.handles == [handle]
