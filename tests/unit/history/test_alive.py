"""What was alive after full collections: each once, of one process, from what was seen on."""

from __future__ import annotations

from msgspec.structs import replace
from support.remedies import key
from support.storing import NOON
from unit.detect.heaps import LIMIT, sample

from vitalsd.history.alive import Alive


def test_each_collection_is_a_point() -> None:
    """What was collected before the first sample is of no time that is known."""
    alive = Alive()
    for at, live, collections in ((0, 0.9, 7), (3, 0.9, 7), (6, 0.5, 8), (9, 0.5, 8), (80, 0.5, 9)):
        alive.take(sample(at, 0.9, live, collections))
    assert list(alive.lately) == list(alive.long) == [(NOON + 6, LIMIT // 2), (NOON + 80, LIMIT // 2)]
    alive.take(replace(sample(83, 0.9, 0.5, 10), key=key(7)))
    assert (len(alive.lately), len(alive.long)) == (0, 0)


def test_a_heap_without_a_limit_keeps_nothing() -> None:
    """Which is Python's."""
    alive = Alive()
    for number in range(3):
        taken = sample(number, 0.9, 0.5, number)
        assert taken.probe is not None
        alive.take(replace(taken, probe=replace(taken.probe, heap_limit_bytes=None)))
    assert len(alive.lately) == 0
