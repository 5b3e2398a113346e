"""The watches of all workers: one for each slot, as many as there is room for."""

from __future__ import annotations

import asyncio

import pytest
from unit.detect.growth.lives import DAY, MIDNIGHT

from vitalsd.detect.growth import book as book_module
from vitalsd.detect.growth.book import GrowthBook
from vitalsd.detect.growth.plan import Plan
from vitalsd.history.points import Point


def point(worker: str = "0", target: str = "shop", at: float = MIDNIGHT) -> Point:
    """Of a process that has settled."""
    return Point(at, target, worker, 0.0, rss_anon=1.0)


def test_each_slot_has_its_own_watch() -> None:
    """Of each target."""
    book = GrowthBook(DAY)
    book.take([point("0"), point("1"), point("0", "legacy"), point("0", at=MIDNIGHT + 5)])
    watch = book.of("shop", "0")
    assert watch is not None
    assert watch.at == MIDNIGHT + 5
    assert book.of("shop", "1").at == MIDNIGHT
    assert book.of("legacy", "0") is not watch
    assert book.of("legacy", "1") is None


def test_the_silent_make_room(monkeypatch) -> None:
    """Whoever was not heard of for longest goes first."""
    monkeypatch.setattr(book_module, "MOST_SLOTS", 3)
    book = GrowthBook(DAY)
    book.take(point(worker) for worker in ("0", "1", "2", "0", "3"))
    assert [book.of("shop", worker) is not None for worker in "0123"] == [True, False, True, True]


def test_who_does_not_come_back_is_forgotten() -> None:
    """After as long as the past is remembered."""
    book = GrowthBook(DAY)
    book.take([point("0"), point("1"), point("0", at=MIDNIGHT + 86_400)])
    book.forget(MIDNIGHT + 8 * 86_400 - 1)
    assert book.of("shop", "1") is not None
    book.forget(MIDNIGHT + 8 * 86_400)
    assert book.of("shop", "1") is None
    assert book.of("shop", "0") is not None
    book.forget(MIDNIGHT + 9 * 86_400)
    assert book.of("shop", "0") is None


async def recorded(*points: Point):
    """What history has, in one piece."""
    yield list(points)


def test_other_windows_begin_anew() -> None:
    """Floors of another length cannot be made of those that are there; they are made of what is remembered."""
    book = GrowthBook(DAY)
    book.take([point()])
    assert book.reconfigure(DAY) is False
    assert book.of("shop", "0") is not None
    assert book.reconfigure(Plan(60.0, 1.0, 60.0)) is True
    assert book.of("shop", "0") is None
    book.take([point(at=MIDNIGHT + 9)])
    assert book.of("shop", "0") is None
    asyncio.run(book.remember(recorded(point(at=MIDNIGHT + 5))))
    assert book.of("shop", "0").at == MIDNIGHT + 9


def test_what_was_before_comes_first() -> None:
    """Points that are read while history is gone through wait for it, and none is lost."""
    book = GrowthBook(DAY)

    async def slow():
        yield [point(at=MIDNIGHT)]
        book.take([point(at=MIDNIGHT + 300), point("1", at=MIDNIGHT + 300)])
        yield [point(at=MIDNIGHT + 100)]
        assert book.of("shop", "0").at == MIDNIGHT + 100

    asyncio.run(book.remember(slow()))
    assert book.of("shop", "0").at == MIDNIGHT + 300
    assert book.of("shop", "1").at == MIDNIGHT + 300


def test_history_that_cannot_be_read_loses_nothing_else() -> None:
    """What was read meanwhile is taken in all the same."""
    book = GrowthBook(DAY)

    async def broken():
        book.take([point(at=MIDNIGHT + 300)])
        raise OSError("the disk is gone")
        yield []

    with pytest.raises(OSError, match="disk"):
        asyncio.run(book.remember(broken()))
    assert book.of("shop", "0").at == MIDNIGHT + 300
    book.take([point(at=MIDNIGHT + 600)])
    assert book.of("shop", "0").at == MIDNIGHT + 600


def test_what_waits_is_bounded(monkeypatch) -> None:
    """However long it takes."""
    monkeypatch.setattr(book_module, "MOST_HELD", 2)
    book = GrowthBook(DAY)

    async def slow():
        book.take([point("0"), point("1"), point("2")])
        yield []

    asyncio.run(book.remember(slow()))
    assert [book.of("shop", worker) is not None for worker in "012"] == [True, True, False]


def test_the_pool_of_a_target() -> None:
    """All of its slots."""
    book = GrowthBook(DAY)
    book.take([point("0"), point("1"), point("0", "legacy")])
    assert set(book.pool("shop")) == {book.of("shop", "0"), book.of("shop", "1")}
    assert book.pool("gone") == ()


def test_a_clock_that_is_set_back_has_the_past_remembered_anew() -> None:
    """What was before lies in history; what comes meanwhile waits, and what the wrong clock told is gone."""
    book = GrowthBook(DAY)

    async def nothing():
        return
        yield

    assert book.past_wanted.is_set()
    asyncio.run(book.remember(nothing()))
    book.take([point(at=MIDNIGHT + 7200), point("1", at=MIDNIGHT + 7200)])
    assert not book.past_wanted.is_set()
    book.take([point(at=MIDNIGHT + 30), point("1", at=MIDNIGHT + 30)])
    assert book.past_wanted.is_set()
    assert book.of("shop", "0") is None
    asyncio.run(book.remember(recorded(point(at=MIDNIGHT - 300))))
    assert book.of("shop", "0").at == book.of("shop", "1").at == MIDNIGHT + 30
    shortest = book.of("shop", "0").memory.floors.blocks[0]
    assert shortest.first * shortest.length == MIDNIGHT - shortest.length
    book.take([point(at=MIDNIGHT - 200)])
    assert not book.past_wanted.is_set()
