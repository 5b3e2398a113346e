"""One slot over its lifetimes: what inside and outside come to together, and what is forgotten."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.detect.growth.lives import (
    DAY,
    MIB,
    MIDNIGHT,
    daily,
    flat,
    life,
    noise,
    ramp,
    readings,
    saw,
    together,
    watched,
)

from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.history.points import Point


def memory(*more):
    """300 MiB and more."""
    return together(flat(300), noise(1.0), *more)


def heap(*more):
    """120 MiB of it in use, and more."""
    return together(flat(120), noise(0.3, seed=9), *more)


def hours(at: float) -> float:
    """Since midnight."""
    return (at - MIDNIGHT) / 3600


def test_the_live_heap_proves_a_leak_within_hours() -> None:
    """By itself, long before the process's memory could."""
    watch = watched(life(51, memory(ramp(6, 48)), heap_live=heap(ramp(6, 48)), limit=600))
    assert watch.memory.rise is None
    grown = watch.grown
    assert grown is not None
    assert (grown.kind, grown.by) == ("leak", "heap")
    assert hours(grown.found_at) == pytest.approx(50, abs=0.5)
    assert hours(grown.began_at) == pytest.approx(48, abs=0.5)
    assert grown.per_second * 3600 == pytest.approx(6 * MIB, rel=0.2)
    assert grown.heap_share == pytest.approx(1.0, abs=0.3)
    assert grown.seconds_left == pytest.approx((600 - 318) / 6 * 3600, rel=0.2)


def test_allocated_blocks_prove_a_leak_and_memory_says_how_fast() -> None:
    """Blocks have no size of their own."""
    blocks = together(flat(1e6), noise(500), ramp(40_000, 48))
    grown = watched(life(54, memory(ramp(6, 48)), blocks=blocks)).grown
    assert grown is not None
    assert (grown.kind, grown.by) == ("leak", "blocks")
    assert grown.rise.grew > 50_000
    assert grown.per_second * 3600 == pytest.approx(6 * MIB, rel=0.3)


@pytest.mark.parametrize("seen", ["heap_live", "heap_used", "blocks"])
def test_what_does_not_grow_inside_is_not_leaked(seen: str) -> None:
    """Memory that is held and not in use is fragmentation, whichever count of what is in use says so."""
    inside = {"heap_live": heap(), "heap_used": heap(saw(10, 25)), "blocks": together(flat(1e6), noise(300))}
    grown = watched(life(63, memory(ramp(6, 48)), **{seen: inside[seen]})).grown
    assert grown is not None
    assert (grown.kind, grown.by) == ("fragmentation", "memory")
    assert abs(grown.heap_share) < 0.2


@pytest.mark.parametrize(
    ("per_hour", "kind"), [(6, "leak"), (1.5, "leak"), (0.9, "fragmentation"), (0, "fragmentation")]
)
def test_a_fifth_of_what_grows_must_grow_inside(per_hour: float, kind: str) -> None:
    """Less of it, and something else is what grows. What is in use, garbage included, proves nothing by itself."""
    grown = watched(life(63, memory(ramp(6, 48)), heap_used=heap(ramp(per_hour, 48)))).grown
    assert grown is not None
    assert (grown.kind, grown.by) == (kind, "memory")


def test_a_live_heap_that_nobody_collects_says_less_than_what_is_in_use() -> None:
    """Without a full collection the live heap stays as it was read; what is in use does not."""
    grown = watched(life(63, memory(ramp(6, 48)), heap_live=flat(120), heap_used=heap(ramp(6, 48)))).grown
    assert grown is not None
    assert grown.kind == "leak"


@pytest.mark.parametrize(("per_hour", "kinds"), [(6, {"leak"}), (0, {"fragmentation", None})])
def test_while_allocations_are_tracked_nobody_knows_what_is_in_use(
    per_hour: float, kinds: set[str | None]
) -> None:
    """A leak stays one, though a live heap that nobody collects is flat; what is held is told when it is known."""
    known = {"heap_live": flat(120), "heap_used": heap(ramp(per_hour, 48))}
    watch = watched(life(63, memory(ramp(6, 48)), **known))
    found = set()
    tracked = life(2, memory(ramp(6, 48)), begins=63, heap_live=flat(120))
    for point in [*tracked, *life(20, memory(ramp(6, 48)), begins=65, **known)]:
        watch.add(point)
        found.add(watch.grown.kind if watch.grown is not None else None)
    assert found == kinds
    watch = watched(
        [*life(63, memory(ramp(6, 48)), **known), *life(20, memory(ramp(6, 48)), begins=63, heap_live=flat(120))]
    )
    assert watch.grown is not None
    assert watch.grown.kind == "fragmentation"


