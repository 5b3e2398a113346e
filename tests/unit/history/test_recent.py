"""The last minute of each loop, from counters that run for the whole life of its worker."""

import pytest
from msgspec.structs import replace
from support.views import GONE, MAIN_LOOP, OBSERVED, PROBE, WATCHED

from vitalsd.history.recent import SPACING_SECONDS, WINDOW_SECONDS, Recent
from vitalsd.model import DELAY_BOUNDS_SECONDS, Histogram, RecentLoop, TargetSnapshot

BORN = WATCHED.process.started_at
OLD = BORN + 86_400
"""A unix time at which the worker is a day old."""
BUCKETS = len(DELAY_BOUNDS_SECONDS) + 1


def histogram(*counts):
    """Counts by bucket from below, made cumulative."""
    padded = [*counts, *[0] * (BUCKETS - len(counts))]
    return Histogram(DELAY_BOUNDS_SECONDS, tuple(sum(padded[: n + 1]) for n in range(BUCKETS)), 0.0)


def loop(counts, busy=0.0, idle=0.0, stalls=0, name="main"):
    """A loop of which the counters say this."""
    return replace(
        MAIN_LOOP, name=name, delay=histogram(*counts), busy_seconds=busy, idle_seconds=idle, stalls=stalls
    )


def probed(*loops):
    """The worker with these loops."""
    return replace(WATCHED, probe=replace(PROBE, loops=loops))


def observed(counts, busy=0.0, idle=0.0, stalls=0):
    """The worker as it is seen from outside."""
    seen = replace(
        OBSERVED.observed, delay=histogram(*counts), busy_seconds=busy, idle_seconds=idle, stalls=stalls
    )
    return replace(WATCHED, probe=None, observed=seen)


def recent(*rounds, age=OLD):
    """What the last of these workers is told to have done, after rounds of sampling at these times."""
    history = Recent()
    for now, worker in rounds:
        history.keep([TargetSnapshot("shop", True, (worker,))], now)
    return history.of(rounds[-1][1], rounds[-1][0], age)


@pytest.mark.parametrize("make", [lambda *counts, **more: probed(loop(*counts, **more)), observed])
def test_what_was_before_the_last_minute_does_not_count(make):
    """A bad hour is over when it has been for a minute; a probe and a look from outside tell it alike."""
    late = [0] * 9
    found = recent(
        (0.0, make([1000, *late, 5000], busy=4000.0, idle=10.0, stalls=90)),
        (30.0, make([2000, *late, 5000], busy=4003.0, idle=37.0, stalls=90)),
        (60.0, make([4000, *late, 5000], busy=4006.0, idle=64.0, stalls=91)),
    )
    assert found == {"main": RecentLoop(60.0, 0.1, (0.0, 0.001), 1)}


def test_the_window_moves():
    """It is compared with the youngest sample kept that is a minute old, and few are kept."""
    rounds = [(float(now), probed(loop([100 * now], stalls=now))) for now in range(200)]
    found = recent(*rounds)["main"]
    assert WINDOW_SECONDS <= found.seconds < WINDOW_SECONDS + SPACING_SECONDS
    assert found.stalls == found.seconds


@pytest.mark.parametrize(
    ("counts", "bounds"),
    [
        ([], None),
        ([100], (0.0, 0.001)),
        ([990, 0, 10], (0.0, 0.001)),
        ([980, 0, 20], (0.0025, 0.005)),
        ([*[0] * 14, 10], (30.0, None)),
    ],
)
def test_the_bucket_of_the_99th_percentile(counts, bounds):
    """Its bounds, of which the last has no upper one; and nothing where nobody has waited."""
    found = recent((0.0, probed(loop([7]))), (60.0, probed(loop([7 + sum(counts[:1]), *counts[1:]]))))
    assert found["main"].delay_p99_between_seconds == bounds


def test_a_young_worker_is_told_of_since_it_began():
    """The agent has met it half a second ago, and it has stalled before that."""
    worker = probed(loop([50, 0, 0, 0, 0, 0, 0, 50], busy=4.0, idle=4.0, stalls=3))
    found = recent((0.0, worker), (0.5, worker), age=BORN + 8)
    assert found["main"] == RecentLoop(8.0, 0.5, (0.1, 0.25), 3)


def test_a_young_agent_says_how_far_it_looks_back():
    """Of an old worker, what it did since the agent came."""
    found = recent(
        (0.0, probed(loop([9000], busy=99.0, stalls=9))),
        (2.0, probed(loop([9100], busy=100.0, idle=1.0, stalls=9))),
    )
    assert found["main"] == RecentLoop(2.0, 0.5, (0.0, 0.001), 0)


def test_a_loop_that_has_just_begun():
    """All that it has done was within the minute."""
    found = recent((0.0, probed(loop([9000]))), (60.0, probed(loop([9000]), loop([40], stalls=1, name="loop-1"))))
    assert (found["main"].stalls, found["loop-1"].stalls) == (0, 1)


def test_counters_that_began_again():
    """The observer has found another loop of the process: what it counts is what was since."""
    found = recent((0.0, observed([9000], stalls=9)), (60.0, observed([40], busy=1.0, idle=3.0, stalls=1)))
    assert found["main"] == RecentLoop(60.0, 0.25, (0.0, 0.001), 1)


def test_who_has_gone_is_forgotten():
    """A pid that comes again has no minute before."""
    history = Recent()
    worker = probed(loop([9000]))
    history.keep([TargetSnapshot("shop", True, (worker,))], 0.0)
    history.keep([TargetSnapshot("shop", True, (GONE,))], 1.0)
    assert (history.of(worker, 2.0, OLD), history._samples) == ({}, {})
