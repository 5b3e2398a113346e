"""What may be a leak, and is not proven: the same suspicion for as long as the same growth goes on."""

from __future__ import annotations

import pytest
from unit.detect.growth.lives import DAY, MIDNIGHT, flat, life, noise, ramp, saw, together, watched

from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.detect.leak import GrowthDetector
from vitalsd.detect.registry import Seen
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.settings.model import Settings


def memory(*more):
    """300 MiB and more."""
    return together(flat(300), noise(1.0), *more)


SLOW = {
    "a slow leak": memory(ramp(4, 48)),
    "under a sawtooth": memory(saw(80, 40), ramp(6, 48)),
    "in the first day": together(flat(100), noise(1.0), ramp(14)),
}


@pytest.mark.parametrize("course", SLOW.values(), ids=SLOW)
def test_one_growth_is_one_incident(course) -> None:
    """Windows of several lengths see it in turns; it is opened once and counted once."""
    watch, incidents, detector = GrowthWatch(DAY), Incidents(), GrowthDetector(Settings())
    opened, resolved = set(), set()
    for point in life(60, course, born=-200.0 if course is not SLOW["in the first day"] else 0.0):
        watch.add(point)
        seen = Seen("shop", "0", watch.at, (), growth=watch)
        findings = () if detector.is_quiet(seen) else detector.judge(seen).findings
        for incident in [each for late in (0, 50, 100) for each in incidents.take(findings, point.t + late)]:
            opened.add(incident.id)
            assert incident.count == 1
            if incident.state == "resolved":
                resolved.add(incident.id)
    assert len(opened) == 1
    assert len(resolved) <= 1


def test_it_ends_with_the_growth() -> None:
    """When a whole window of the length that showed it shows little more."""
    course = memory(ramp(6, 48, 55))
    assert watched(life(57, course)).memory.suspicion is not None
    assert watched(life(75, course)).memory.suspicion is None


def test_it_ends_with_the_process() -> None:
    """Another one is not suspected of what its predecessor did."""
    watch = watched(life(57, memory(ramp(6, 48))))
    assert watch.memory.suspicion is not None
    for point in life(0.2, memory(), begins=57, born=57):
        watch.add(point)
    assert watch.memory.suspicion is None


def test_it_ends_with_the_proof() -> None:
    """A leak is not suspected of being one, nor right after it has ended."""
    course = memory(ramp(15, 48, 58))
    watch = GrowthWatch(DAY)
    proven = suspected = False
    for point in life(70, course):
        watch.add(point)
        suspected = suspected or watch.memory.suspicion is not None
        if watch.memory.rise is not None:
            proven = True
            assert watch.memory.suspicion is None
    assert suspected
    assert proven


@pytest.mark.parametrize(
    ("per_hour", "suspected"), [(0.0, False), (1.0, False), (5.0, True)], ids=["flat", "by little", "by a tenth"]
)
def test_growth_by_a_tenth_is_worth_telling(per_hour: float, suspected: bool) -> None:
    """Over four hours at the least, and steadily."""
    watch = watched(life(60, memory(ramp(per_hour, 48))))
    assert (watch.memory.suspicion is not None) is suspected


@pytest.mark.parametrize(("per_hour", "suspected"), [(10.0, False), (16.0, True)])
def test_without_a_day_to_compare_with_it_must_double(per_hour: float, suspected: bool) -> None:
    """Most processes grow in their first hours."""
    watch = watched(life(16, together(flat(100), noise(1.0), ramp(per_hour)), born=0.0))
    assert (watch.memory.suspicion is not None) is suspected


def test_short_windows_are_not_told() -> None:
    """In two hours anything may grow."""
    watch = watched(life(50.3, memory(ramp(20, 48))))
    near = watch.memory.reasons[7200].near
    assert near is not None
    assert near.share > 0.1
    assert near.steadiness > 4
    assert watch.memory.suspicion is None


def test_since_when_is_when_the_first_window_had_ended() -> None:
    """And stays so while others show it."""
    watch, since = GrowthWatch(DAY), set()
    for point in life(61, memory(ramp(5, 48))):
        watch.add(point)
        if watch.memory.suspicion is not None:
            since.add((watch.memory.suspicion.since - MIDNIGHT) / 3600)
            rise = watch.memory.suspicion.rise
            assert rise.ended_at <= watch.at
    (one,) = since
    assert 52 < one < 60