def test_fragmentation_can_wait_for_a_window_of_eight_hours() -> None:
    """What is known of the inside may be older than a short one; for a while it is neither that nor a leak."""
    watch, courses = GrowthWatch(DAY), {"heap_live": heap(), "heap_used": heap()}
    first: dict[str, float] = {}
    for point in life(62, memory(ramp(30, 48)), **courses):
        watch.add(point)
        if watch.memory.rise is not None:
            first.setdefault("rise", hours(watch.at))
        if watch.grown is not None:
            assert watch.grown.rise.window_seconds >= 8 * 3600
            first.setdefault(watch.grown.kind, hours(watch.at))
    assert list(first) == ["rise", "fragmentation"]
    assert first["rise"] < 54 < first["fragmentation"]


def test_without_a_look_inside_it_is_a_leak() -> None:
    """As far as anybody can tell from outside."""
    grown = watched(life(63, memory(ramp(6, 48)))).grown
    assert grown is not None
    assert (grown.kind, grown.heap_share) == ("leak", None)


def test_swap_is_memory_too() -> None:
    """What is swapped out has not been given back, and what comes back has not grown."""
    out = ramp(30, 40, 44)
    moved = life(63, memory(lambda at: -out(at)), swap=out)
    assert watched(moved).memory.latest == pytest.approx(300 * MIB, rel=0.05)
    leaking = life(63, memory(), swap=ramp(6, 48))
    assert watched(leaking).grown is not None


def test_shares_are_of_the_same_time() -> None:
    """A leak seen in 40 minutes inside is compared over the shortest window that both have."""
    watch = watched(life(60.75, memory(ramp(60, 60)), heap_live=heap(ramp(60, 60)), heap_used=heap(ramp(60, 60))))
    grown = watch.grown
    assert grown is not None
    assert grown.rise.window_seconds == 2400
    assert grown.heap_share == pytest.approx(1.0, abs=0.15)


def test_what_a_lost_probe_said_last_is_no_verdict_for_ever() -> None:
    """A leak that nobody inside tells of any more ends, or is proven from outside."""
    leaking = list(life(50.5, memory(ramp(6, 48)), heap_live=heap(ramp(6, 48))))
    watch = watched([*leaking, *life(1, memory(flat(15)), begins=50.5)])
    assert watch.grown is not None
    watch = watched([*leaking, *life(5, memory(flat(15)), begins=50.5)])
    assert watch.heap.rise is not None
    assert watch.grown is None


def test_a_heap_that_was_known_once_does_not_excuse_growth() -> None:
    """What was flat inside yesterday says nothing of what grows today."""
    known = list(life(48, memory(), heap_live=heap()))
    watch = watched([*known, *life(15, memory(ramp(6, 48)), begins=48)])
    assert watch.grown is not None
    assert (watch.grown.kind, watch.grown.heap_share) == ("leak", None)


def test_growth_ends_when_a_whole_window_shows_little_more() -> None:
    """Not with the first floor that is no higher."""
    leaking = memory(ramp(15, 48, 56))
    assert watched(life(57, leaking)).grown is not None
    assert watched(life(80, leaking)).grown is None


def test_another_process_begins_anew_and_its_past_stays() -> None:
    """Nothing is known of it until it has settled; its predecessor's floors are still what to be above."""
    before = list(life(60, memory(ramp(15, 48))))
    watch = watched(before)
    assert watch.grown is not None
    assert watch.lifetimes == 1
    born = 60.0
    for point in life(0.5, memory(), begins=60.0, born=born):
        assert watch.add(point) is False
    assert (watch.grown, watch.lifetimes) == (None, 2)
    assert (watch.memory.latest, watch.memory.rise, watch.peaks.latest()) == (None, None, None)
    assert watch.settling_seconds == pytest.approx(1800 + 75)
    kept = len(watch.memory.floors.blocks[0].lows)
    for point in life(30, memory(ramp(6, 61.5)), begins=61.0, born=born):
        watch.add(point)
    assert watch.settling_seconds is None
    assert len(watch.memory.floors.blocks[0].lows) > kept
    assert watch.grown is None
    assert watch.memory.floor() < 500 * MIB


def test_growth_never_spans_two_processes() -> None:
    """A small process after a large one, and a large one after a small one, are no growth."""
    small, large = flat(200), flat(500)
    watch = watched(life(60, together(small, noise(1.0))))
    for point in life(30, together(large, noise(1.0)), begins=60, born=60):
        watch.add(point)
        assert watch.grown is None


