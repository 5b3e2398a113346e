"""What is kept is what was fed: the lowest and highest of each span and process, however it is taken."""

from array import array
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vitalsd.history import minutes as minutes_module
from vitalsd.history.database import _by_hour
from vitalsd.history.minutes import Minutes
from vitalsd.history.packing import pack, unpack
from vitalsd.history.points import METRICS, Point
from vitalsd.history.records import GRAINS, HOUR_SECONDS, LAST, SPAN, START, UNKNOWN, VALUES, merge

NOON = 1_782_907_200.0
VALUE = st.none() | st.integers(0, 2**40) | st.integers(0, 50)
ROUNDS = st.lists(
    st.tuples(
        st.floats(0.1, 400.0),  # seconds since the round before
        st.sampled_from([NOON - 500.0, NOON - 500.0, NOON - 500.0, NOON + 90.25, NOON + 3000.5]),
        st.sampled_from(["0", "1"]),
        st.tuples(*[VALUE for _ in range(len(METRICS) + 1)]),
        st.booleans(),  # whether somebody takes what is there
    ),
    max_size=60,
)


def points_of(rounds):
    """The rounds as points, and after which of them it is drained."""
    t = NOON
    for seconds, start, worker, values, drained in rounds:
        t += seconds
        yield Point(t, "shop", worker, start, *values), drained


