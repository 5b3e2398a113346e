"""
A loop with a selector, from the probe's wrapper to the agent's vitals: exact totals, and counters that never step
back, whenever the agent looks.

The loop is simulated: a clock that the test moves, a stand-in for the selector, and the real meter, ledger,
segment and reader. The agent looks between any two steps and after every store into the segment.
"""

import contextlib
import functools
import itertools
import math
import types
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vitalsd.probe.python import layout, ledger, selectormeter, stalls
from vitalsd.probe.python.ledger import Ledger
from vitalsd.probe.python.segment import Segment
from vitalsd.probe.python.selectormeter import SelectorMeter
from vitalsd.probe.python.stalls import StallBook
from vitalsd.segment.delay import ROUNDING
from vitalsd.segment.vitals import read_vitals

THRESHOLD_SECONDS = 0.1 + 2**-32
"""A fraction of a tick off what the clock can show, so that rounding decides nothing."""
TICKS = 2**30
"""Of the simulated clock per second: about nanoseconds, and every sum of them is exact as a double."""
MS = TICKS // 1000
RISING = ("busy_seconds", "idle_seconds", "iterations", "stalls", "stall_seconds", "delay_max_seconds")
TOLERANCE = Fraction(1, 10**9)
"""What the bounds, which have no exact double, may cost a bucket."""
INTERVAL = Fraction(1, 50)


class WatchedSegment(Segment):
    """The probe's segment, which calls `stored` after every record."""

    stored = staticmethod(lambda: None)

    def put(self, record, values, text=b""):
        """Store one record."""
        super().put(record, values, text)
        self.stored()


class WatchedWords:
    """The segment's live words, which call `stored` after every store."""

    def __init__(self, words, stored):
        self._words = words
        self._stored = stored

    def __setitem__(self, index, value):
        self._words[index] = value
        self._stored()


class Simulation:
    """One loop, its selector, and an agent that looks all the time."""

    def __init__(self, segment, reader, start):
        self.ticks = start
        self.reader = reader
        self.before = None
        self.waits = ()
        self.stretches = []
        self.idle = 0
        segment.stored = self.look
        self.segment = segment
        book = StallBook(segment, THRESHOLD_SECONDS)
        self.ledger = Ledger(0, segment, book, types.SimpleNamespace(seconds=0.0), 0.0)
        selector = types.SimpleNamespace(select=self.wait)
        self.loop = types.SimpleNamespace(_selector=selector, _ready=[], _scheduled=[])

    def clock(self):
        """CLOCK_MONOTONIC."""
        return self.ticks / TICKS

    def pass_time(self, pieces):
        """Let time pass, the agent looking after each piece."""
        for piece in pieces:
            self.ticks += piece
            self.look()

    def wait(self, _timeout):
        """The selector's own select: time passes until an event comes."""
        self.pass_time(self.waits)
        return ["event"]

    def look(self):
        """Read everything, and compare with the look before."""
        (loop,) = read_vitals(self.reader, self.clock(), 0.0).loops
        if self.before is not None:
            for name in RISING:
                assert getattr(self.before, name) <= getattr(loop, name), name
            assert self.before.delay.sum <= loop.delay.sum
            for earlier, later in zip(each_bucket(self.before.delay), each_bucket(loop.delay), strict=True):
                assert earlier <= later, (self.before.delay, loop.delay)
        self.before = loop
        return loop

    def start(self):
        """The loop runs, and the probe measures it from here on."""
        words = WatchedWords(self.segment.words, self.look)
        return SelectorMeter(self.loop, self.ledger, words, pytest.fail)

    def live(self, steps):
        """One life of the loop: busy, then waiting, which a timer was to end, for each step; then it stops."""
        meter = self.start()
        for busy, self.waits, *timeout in steps:
            self.pass_time(busy)
            timer = timeout[0] if timeout else None
            assert self.loop._selector.select(None if timer is None else timer / TICKS) == ["event"]
            if timer == 0:  # it only asked what is ready
                self.stretches.append(sum(busy) + sum(self.waits))
                continue
            self.stretches.append(sum(busy))
            late = 0 if timer is None else sum(self.waits) - timer
            if late / TICKS > layout.ON_TIME_SECONDS:
                self.stretches.append(late)
                self.idle += timer
            else:
                self.idle += sum(self.waits)
        self.pass_time([2])
        self.stretches.append(2)
        meter.end()
        self.look()


@pytest.fixture(scope="module")
def simulating(writing, opened):
    """Return a context: one simulation."""

    @contextlib.contextmanager
    def run(start=1000 * TICKS):
        with (
            writing(WatchedSegment, THRESHOLD_SECONDS) as segment,
            opened(segment.path) as reader,
            pytest.MonkeyPatch.context() as patch,
        ):
            simulation = Simulation(segment, reader, start)
            patch.setattr(selectormeter, "monotonic", simulation.clock)
            patch.setattr(ledger, "thread_time", lambda: 0.0)
            patch.setattr(stalls, "time", lambda: 0.0)
            yield simulation

    return run