@pytest.mark.parametrize(("apart", "lifetimes"), [(0.0, 1), (1.0, 1), (-1.4, 1), (1.6, 2), (-3600.0, 2)])
def test_a_process_is_known_by_its_start(apart: float, lifetimes: int) -> None:
    """A pid may be used again, and a start is known to a tick only."""
    points = list(life(10, memory()))
    watch = watched(points[:100])
    for point in points[100:]:
        watch.add(replace(point, start=point.start + apart))
    assert watch.lifetimes == lifetimes


def test_points_out_of_order_are_left_out() -> None:
    """The same as if they had never been there."""
    points = list(life(60, memory(ramp(15, 48)), heap_live=heap()))
    watch, sorted_watch = GrowthWatch(DAY), watched(points)
    for number, point in enumerate(points):
        watch.add(point)
        if number % 7 == 0 and number:
            wild = replace(points[number - 1], rss_anon=5e12, heap_live=0.0, start=point.start + 5000)
            assert watch.add(wild) is False
    assert (watch.grown, watch.lifetimes, watch.at) == (sorted_watch.grown, 1, sorted_watch.at)


def test_fields_that_are_missing_now_and_then() -> None:
    """What is not known is left out; the rest goes on."""
    points = list(life(63, memory(ramp(6, 48)), limit=900, fds=flat(40)))
    for number in range(0, len(points), 3):
        points[number] = replace(points[number], rss_anon=None, limit=None, fds=None)
    watch = watched(points)
    assert watch.grown is not None
    assert (watch.limit, watch.counts["fds"].latest) == (900 * MIB, 40)


@pytest.mark.parametrize("limit", [0.0, 2.0**60, 9_223_372_036_854_771_712.0])
def test_what_is_written_for_no_limit_is_none(limit: float) -> None:
    """Neither 0 nor the greatest number that a cgroup has is one."""
    watch = watched(readings(*[float(value) for value in range(100)], limit=limit))
    assert watch.limit is None
    assert watch.peaks.exhaustion is None


def test_the_first_hour_is_left_out() -> None:
    """A process loads what it is, and nothing of that counts."""
    watch = GrowthWatch(DAY)
    for point in life(1.0, memory(ramp(500)), born=0.0):
        watch.add(point)
    assert (watch.memory.latest, watch.peaks.latest()) == (None, None)
    assert watch.settling_seconds == pytest.approx(75)
    for point in life(0.1, memory(), begins=1.0, born=0.0):
        watch.add(point)
    assert watch.settling_seconds is None
    assert watch.memory.latest is not None
    assert GrowthWatch(DAY).settling_seconds is None


def test_counts_are_series_of_their_own() -> None:
    """Each from when it was first told."""
    watch = watched(life(5, memory(), fds=flat(9), tasks=flat(3)))
    assert {name: series.latest for name, series in watch.counts.items()} == {"fds": 9, "tasks": 3}


def test_where_memory_is_going() -> None:
    """Its pace, and when it meets the limit if that is within a month."""
    trend = watched(life(6, memory(ramp(10)), limit=1000)).trend
    assert trend.bytes_per_second * 3600 == pytest.approx(10 * MIB, rel=0.1)
    assert hours(trend.exhausted_at) == pytest.approx(70, rel=0.1)
    assert watched(life(6, memory(ramp(10)), limit=300_000)).trend.exhausted_at is None
    assert watched(life(6, memory(ramp(10)))).trend.exhausted_at is None
    falling = watched(life(6, memory(ramp(-10)), limit=1000)).trend
    assert falling.bytes_per_second < 0
    assert falling.exhausted_at is None
    assert GrowthWatch(DAY).trend.bytes_per_second is None


NOTHING = {"rss_anon": 0.0, "heap_live": 0.0, "blocks": 0.0, "fds": 0.0, "threads": 0.0, "tasks": 0.0, "swap": 0.0}


def test_nothing_at_all_is_no_growth() -> None:
    """Zeros, for two days."""
    watch = watched(
        Point(t=MIDNIGHT + number * 300, target="shop", worker="0", start=0.0, **NOTHING) for number in range(600)
    )
    assert (watch.grown, watch.trend.bytes_per_second) == (None, 0.0)


def ahead(points, hours, until):
    """The same as a clock tells them that was so far ahead until this hour."""
    for point in points:
        yield replace(point, t=point.t + hours * 3600) if point.t < MIDNIGHT + until * 3600 else point


