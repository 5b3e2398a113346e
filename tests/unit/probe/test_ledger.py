"""The books of one loop: how a stretch and a late beat become time per bucket, and what is told of a stall."""

import types

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vitalsd.probe.python import layout, ledger
from vitalsd.probe.python.ledger import BOUNDS, Ledger

THRESHOLD_SECONDS = 0.1


class Stalls:
    """A stall book that keeps what it is told."""

    threshold_seconds = THRESHOLD_SECONDS

    def __init__(self):
        self.told = []

    def ended(self, *arguments):
        """A stall is over."""
        self.told.append(arguments)


class Segment:
    """Takes any record."""

    def put(self, record, values, text=b""):
        """Store one record."""
        self.record, self.values, self.text = record, list(values), text


@pytest.fixture
def books(monkeypatch):
    """A ledger with a CPU clock and a garbage collector that the test moves."""
    clock = types.SimpleNamespace(cpu=0.0)
    monkeypatch.setattr(ledger, "thread_time", lambda: clock.cpu)
    made = Ledger(3, Segment(), Stalls(), types.SimpleNamespace(seconds=0.0), 1e-6)
    made.clock = clock
    return made


@given(st.floats(BOUNDS[0], 100.0, exclude_min=True))
def test_stretch(stretch):
    """A stretch adds to each bucket the time that its arrivals wait that long: beyond the first bound in all."""
    made = Ledger(0, None, None, None, 0.0)
    made.book_stretch(stretch)
    for index, bound in enumerate(BOUNDS):
        assert sum(made._over[index:]) == pytest.approx(max(0.0, stretch - bound), abs=1e-9)


@pytest.mark.parametrize("period", [0.02, 0.32])
@given(lateness=st.floats(0.0, 10.0))
def test_lateness(lateness, period):
    """A late beat adds the samples L, L-p, L-2p, ...: each stands for a period, beside the bound it exceeds."""
    made = Ledger(0, None, None, None, 0.0)
    made.book_lateness(lateness, period)
    samples = [lateness - number * period for number in range(int(lateness / period) + 1)]
    assume(all(abs(sample - bound) > 1e-9 for sample in samples for bound in (0.0, *BOUNDS)))
    samples = [sample for sample in samples if sample > 0]
    for index, bound in enumerate(BOUNDS):
        expected = sum(1 for sample in samples if sample > bound)
        assert sum(made._over[index:]) == pytest.approx(expected * period, abs=1e-9)
    assert made._square == pytest.approx(sum(samples) * period, abs=1e-9)
    assert made._delay_max == max(samples, default=0.0)


def test_flush_at_rest(books):
    """A loop that is busy for no more than a hundredth of the time is told of less often."""
    books.flush(10.0, layout.SELECTOR, True)
    books.book(0.005, 0.0, 1)
    assert books.flush(10.5, layout.SELECTOR, True) == 10.5 + layout.REST_FLUSH_SECONDS
    books.book(0.006, 0.0, 1)
    assert books.flush(11.0, layout.SELECTOR, True) == 11.0 + layout.FLUSH_SECONDS


def test_flush(books):
    """A flush publishes every total under its name, and says when the next one is due."""
    books.book(0.5, 0.25, 100)
    books.book_idle(2.0)
    books.book_stretch(0.004)
    books.ready, books.timers, books.thread_name, books.thread_id = 3.0, 4.0, "täglich", 77
    assert books.flush(10.0, layout.SELECTOR, True) == 10.0 + layout.FLUSH_SECONDS
    assert (layout.LOOP[3], "täglich".encode()) == (books._segment.record, books._segment.text)
    written = dict(zip(layout.LOOP_FIELDS, books._segment.values, strict=True))
    assert written == {
        "used": 1.0,
        "flavour": 0.0,
        "thread_id": 77.0,
        "running": 1.0,
        "flushed_at": 10.0,
        "busy_seconds": 0.5,
        "idle_seconds": 2.0,
        "iterations": 100.0,
        "wait_integral": 0.25,
        "delay_max_seconds": 0.004,
        "stalls": 0.0,
        "stall_seconds": 0.0,
        "ready_callbacks": 3.0,
        "timers": 4.0,
        **{f"over_{bound}": 0.0 for bound in BOUNDS},
        "over_0.001": pytest.approx(0.0015),
        "over_0.0025": pytest.approx(0.0015),
    }
    assert books.own_seconds == pytest.approx(1e-4)


def test_stall_threshold(books):
    """A stretch is a stall from the threshold on."""
    books.book_stall(1.0, THRESHOLD_SECONDS - 0.001)
    assert books._stalls.told == []
    books.book_stall(2.0, THRESHOLD_SECONDS)
    assert [told[:2] for told in books._stalls.told] == [(3, 2.0)]


def test_reasons_of_a_stall(books):
    """CPU time and garbage collection since the last flush go with a stall, no more than it lasted."""
    books.flush(10.0, layout.SELECTOR, True)
    books.clock.cpu, books._gcspans.seconds, books.ready = 0.25, 0.125, 7.0
    books.book_stall(10.0, 0.5)
    books.book_stall(10.0, 0.2)
    assert books._stalls.told == [(3, 10.0, 0.5, 0.25, 0.125, 7.0), (3, 10.0, 0.2, 0.2, 0.125, 7.0)]


def test_cpu_time_before_a_stall(books):
    """A loop that computed in many short turns and then slept is told as asleep, not as computing."""
    books.flush(10.0, layout.SELECTOR, True)
    for _ in range(90):
        books.book(0.0009, 0.0, 1)
        books.clock.cpu += 0.0009
    books.book(0.12, 0.0, 1)
    books.book_stall(10.09, 0.12)
    ((_, _, _, cpu_seconds, _, _),) = books._stalls.told
    assert cpu_seconds == pytest.approx(0.0, abs=0.001)
