"""What people read of growth: sentences, reasons, severities and evidence."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from support.views import OBSERVED
from unit.detect.growth.lives import DAY, MIB, MIDNIGHT, flat, life, noise, ramp, readings, saw, together, watched

from vitalsd.detect.counts import FdLeakDetector, TaskLeakDetector, ThreadLeakDetector
from vitalsd.detect.exhaustion import ExhaustionDetector
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.detect.leak import FragmentationDetector, GrowthDetector, LeakDetector
from vitalsd.detect.registry import Seen, make_detectors
from vitalsd.settings.model import Settings

ALL = (
    LeakDetector,
    GrowthDetector,
    FragmentationDetector,
    ExhaustionDetector,
    FdLeakDetector,
    ThreadLeakDetector,
    TaskLeakDetector,
)


def memory(*more):
    """300 MiB without noise, and more."""
    return together(flat(300), *more)


def judged(watch: GrowthWatch | None, detector=LeakDetector):
    """What one detector says, and that it is quiet when it should be."""
    made = detector(Settings())
    seen = Seen("shop", "0", watch.at if watch is not None else MIDNIGHT, (), growth=watch)
    judgement = made.judge(seen)
    assert not (made.is_quiet(seen) and judgement.findings)
    assert (judgement.state.rule, judgement.state.target, judgement.state.worker) == (made.kind, "shop", "0")
    assert (judgement.state.state == "fired") is bool(judgement.findings)
    return judgement


def found(points, detector=LeakDetector):
    """The finding that there is."""
    (finding,) = judged(watched(points), detector).findings
    assert (finding.kind, finding.target, finding.worker) == (detector.kind, "shop", "0")
    assert finding.started_at <= finding.at
    return finding


def reason(points, detector=LeakDetector) -> tuple[str, str]:
    """State and reason where there is nothing to find."""
    judgement = judged(watched(points), detector)
    assert judgement.findings == ()
    return judgement.state.state, judgement.state.reason


def test_every_detector_is_registered() -> None:
    """So that a running agent asks them all."""
    assert {each.kind for each in ALL} <= {detector.kind for detector in make_detectors(Settings())}


def test_leak_of_memory() -> None:
    """Who, how fast, by what it is told, how long there is, and what to do."""
    finding = found(life(55, memory(ramp(30, 48)), limit=1000))
    assert finding.summary == (
        "Worker 0 of `shop` leaks about 30 MiB an hour: its memory has grown steadily by 158 MiB (52 %) in 6 h, "
        "above everything before; at this pace it meets its limit of 1000 MiB in 16 h 34 min; plan a "
        "restart before that."
    )
    assert finding.severity == "warning"
    assert finding.evidence == {
        "since": "2026-07-03T03:30:00.000Z",
        "began_at": "2026-07-03T00:22:30.000Z",
        "proven_by": "memory",
        "window_seconds": 21_600.0,
        "grew": round(157.5 * MIB),
        "grew_share": 0.525,
        "steadiness": 1000.0,
        "against": "level",
        "floors": [round((323.125 + 22.5 * number) * MIB) for number in range(8)],
        "bytes_per_second": round(30 * MIB / 3600, 1),
        "memory_bytes": round(509.375 * MIB),
        "peak_bytes": round(503.125 * MIB),
        "limit_bytes": 1000 * MIB,
        "time_to_limit_seconds": 59_625,
        "lifetimes": 1,
    }
    assert finding.at == pytest.approx(MIDNIGHT + 55 * 3600, abs=300)
    assert finding.started_at == pytest.approx(MIDNIGHT + 48.375 * 3600)


@pytest.mark.parametrize(("limit", "severity"), [(None, "warning"), (1000, "warning"), (680, "critical")])
def test_leak_is_critical_where_little_time_is_left(limit, severity) -> None:
    """Within six hours; without a limit nobody is in a hurry, and none is spoken of."""
    finding = found(life(55, memory(ramp(30, 48)), limit=limit))
    assert finding.severity == severity
    if limit is None:
        assert finding.summary.endswith(", above everything before; plan a restart.")
        assert not {"limit_bytes", "time_to_limit_seconds"} & finding.evidence.keys()


def test_leak_over_the_limit_has_no_time_left() -> None:
    """And not less than none."""
    finding = found(life(55, memory(ramp(30, 48)), limit=400))
    assert finding.evidence["time_to_limit_seconds"] == 0
    assert " meets its limit of 400 MiB in 0 s; " in finding.summary


def test_leak_of_blocks_while_memory_falls() -> None:
    """Without a pace there is none to tell."""
    blocks = together(flat(1e6), ramp(40_000, 48))
    finding = found(life(51, memory(ramp(-2, 48)), blocks=blocks, limit=900))
    assert finding.summary.startswith(
        "Worker 0 of `shop` leaks: the number of its allocated blocks has grown steadily by "
    )
    assert "time_to_limit_seconds" not in finding.evidence


def test_leak_of_the_heap() -> None:
    """Says what it was seen by, and how much of the growth that is."""
    finding = found(life(51, memory(ramp(6, 48)), heap_live=together(flat(120), ramp(6, 48))))
    assert "leaks about 6.0 MiB an hour: its live heap has grown steadily by " in finding.summary
    assert finding.evidence["proven_by"] == "heap"
    assert finding.evidence["live_heap_share"] == pytest.approx(1.0, abs=0.05)


def test_fragmentation() -> None:
    """What is held and not in use, and where to look."""
    points = list(life(63, memory(ramp(6, 48)), heap_live=together(flat(120), noise(0.1))))
    finding = found(points, FragmentationDetector)
    assert finding.summary == (
        "Worker 0 of `shop` holds ever more memory that it does not use: its memory has grown steadily by 77 MiB "
        "(26 %) in 16 h, above everything before, and its live heap by 0 % of that; look at the allocator "
        "(MALLOC_ARENA_MAX, jemalloc) and at large short-lived objects."
    )
    assert finding.severity == "warning"
    assert abs(finding.evidence["live_heap_share"]) < 0.1
    assert reason(points) == ("quiet", "memory grows, and the live heap does not")
    assert reason(points, GrowthDetector) == ("quiet", "see `fragmentation`")


def test_growth() -> None:
    """What it has, what it lacks, what would prove it; nobody is paged for it."""
    finding = found(life(55, memory(ramp(6, 48))), GrowthDetector)
    assert finding.summary == (
        "Worker 0 of `shop` may leak: its memory has grown steadily by 32 MiB (10 %) in 6 h, above everything "
        "before, but it has not grown by much; it is a leak when this goes on; a probe inside would know within "
        "hours; nothing is to be done at night: look for a cache that nobody bounds, and for a deployment when it "
        "began."
    )
    assert finding.severity == "info"
    assert finding.evidence == {
        "since": "2026-07-03T06:00:00.000Z",
        "missing": "it has not grown by much",
        "window_seconds": 21_600.0,
        "grew": round(31.5 * MIB),
        "grew_share": 0.105,
        "steadiness": 1000.0,
        "bytes_per_second": round(31.5 * MIB / 21_600, 1),
    }


def test_growth_and_fragmentation_make_room_for_a_leak() -> None:
    """One growth is told under one name."""
    points = list(life(55, memory(ramp(30, 48)), heap_live=together(flat(120), ramp(30, 48))))
    assert reason(points, GrowthDetector) == ("quiet", "see `leak`")
    assert reason(points, FragmentationDetector) == ("quiet", "see `leak`")


def test_exhaustion() -> None:
    """When, how much it has, how fast it grows."""
    finding = found(life(8, memory(ramp(60)), limit=1000), ExhaustionDetector)
    assert finding.summary == (
        "Worker 0 of `shop` meets its memory limit of 1000 MiB in 3 h 46 min: it has 779 MiB and grows by 60 MiB "
        "an hour; restart it in time, or give it more."
    )
    assert finding.severity == "warning"
    evidence = finding.evidence
    assert evidence["time_to_limit_seconds"] == pytest.approx((1000 - 774) / 60 * 3600, rel=0.01)
    assert evidence["exhausted_at"].startswith("2026-07-01T11:4")
    assert evidence["bytes_per_second"] == pytest.approx(60 * MIB / 3600, abs=1)
    assert (evidence["limit_bytes"], evidence["window_seconds"]) == (1000 * MIB, 21_600.0)
    assert finding.started_at == MIDNIGHT + 6 * 3600 + 75
    assert evidence["since"] == "2026-07-01T06:01:15.000Z"


def test_exhaustion_is_critical_within_the_hour() -> None:
    """Whoever is on call has that long."""
    assert found(life(8, memory(ramp(60)), limit=830), ExhaustionDetector).severity == "critical"


def shared(paces, hours=52, limit=2100):
    """What each of these workers comes to, that grow by so much an hour under one limit."""
    courses = [memory(ramp(pace, 48)) for pace in paces]
    left = lambda at: (limit - sum(course(at) for course in courses)) * MIB  # noqa: E731 - a course
    watches = tuple(watched(life(hours, course, limit=limit, left=left)) for course in courses)
    detector = ExhaustionDetector(Settings())
    seen = [
        Seen("shop", str(slot), watch.at, (), growth=watch, peers=watches) for slot, watch in enumerate(watches)
    ]
    return [detector.judge(each) for each in seen]


def test_exhaustion_of_a_limit_that_is_shared() -> None:
    """It is met by all together, and sooner than any of them would meet it."""
    first, second = shared((60, 60), limit=1200)
    assert first.state.state == second.state.state == "fired"
    (finding,) = first.findings
    assert finding.summary == (
        "Worker 0 of `shop` meets its memory limit of 1.2 GiB in 66 min: it has 539 MiB, and all who share that "
        "limit have 123 MiB left, less by 120 MiB an hour; restart it in time, or give it more."
    )
    assert finding.evidence["left_bytes"] == pytest.approx(123 * MIB, rel=0.02)
    assert finding.evidence["bytes_per_second"] == pytest.approx(120 * MIB / 3600, rel=0.02)


def test_of_those_who_share_a_limit_the_ones_that_grow_are_told_of() -> None:
    """The others are not to be restarted; why they are not told of is told."""
    grows, rests = shared((120, 0), limit=1200)
    assert grows.state.state == "fired"
    assert rests.findings == ()
    assert rests.state.state == "watching"
    assert rests.state.reason.startswith("its limit of 1.2 GiB is met in ")
    assert rests.state.reason.endswith(", by others that share it")


COUNTED = {
    FdLeakDetector: (
        {"fds": lambda at: 60 + 3 * max(0.0, at - 48)},
        (
            "file descriptors: there are 99, after steady growth by 32 in 12 h, about 3 more each hour; "
            "close what is opened for each request."
        ),
    ),
    ThreadLeakDetector: (
        {"threads": lambda at: 12 + max(0.0, at - 48)},
        (
            "threads: there are 25, after steady growth by 11 in 12 h, about 1 more each hour; "
            "an executor that is made for each call must be shut down."
        ),
    ),
    TaskLeakDetector: (
        {"tasks": lambda at: 100 + 10 * max(0.0, at - 48)},
        (
            "tasks: there are 230, after steady growth by 105 in 12 h, about 10 more each hour; "
            "give what it awaits a timeout."
        ),
    ),
}


@pytest.mark.parametrize(("most", "told"), [(1024, "in 12 d 20 h"), (64, "in 0 s"), (None, None)])
def test_descriptors_have_a_limit(most, told) -> None:
    """That it is met, and when, is what makes it urgent."""
    watch = watched(life(61, fds=lambda at: 60 + 3 * max(0.0, at - 48)))
    assert OBSERVED.process is not None
    sample = replace(OBSERVED, process=replace(OBSERVED.process, max_fds=most))
    (finding,) = FdLeakDetector(Settings()).judge(Seen("shop", "0", watch.at, (sample,), growth=watch)).findings
    assert ("; it may have " in finding.summary) is (most is not None)
    assert finding.evidence.get("limit") == most
    if told is not None:
        assert f"; it may have {most}, which it meets {told}; close what is opened" in finding.summary


@pytest.mark.parametrize("detector", COUNTED, ids=lambda each: each.kind)
def test_counts(detector) -> None:
    """How many there are, how many more that is, and what to look at."""
    courses, summary = COUNTED[detector]
    finding = found(life(61, memory(), **courses), detector)
    assert finding.summary == "Worker 0 of `shop` leaks " + summary
    assert finding.severity == "warning"
    evidence = finding.evidence
    per_hour = courses[detector.count](49) - courses[detector.count](48)
    assert evidence["per_hour"] == pytest.approx(per_hour, rel=0.01)
    assert evidence["count"] == round(courses[detector.count](60.98))
    assert finding.started_at == pytest.approx(MIDNIGHT + 48 * 3600, abs=3600)
    assert (evidence["against"], len(evidence["floors"])) == ("level", 8)


def test_counts_are_told_as_well_as_they_are_known() -> None:
    """Three figures of a growth that was estimated are enough."""
    finding = found(life(61, memory(), tasks=lambda at: 10_000 + 1234.5 * max(0.0, at - 48)), TaskLeakDetector)
    assert "there are 26,000, after steady growth by 13,000 in 12 h, about 1,230 more each hour" in finding.summary


def test_growth_with_a_probe_inside_says_what_would_prove_it() -> None:
    """The live heap, as soon as it grows too."""
    inside = {"heap_live": together(flat(120), noise(0.1))}
    finding = found(life(50.2, memory(ramp(15, 46)), **inside), GrowthDetector)
    assert "; it is a leak when this goes on, and as soon as the live heap grows with it; " in finding.summary


def test_a_count_that_is_known_no_more_is_no_leak() -> None:
    """Such as tasks, when the probe is gone: nobody could see that it has ended."""
    tasks, _ = COUNTED[TaskLeakDetector]
    watch = watched(life(61, memory(), **tasks))
    assert judged(watch, TaskLeakDetector).findings
    for point in life(14, memory(), begins=61):
        watch.add(point)
    assert judged(watch, TaskLeakDetector).findings == ()


WHY_NOT = {
    "flat": (memory(), "its memory over the last 2 d: it did not grow"),
    "by little": (
        memory(ramp(1.5, 48)),
        "its memory has grown by 3 % in 24 h, but it has not grown by much (steadiness 1.6)",
    ),
    "a step": (
        memory(lambda at: 80.0 if at > 52 else 0.0),
        "its memory has grown by 31 % in 16 h, but it does not grow steadily (steadiness 1.0)",
    ),
}


@pytest.mark.parametrize("name", WHY_NOT)
def test_a_leak_that_is_none_says_why(name: str) -> None:
    """What came nearest is told, with its numbers."""
    course, why = WHY_NOT[name]
    assert reason(life(60, course)) == ("quiet", why)


def test_a_young_process_says_that_it_is_young() -> None:
    """Settling, then without a window, then without a day to compare with."""
    for detector in ALL:
        courses = {"fds": flat(9), "threads": flat(2), "tasks": flat(5)}
        points = life(0.5, memory(), born=0.0, limit=900, heap_live=flat(120), **courses)
        why = "its process is still settling, and is judged in 31 min"
        assert reason(points, detector) == ("quiet", why)
    assert reason(life(1.2, memory(), born=0.0)) == ("quiet", "no window of its memory is complete")
    assert reason(life(2.9, memory(), born=0.0)) == (
        "quiet",
        "its memory over the last 2 h: its process is younger than that",
    )
    assert reason(life(5, memory(ramp(9)), born=0.0)) == (
        "quiet",
        (
            "its memory has grown by 7 % in 2 h 40 min, but there is no day before it to compare with "
            "(steadiness 1000.0)"
        ),
    )


UNKNOWN = {
    LeakDetector: "its memory is not known yet",
    GrowthDetector: "its memory is not known yet",
    FragmentationDetector: "its memory is not known yet",
    ExhaustionDetector: "its memory is not known yet",
    FdLeakDetector: "the number of its file descriptors may not be read",
    ThreadLeakDetector: "the number of its threads is not known yet",
    TaskLeakDetector: "without a probe nobody knows how many tasks it has",
}


@pytest.mark.parametrize("detector", UNKNOWN, ids=lambda each: each.kind)
def test_what_is_not_known_is_unavailable(detector) -> None:
    """Of a worker without points, and of one whose points lack it."""
    for watch in (None, GrowthWatch(DAY), watched(readings(*[None] * 5))):
        state = judged(watch, detector).state
        assert (state.state, state.reason) == ("unavailable", UNKNOWN[detector])


def test_a_node_has_no_tasks() -> None:
    """With a probe too there is nothing to count, and its lack is not to blame."""
    probe = SimpleNamespace(runtime="node")
    seen = SimpleNamespace(samples=[SimpleNamespace(probe=probe)])
    assert TaskLeakDetector(Settings())._unknown(seen) == "Node has no tasks to count"
    probe.runtime = "python"
    assert TaskLeakDetector(Settings())._unknown(seen) == UNKNOWN[TaskLeakDetector]


def test_what_needs_a_probe_or_a_limit_says_so() -> None:
    """Fragmentation needs a look inside, exhaustion something to meet."""
    points = list(life(30, memory()))
    assert reason(points, FragmentationDetector) == (
        "unavailable",
        "without a probe nobody knows what of its memory is in use",
    )
    assert reason(points, ExhaustionDetector) == ("unavailable", "its memory has no limit that is known")
    assert reason(life(30, memory(), limit=800), ExhaustionDetector) == (
        "quiet",
        "the trend of its peaks does not meet its limit of 800 MiB",
    )
    for inside in ("heap_live", "heap_used", "blocks"):
        assert reason(life(30, memory(), **{inside: flat(100)}), FragmentationDetector)[0] == "quiet"


def test_a_sawtooth_does_not_hide_the_pace() -> None:
    """Floors are what a leak is measured by, peaks what the limit is compared with."""
    finding = found(life(56, memory(saw(60, 20), ramp(50, 48)), limit=1000))
    assert finding.evidence["bytes_per_second"] * 3600 == pytest.approx(50 * MIB, rel=0.05)
    assert finding.evidence["peak_bytes"] == pytest.approx((300 + 400 + 58) * MIB, rel=0.03)