def test_a_clock_that_is_set_back_begins_anew() -> None:
    """Points count from then on, where they would be left out for as long as the clock was ahead."""
    watch = watched(ahead(life(60, memory(), limit=600), 5, until=50))
    assert watch.at == pytest.approx(MIDNIGHT + 60 * 3600, abs=300)
    assert watch.memory.latest_at == watch.at
    assert watch.memory.floors.blocks[0].ends_at <= watch.at
    assert watch.lifetimes == 1


@pytest.mark.parametrize("until", [24, 36, 48, 50, 54])
def test_a_clock_that_is_set_back_makes_no_leak(until: int) -> None:
    """A daily load, seen at other hours than before, is none."""
    course = together(flat(300), noise(1.0), daily(60))
    watch = GrowthWatch(DAY)
    for point in ahead(life(96, course, limit=600), 7, until):
        watch.add(point)
        assert watch.grown is None


def test_a_clock_that_is_set_back_hides_no_leak() -> None:
    """It is proven by what came after."""
    watch = watched(ahead(life(96, memory(ramp(10, 70)), limit=900), 5, until=40))
    assert watch.grown is not None
    assert hours(watch.grown.began_at) == pytest.approx(70, abs=2)


def test_a_process_that_a_wrong_clock_has_seen_begin_is_not_waited_for() -> None:
    """It began in what is the future now; it has been there since now at the least."""
    watch = watched(life(2, memory(), born=10))
    assert watch.memory.latest is not None
    assert watch.settling_seconds is None
    assert watched(life(0.5, memory(), born=10)).settling_seconds == pytest.approx(1800, abs=200)


def test_a_point_from_a_little_before_is_left_out() -> None:
    """A clock that is put right by a second, or two readings that were written in the wrong order."""
    watch = watched(life(50, memory()))
    before = watch.memory.floors.blocks[0].own_count()
    assert watch.add(Point(watch.at - 290, "shop", "0", watch.start, rss_anon=1.0)) is False
    assert watch.memory.latest != 1.0
    assert watch.memory.floors.blocks[0].own_count() == before


def group(*users, limit):
    """What is left of a limit to all of these."""
    return lambda hours: (limit - sum(user(hours) for user in users)) * MIB


def test_workers_share_a_limit() -> None:
    """Four of 400 MiB that leak 25 MiB an hour each have 500 MiB left together, which lasts for five hours."""
    leaks = [together(flat(400), noise(1.0, seed=seed), ramp(25, 48)) for seed in range(4)]
    left = group(*leaks, limit=2100)
    watches = [watched(life(52, leak, limit=2100, left=left)) for leak in leaks]
    for watch in watches:
        assert watch.peaks.exhaustion is None
        found = watch.exhaustion
        assert found is not None
        assert found is watch.shared.exhaustion
        assert found.seconds_left / 3600 == pytest.approx(1.0, abs=0.3)
        assert watch.trend.exhausted_at == pytest.approx(MIDNIGHT + 53 * 3600, abs=3600)
        assert watch.trend.bytes_per_second < 30 * MIB / 3600
        assert watch.wants_peers


def test_a_leak_meets_the_limit_that_is_shared() -> None:
    """By the pace of all."""
    leaks = [together(flat(400), noise(1.0, seed=seed), ramp(20, 48)) for seed in range(4)]
    left = group(*leaks, limit=3000)
    grown = watched(life(60, leaks[0], limit=3000, left=left)).grown
    assert grown is not None
    assert grown.seconds_left == grown.seconds_together
    assert grown.seconds_left / 3600 == pytest.approx((3000 - 4 * 640) / 80, rel=0.2)


def test_a_limit_that_is_taken_away_is_met_by_nobody() -> None:
    """0 says so; what is not known leaves it as it was."""
    leak = together(flat(400), noise(1.0), ramp(25, 48))
    points = list(life(52, leak, limit=550, left=group(leak, limit=550)))
    watch = watched(points)
    assert watch.exhaustion is not None
    assert watch.left is not None
    last = points[-1]
    watch.add(replace(last, t=last.t + 10, limit=None))
    assert watch.exhaustion is not None
    watch.add(replace(last, t=last.t + 20, limit=0, left=None))
    assert (watch.limit, watch.left) == (None, None)
    watch.add(replace(last, t=last.t + 310, limit=0, left=None))
    assert watch.exhaustion is None


def test_what_is_left_is_not_believed_for_long() -> None:
    """Where nobody tells of it any more, it is not known."""
    leak = together(flat(400), noise(1.0), ramp(25, 48))
    watch = watched(life(50, leak, limit=900, left=group(leak, limit=900)))
    assert watch.left is not None
    for point in life(1, leak, limit=900, begins=50):
        watch.add(point)
    assert watch.left is None