def each_bucket(delay):
    """What lies between two bounds each: no bucket may fall, or what two looks differ by is no histogram."""
    return between(delay.buckets)


def between(at_most):
    """What each adds to the one before."""
    return [later - earlier for earlier, later in itertools.pairwise((0, *at_most))]


def assert_exact(simulation):
    """What the reader says at the end is what really happened, computed the slow way."""
    loop = simulation.before
    stretches = [Fraction(ticks, TICKS) for ticks in simulation.stretches]
    idle = Fraction(simulation.idle, TICKS)
    long_ones = [stretch for stretch in stretches if stretch >= THRESHOLD_SECONDS]
    assert (sum(stretches), idle) == (loop.busy_seconds, loop.idle_seconds)
    assert (len(long_ones), sum(long_ones)) == (loop.stalls, loop.stall_seconds)
    assert not loop.running
    halves = sum(stretch * stretch for stretch in stretches) / 2
    assert loop.delay.sum == pytest.approx(float(halves / INTERVAL), rel=1e-12)
    bounds = [*(Fraction(str(bound)) for bound in layout.DELAY_BOUNDS_SECONDS), math.inf]
    at_most = [idle + sum(min(stretch, bound) for stretch in stretches) for bound in bounds]
    for bound, seconds, count in zip(bounds, between(at_most), each_bucket(loop.delay), strict=True):
        assert abs(count - seconds / INTERVAL) <= Fraction(ROUNDING) + TOLERANCE / INTERVAL, bound


DURATION = st.one_of(
    st.integers(0, MS),
    st.integers(MS, 20 * MS),
    st.integers(15 * MS, 60 * MS),
    st.integers(50 * MS, 3000 * MS),
    st.integers(0, 50 * TICKS),
)
"""Around every bound that meter and reader decide by."""
PIECES = st.lists(DURATION, min_size=1, max_size=3)
TIMERS = st.one_of(st.none(), st.just(0), st.integers(0, 10 * MS), DURATION)
LIFE = st.lists(st.tuples(PIECES, PIECES, TIMERS), max_size=8)
UNEVEN = 13_579_753
"""Idle ticks that keep the buckets of any test off a whole number of samples; see test_stall_at_the_start."""
STARTS = st.integers(60 * TICKS, 2**20 * TICKS)


@given(st.lists(LIFE, min_size=1, max_size=3), STARTS)
def test_any_life(simulating, lives, start):
    """Any sequence of busy and idle stretches, the loop stopping and starting again in between."""
    with simulating(start) as simulation:
        for steps in ([([0], [UNEVEN])], *lives):
            simulation.live(steps)
        assert_exact(simulation)


TURN = st.tuples(st.integers(0, 3 * MS), st.integers(0, 2 * MS), st.sampled_from([0, None]))


@settings(max_examples=25)
@given(st.lists(TURN, min_size=20, max_size=60))
def test_many_short_turns(simulating, turns):
    """A loop at work turns many times between two flushes, which must lose and double nothing."""
    with simulating() as simulation:
        simulation.live([((busy,), (idle,), timer) for busy, idle, timer in turns])
        assert_exact(simulation)


SHORT = st.integers(0, 90 * MS)
NEVER, BETWEEN_READINGS = 0, 2
"""After which of a look's reads the loop turns."""


@example([(60 * MS, NEVER, 0, 0), (0, BETWEEN_READINGS, 5 * MS, 5 * MS)])
@given(st.lists(st.tuples(SHORT, st.integers(NEVER, 4), SHORT, SHORT), min_size=2, max_size=12))
def test_look_that_is_overtaken(simulating, looks):
    """A loop that turns while the agent reads is told as it was at one moment: no counter ever steps back."""
    with simulating() as simulation:
        look, read = simulation.look, simulation.reader._pread
        simulation.segment.stored = simulation.look = lambda: None
        meter = simulation.start()
        for pause, number, busy, idle in looks:
            reads = itertools.count(1)

            def read_and_turn(offset, size, reads=reads, number=number, busy=busy, idle=idle):
                content = read(offset, size)
                if next(reads) == number:
                    simulation.waits = (idle,)
                    simulation.pass_time([busy])
                    simulation.loop._selector.select(None)
                return content

            simulation.pass_time([pause])
            simulation.reader._pread = read_and_turn
            look()
        meter.end()
        look()


def test_loop_that_never_holds_still(simulating):
    """A loop that turns between any two reads is not known, rather than told from two moments."""
    with simulating() as simulation:
        simulation.start()
        read, words = simulation.reader._pread, simulation.segment.words

        def read_slowly(offset, size):
            content = read(offset, size)
            words[layout.SINCE] += 0.001
            return content

        simulation.reader._pread = read_slowly
        assert read_vitals(simulation.reader, simulation.clock(), 0.0) is None


