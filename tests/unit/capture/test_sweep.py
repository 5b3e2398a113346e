"""Which captures have to go, by their age and size."""

from __future__ import annotations

from msgspec.structs import replace
from support.capture_words import NOON, artifact, capture

from vitalsd.capture.model import Capture
from vitalsd.capture.sweep import MOST_STORED, OVERHEAD_BYTES, size_of, sweep

MIB = 1 << 20
DAY = 86_400.0


def stored(days: float, size: int = MIB - OVERHEAD_BYTES, **more: bool) -> Capture:
    """A capture of so many days ago, of a mebibyte in all."""
    return replace(capture(at=NOON - days * DAY), artifacts=(artifact(size),), **more)


def test_what_is_too_old_goes() -> None:
    """Unless it is pinned, or has no files at all, or is under way."""
    old, older = stored(14.1), stored(20)
    running = replace(stored(30), state="running", ended_at=None)
    captures = (
        stored(1),
        stored(13.9),
        old,
        stored(15, pinned=True),
        older,
        capture("failed", NOON - 30 * DAY),
        running,
    )
    assert sweep(captures, 1 << 30, 14 * DAY, NOON) == (older, old)


def test_the_oldest_goes_where_there_is_too_much() -> None:
    """As many as it takes, and none that is pinned, whatever that takes."""
    captures = [stored(1), stored(2), stored(3, pinned=True), stored(4), stored(5)]
    assert sweep(captures, 5 * MIB, 14 * DAY, NOON) == ()
    assert sweep(captures, 5 * MIB - 1, 14 * DAY, NOON) == (captures[4],)
    assert sweep(captures, 3 * MIB, 14 * DAY, NOON) == (captures[4], captures[3])
    assert sweep(captures, 5 * MIB, 14 * DAY, NOON, room_bytes=MIB + 1) == (captures[4], captures[3])
    assert sweep(captures, 0, 14 * DAY, NOON) == (captures[4], captures[3], captures[1], captures[0])


def test_there_are_never_too_many() -> None:
    """However small: the ledger remembers so many, and none of which there is something may be forgotten."""
    captures = [stored(number / 1000, 1) for number in range(MOST_STORED + 3)]
    assert sweep(captures, 1 << 40, 14 * DAY, NOON) == tuple(reversed(captures[-3:]))


def test_a_clock_that_was_set_back_makes_nothing_old() -> None:
    """What lies in the future is young."""
    captures = (stored(1), stored(2))
    assert sweep(captures, 1 << 30, 14 * DAY, NOON - 1000 * DAY) == ()


def test_size() -> None:
    """All its files, and a little for the folder."""
    both = replace(capture(), artifacts=(artifact(10), artifact(20, "other")))
    assert size_of(both) == 30 + OVERHEAD_BYTES
