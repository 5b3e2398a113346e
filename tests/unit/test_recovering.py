"""For how long a loop that was late is not yet taken for healthy."""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd.investigation.recovering import Recoveries
from vitalsd.model import Recovering, StallEvidence, WorkerKey
from vitalsd.settings.model import Health

KEY = WorkerKey(4711, 12)


class Late:
    """Recoveries of one worker, with a clock and an observer that a test sets."""

    def __init__(self, **health):
        self.now, self.going_on = 100.0, []
        self.told = Recoveries(Health(**health), lambda _key: self.going_on, lambda: self.now)

    def at(self, now):
        """What is said at this time."""
        self.now = now
        return self.told.of(KEY)


def stall(since, seconds):
    """One of the loop `main`."""
    return StallEvidence("main", since, seconds, in_progress=False)


def test_it_is_healthy_again_after_so_long_on_time():
    """`health.recovered_after`."""
    late = Late()
    late.told.ended(KEY, stall(99.0, 1.0))
    assert late.at(100.5) == Recovering("main", 1.0, 1.5)
    assert late.at(101.99) is not None
    assert late.at(102.0) is None


def test_a_stall_that_health_allows_is_none():
    """`health.max_delay`; and it does not hide one before it that was longer."""
    late = Late()
    late.told.ended(KEY, stall(99.0, 1.0))
    late.told.ended(KEY, stall(100.1, 0.2))
    assert late.at(101.0) == Recovering("main", 1.0, 1.0)


def test_one_whose_end_is_yet_to_be_seen_is_not_over():
    """The loop is back, and the observer looks in a moment."""
    late = Late()
    late.going_on = [stall(99.0, 1.0)]
    assert late.at(100.0) == Recovering("main", 1.0, 2.0)
    late.going_on = [stall(99.8, 0.2)]
    assert late.at(100.0) is None


def test_nothing_is_held_where_nobody_asks_for_it():
    """A `health.recovered_after` of 0."""
    late = Late(recovered_after=0.0)
    late.going_on = [stall(99.0, 1.0)]
    late.told.ended(KEY, stall(99.0, 1.0))
    assert late.at(100.0) is None


def test_whoever_is_gone_is_forgotten():
    """Nothing is kept for ever."""
    late = Late()
    late.told.ended(KEY, stall(99.0, 1.0))
    late.told.keep(set())
    assert late.at(100.0) is None


def test_a_worker_thread_of_node_is_nothing_to_recover_from():
    """It computes for as long as it likes; the process serves meanwhile."""
    late = Late()
    computed = replace(stall(99.0, 1.0), loop="loop-1", runtime="node")
    late.told.ended(KEY, computed)
    late.going_on = [computed]
    assert late.at(100.5) is None
