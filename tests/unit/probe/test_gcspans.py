"""Pauses of the garbage collector, by generation and bucket, from the interpreter's own callbacks."""

import gc
import types

import pytest

from vitalsd.probe.python import gcspans, layout
from vitalsd.probe.python.gcspans import GcSpans

BUCKETS = len(layout.GC_BOUNDS_SECONDS) + 1


@pytest.fixture
def spans(monkeypatch):
    """Spans that only see the collections a test plays: (spans, collect, full collections seen)."""
    clock = types.SimpleNamespace(now=10.0)
    full = []
    monkeypatch.setattr(gcspans, "monotonic", lambda: clock.now)
    made = GcSpans(lambda: full.append(clock.now))
    gc.callbacks.remove(made._callback)

    def collect(generation, seconds):
        made._callback("start", {"generation": generation})
        clock.now += seconds
        made._callback("stop", {"generation": generation})

    yield made, collect, full
    made.stop()


def rows(spans):
    """Seconds and counts of each generation."""
    values = spans.values()
    size = BUCKETS + 1
    return [(values[i], values[i + 1 : i + size]) for i in range(0, len(values), size)]


def test_nothing_yet(spans):
    """Every generation has its fields, all zero."""
    assert rows(spans[0]) == [(0.0, [0.0] * BUCKETS)] * 3


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0005, 0), (0.0011, 1), (0.007, 2), (0.04, 3), (0.09, 4), (0.2, 5), (0.4, 6), (0.9, 7), (4.0, 8), (6.0, 9)],
)
def test_bucket(spans, seconds, bucket):
    """A pause counts in the first bucket whose bound it does not exceed, and in that one alone."""
    made, collect, _ = spans
    collect(1, seconds)
    (_, young), (total, middle), (_, old) = rows(made)
    assert middle == [float(index == bucket) for index in range(BUCKETS)]
    assert total == pytest.approx(seconds)
    assert [0.0] * BUCKETS == young == old


def test_generations(spans):
    """Pauses add up by generation, and over all."""
    made, collect, full = spans
    for generation, seconds in ((0, 0.002), (0, 0.003), (1, 0.02), (2, 0.3)):
        collect(generation, seconds)
    assert [seconds for seconds, _ in rows(made)] == pytest.approx([0.005, 0.02, 0.3])
    assert [sum(counts) for _, counts in rows(made)] == [2.0, 1.0, 1.0]
    assert made.seconds == pytest.approx(0.325)
    assert len(full) == 1


def test_half_seen(spans):
    """A collection that began before the probe did has no length, so it is not counted."""
    made, _, _ = spans
    made._callback("stop", {"generation": 2})
    assert rows(made) == [(0.0, [0.0] * BUCKETS)] * 3


def test_failure_ends_it(spans):
    """Whatever goes wrong inside takes the callback out and never reaches the service; it is told if asked."""
    made, collect, _ = spans
    gc.callbacks.append(made._callback)
    made.check()
    collect(99, 0.1)
    assert made._callback not in gc.callbacks
    with pytest.raises(IndexError):
        made.check()


def test_real_collections():
    """The interpreter's own collections are seen while it is there, and not after stop()."""
    full = []
    made = GcSpans(lambda: full.append(True))
    try:
        gc.collect(0)
        gc.collect()
        assert len(full) == sum(rows(made)[2][1]) >= 1
        assert sum(rows(made)[0][1]) >= 1
    finally:
        made.stop()
        made.stop()
    before = made.values()
    gc.collect()
    assert made.values() == before