def test_one_second_block(simulating):
    """The figure the design promises: blocked 1 s in 10 s, one arrival in ten waits, evenly spread up to 1 s."""
    with simulating() as simulation:
        simulation.live([([TICKS], [9 * TICKS])])
        delay = simulation.before.delay
    counts = (450, 450, 450, 450, 451, 452, 455, 463, 476, 501, 501, 501, 501, 501, 501)
    assert delay.buckets == counts
    assert delay.sum == pytest.approx(25.0)


@pytest.mark.parametrize(("busy_ms", "shown_ms"), [(20, 0), (21, 21), (400, 400)])
def test_stretch_in_progress(simulating, busy_ms, shown_ms):
    """A stretch that is sure to be booked shows while it lasts, stall and maximum included."""
    with simulating() as simulation:
        simulation.start()
        simulation.ticks += busy_ms * MS
        loop = simulation.look()
    expected = shown_ms * MS / TICKS
    assert (loop.busy_seconds, loop.delay_max_seconds) == (expected, expected)
    assert (loop.current_stall and loop.current_stall.seconds) == (expected if shown_ms >= 100 else None)
    assert (loop.stalls, loop.running) == (0, True)


def test_wake_up_in_progress(simulating):
    """A loop that does not come back from its wait in time is late from then on, and shows it."""
    seen = []

    def wait(timeout):
        simulation.ticks += 600 * MS
        seen.append(simulation.look())
        return []

    with simulating() as simulation:
        simulation.start()
        simulation.wait = wait
        simulation.loop._selector = types.SimpleNamespace(select=wait)
        simulation.start()
        simulation.loop._selector.select(300 * MS / TICKS)
        (after,) = read_vitals(simulation.reader, simulation.clock(), 0.0).loops
    (during,) = seen
    late = 300 * MS / TICKS
    assert during.current_stall.seconds == pytest.approx(late)
    assert (during.busy_seconds, during.idle_seconds) == (pytest.approx(late), pytest.approx(300 * MS / TICKS))
    assert (after.stalls, after.current_stall) == (1, None)
    assert after.recent_stalls[0].since == during.current_stall.since


def test_late_from_asking_what_is_ready(simulating):
    """A loop that had no time to wait and does not come back is late since its turn began, during and after."""
    seen = []

    def wait(timeout):
        simulation.ticks += 400 * MS
        seen.append(simulation.look())
        return []

    with simulating() as simulation:
        simulation.loop._selector = types.SimpleNamespace(select=wait)
        simulation.start()
        began = simulation.clock()
        simulation.ticks += 10 * MS
        simulation.loop._selector.select(0)
        after = simulation.look()
    (during,) = seen
    late = 410 * MS / TICKS
    assert (during.current_stall.since, during.current_stall.seconds) == (began, late)
    assert (during.busy_seconds, during.idle_seconds) == (late, 0)
    assert (after.stalls, after.stall_seconds, after.current_stall) == (1, late, None)
    assert after.recent_stalls[0].since == began


@pytest.mark.parametrize(("idle_ms", "shown_ms"), [(250, 0), (251, 251), (4000, 4000)])
def test_wait_in_progress(simulating, idle_ms, shown_ms):
    """A wait that is sure to be booked shows while it lasts, and is no delay."""
    seen = []

    def wait(timeout):
        simulation.ticks += idle_ms * MS
        seen.append(simulation.look())

    with simulating() as simulation:
        simulation.loop._selector.select = wait
        simulation.start()
        simulation.loop._selector.select(None)
    assert [loop.idle_seconds for loop in seen] == [shown_ms * MS / TICKS]
    assert [loop.delay.sum for loop in seen] == [0.0]


def test_stall_at_the_start(simulating):
    """No bucket steps back while the very first stretch lasts: nothing but bounds is in the books then."""
    with simulating() as simulation:
        simulation.start()
        simulation.pass_time([TICKS // 3] * 9)


def test_left_as_found(simulating):
    """After the loop has stopped its selector is as it was, with what somebody else had put in or without."""
    with simulating() as simulation:
        for own in ({"select": simulation.wait}, {}):
            selector = type("Selector", (), {"select": simulation.wait})()
            vars(selector).update(own)
            simulation.loop._selector = selector
            meter = simulation.start()
            assert vars(selector).keys() == {"select"}
            meter.end()
            assert vars(selector) == own


def test_wrapped_in_turn(simulating):
    """Where somebody has wrapped our hook it stays in the chain, passes calls on and measures nothing more."""
    with simulating() as simulation:
        meter = simulation.start()
        selector = simulation.loop._selector
        wrapper = selector.select = functools.partial(selector.select)
        meter.end()
        before = simulation.look()
        simulation.waits = [3 * TICKS]
        assert simulation.loop._selector.select(None) == ["event"]
        assert simulation.loop._selector.select is wrapper
        assert simulation.look() == before