def model(points):
    """The same, the slow and plain way: worker -> grain -> span and start -> last second, lows and highs."""
    told = {}
    for point in points:
        for index, grain in enumerate(GRAINS):
            span = int(point.t // grain.seconds)
            records = told.setdefault((point.target, point.worker), [{} for _ in GRAINS])[index]
            key = span, round(point.start * 1000)
            values = records.setdefault(key, {"last": 0, **{name: [] for name in grain.metrics}})
            values["last"] = int(point.t) - span * grain.seconds
            for name in grain.metrics:
                values[name] += [getattr(point, name)] if getattr(point, name) is not None else []
    return {
        place: [_rows(grain, records) for grain, records in zip(GRAINS, grains, strict=True)]
        for place, grains in told.items()
    }


def _rows(grain, records):
    return [
        (
            *key,
            values["last"],
            *(
                end
                for name in grain.metrics
                for end in (min(values[name], default=UNKNOWN), max(values[name], default=UNKNOWN))
            ),
        )
        for key, values in sorted(records.items())
    ]


def rows(records, grain):
    """Records one after the other, one by one."""
    return [tuple(records[at : at + grain.width]) for at in range(0, len(records), grain.width)]


@given(ROUNDS)
def test_what_is_kept_is_what_was_fed(rounds):
    """Whenever it is taken, in however many parts: joined again, it is the lowest and highest of each span."""
    minutes = Minutes()
    batches = []
    with mock.patch.object(minutes_module, "MOST_LIVES", 1000):  # as many as hypothesis comes up with
        for point, drained in points_of(rounds):
            minutes.keep(point)
            if drained:
                batches.append(minutes.drain())
    batches.append(minutes.drain())
    told = {}
    for batch in batches:
        for place, sections in batch.items():
            here = told.setdefault(place, [[] for _ in GRAINS])
            parts = zip(here, sections, GRAINS, strict=True)
            told[place] = [merge(known, rows(more, grain)) for known, more, grain in parts]
    assert told == model(point for point, _ in points_of(rounds))


@given(ROUNDS)
def test_what_is_packed_is_what_is_unpacked(rounds):
    """Hour by hour, to the last byte."""
    minutes = Minutes()
    for point, _ in points_of(rounds):
        minutes.keep(point)
    for sections in minutes.drain().values():
        for hour, records in _by_hour(sections).items():
            merged = [merge([], each) for each in records]
            back = [list(zip(*columns, strict=True)) for columns in unpack(hour, pack(hour, merged))]
            assert back == merged
            assert all(row[SPAN] * GRAINS[0].seconds // HOUR_SECONDS == hour for row in back[0])


def test_the_metrics_are_those_of_a_point():
    """Both grains together have what a point has, in its order."""
    kept = tuple(name for grain in GRAINS for name in grain.metrics)
    assert kept == Point.__struct_fields__[4:]
    assert set(kept) == {*METRICS, "limit"}
    assert [HOUR_SECONDS % grain.seconds for grain in GRAINS] == [0, 0]


def test_memory_is_by_the_minute_and_the_rest_by_five(point):
    """Ten minutes of rounds of two seconds."""
    minutes = Minutes()
    for number in range(300):
        minutes.keep(point(NOON + 2 * number, rss=1000 + number, heap_live=500 - number))
    by_minute, by_five = minutes.drain()["shop", "0"]
    assert [row[VALUES : VALUES + 2] for row in rows(by_minute, GRAINS[0])][:2] == [(1000, 1029), (1030, 1059)]
    assert [row[VALUES : VALUES + 2] for row in rows(by_five, GRAINS[1])] == [(351, 500), (201, 350)]
    assert {row[LAST] for row in rows(by_minute, GRAINS[0])} == {58}


def test_what_is_drained_is_forgotten(point):
    """A span that lasts is told again when there is more of it; who is gone is told once."""
    minutes = Minutes()
    minutes.keep(point(NOON))
    assert len(minutes.drain()) == 1
    minutes.keep(point(NOON + 2, rss=1))
    (record,) = rows(minutes.drain()["shop", "0"][0], GRAINS[0])
    assert record[LAST : VALUES + 2] == (2, 1, 100 * 2**20)
    assert (minutes.drain(), minutes._lanes) == ({}, {})


def test_a_worker_that_begins_again_and_again_costs_four_records_a_span(point):
    """The first three and the latest of its processes."""
    minutes = Minutes()
    for number in range(30):
        minutes.keep(point(NOON + 2 * number, rss=number, start=NOON + 2 * number))
    by_minute, by_five = minutes.drain()["shop", "0"]
    starts = [(row[START] / 1000 - NOON) / 2 for row in rows(by_minute, GRAINS[0])]
    assert starts == [0, 1, 2, 28, 29]
    assert len(rows(by_five, GRAINS[1])) == 5
    minutes.keep(point(NOON + 60))
    assert len(rows(minutes.drain()["shop", "0"][0], GRAINS[0])) == 2


def test_what_nobody_takes_is_bounded(point, monkeypatch):
    """The latest is kept, and what is lost is counted."""
    monkeypatch.setattr(minutes_module, "KEPT_SECONDS", 600)
    minutes = Minutes()
    for number in range(60):
        minutes.keep(point(NOON + 60 * number, rss=number))
    by_minute, by_five = minutes.drain()["shop", "0"]
    assert [row[VALUES] for row in rows(by_minute, GRAINS[0])] == list(range(49, 60))
    assert len(rows(by_five, GRAINS[1])) == 3
    assert minutes.lost == 49 + 9


@pytest.mark.parametrize("value", [-1, -(2**60), 2**53, float("inf"), float("nan"), None])
def test_what_is_no_number_of_bytes_is_not_known(point, value):
    """A damaged segment can say anything."""
    minutes = Minutes()
    minutes.keep(point(NOON, rss=value))
    minutes.keep(point(NOON, rss=7.0))
    minutes.keep(point(NOON, rss=value))
    assert rows(minutes.drain()["shop", "0"][0], GRAINS[0])[0][VALUES : VALUES + 2] == (7, 7)


def test_a_clock_that_is_set_back_tears_nothing(point):
    """The minute before has a record in either part, and merging makes one of them."""
    minutes = Minutes()
    for t, rss in ((NOON + 40, 5), (NOON + 60, 6), (NOON + 30, 4), (NOON + 61, 7)):
        minutes.keep(point(t, rss=rss))
    merged = merge([], rows(minutes.drain()["shop", "0"][0], GRAINS[0]))
    assert [row[LAST : VALUES + 2] for row in merged] == [(40, 4, 5), (1, 6, 7)]


def test_a_worker_costs_little_memory(point):
    """A fresh lane is what the documentation says, though two hours wait in it."""
    minutes = Minutes()
    for number in range(240):
        minutes.keep(replace(point(NOON + 60 * number), rss_anon=number))
    (lane,) = minutes._lanes.values()
    assert sum(closed.buffer_info()[1] * closed.itemsize for closed in lane.closed) <= 13_000
    assert all(isinstance(closed, array) for closed in lane.closed)
