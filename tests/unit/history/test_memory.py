"""The memory of one worker for a chart: from the file and from what is not there yet, as one."""

import asyncio

import pytest
from support.storing import NOON

from vitalsd.history import history
from vitalsd.history.memory import MOST, memory_spans
from vitalsd.history.minutes import Minutes
from vitalsd.history.points import Point

MIB = 2**20


def fed(minutes=3, start=NOON - 100, limit=None, swap=None, worker="0", step=30.0):
    """Minutes of a worker that grows by a MiB each half of one."""
    book = Minutes()
    for number in range(round(minutes * 60 / step)):
        memory = {"rss_anon": MIB * (100 + number), "swap": swap, "limit": limit}
        book.keep(Point(NOON + number * step, "shop", worker, start, **memory))
    return book


def bounds(spans):
    """The lowest and the highest of each, in MiB."""
    return [(each.memory_low_bytes // MIB, each.memory_high_bytes // MIB) for each in spans]


def test_each_minute_has_its_lowest_and_its_highest():
    """What the worker had for itself: what is swapped out too."""
    spans = memory_spans([], fed(swap=MIB, limit=600 * MIB).of(("shop", "0")), 0.0)
    assert bounds(spans) == [(101, 102), (103, 104), (105, 106)]
    assert [each.at for each in spans] == [NOON + 30, NOON + 90, NOON + 150]
    assert {(each.started_at, each.limit_bytes) for each in spans} == {(NOON - 100, 600 * MIB)}


@pytest.mark.parametrize("limit", [None, 0, 2**60])
def test_no_limit_is_none(limit):
    """Also where somebody has written a number that no host has."""
    assert memory_spans([], fed(limit=limit).of(("shop", "0")), 0.0)[0].limit_bytes is None


def test_what_was_not_known_is_not_zero():
    """A gap in a chart is the truth."""
    book = Minutes()
    book.keep(Point(NOON, "shop", "0", NOON))
    [span] = memory_spans([], book.of(("shop", "0")), 0.0)
    assert (span.memory_low_bytes, span.memory_high_bytes) == (None, None)


def test_only_what_is_asked_for():
    """From a moment on, and of one worker."""
    book = fed(minutes=10)
    assert len(memory_spans([], book.of(("shop", "0")), NOON + 300)) == 5
    assert book.of(("shop", "1")) == []


def test_a_long_time_is_as_many_spans_as_a_chart_has_room_for():
    """Of what is left out, the lowest and the highest stay."""
    rows = [tuple(record) for record in fed(minutes=110).of(("shop", "0"))]
    many = [(row[0] + 110 * piece, *row[1:]) for piece in range(10) for row in rows]
    spans = memory_spans(many, [], 0.0)
    assert MOST / 2 < len(spans) <= MOST
    assert min(each.memory_low_bytes for each in spans) == 100 * MIB
    assert max(each.memory_high_bytes for each in spans) == 319 * MIB


def test_two_lifetimes_are_never_one_span():
    """A restart is the end of a line, not a dip in it."""
    rows = [tuple(record) for record in fed(minutes=99).of(("shop", "0"))]
    many = [(row[0] + 99 * life, row[1] + 5000 * life, *row[2:]) for life in range(8) for row in rows]
    spans = memory_spans(many, [], 0.0)
    starts = [each.started_at for each in spans]
    assert len(set(starts)) == 8
    assert [starts.count(start) for start in dict.fromkeys(starts)] == [50] * 8
    assert max(each.memory_high_bytes - each.memory_low_bytes for each in spans) < 10 * MIB


def ask(agent, since=0.0, worker="0"):
    """The memory of a worker, as the API asks for it."""
    return asyncio.run(agent.memory("shop", worker, since))


def test_the_file_and_what_is_not_there_yet_are_one(histories, point, written, clock):
    """A minute that was written while it lasted goes on."""
    agent = histories()
    agent.keep([point(NOON, rss=100 * MIB), point(NOON, rss=900 * MIB, worker="1")])
    written(agent)
    agent.keep([point(NOON + 20, rss=120 * MIB)])
    agent.keep([point(NOON + 70, rss=130 * MIB)])
    clock.now = NOON + 80
    past = ask(agent)
    assert bounds(past.spans) == [(100, 120), (130, 130)]
    assert past.problem is None
    assert ask(agent, worker="2").spans == ()


def test_a_disk_that_does_not_answer_costs_what_only_it_knows(histories, point, written, clock, monkeypatch):
    """The answer says so, and has what is in memory."""
    agent = histories()
    agent.keep([point(NOON, rss=100 * MIB)])
    agent.keep([point(NOON + 70, rss=130 * MIB)])
    written(agent)
    agent.keep([point(NOON + 140, rss=140 * MIB)])
    clock.now = NOON + 150
    monkeypatch.setattr(history, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(agent._store, "memory", lambda *_: asyncio.get_running_loop().create_future())
    monkeypatch.setattr(history.asyncio, "wrap_future", lambda future: future)
    past = ask(agent)
    assert [each.memory_high_bytes // MIB for each in past.spans] == [130, 140]
    assert "has not answered in time" in past.problem
