"""The last minutes of a worker, made of what its counters have gained."""

from __future__ import annotations

from msgspec.structs import replace
from support.tops import event, fleet

from vitalsd.top.told import Delay, StallNow, Targets, Worker
from vitalsd.top.trail import KEPT, Trail, drawn, late_level
from vitalsd_exporters.web.targets import targets_as_json


def _worker() -> Worker:
    told = event("targets", targets_as_json(fleet()[1]))
    assert isinstance(told, Targets)
    return told.targets[0].workers[2]


def _at(second: int, *, busy: float, buckets: tuple[int, ...] = (0, 0, 0), stalled: float | None = None) -> Worker:
    """One that has been busy for so long by then, and has so many callbacks in each bucket."""
    worker = _worker()
    assert worker.probe is not None
    assert worker.process is not None
    loop = replace(
        worker.probe.loops[0],
        delay=Delay((0.001, 0.1), buckets),
        busy_seconds=busy,
        idle_seconds=second - busy,
        current_stall=StallNow(stalled) if stalled is not None else None,
    )
    return replace(
        worker,
        sampled_at=f"2026-07-01T12:00:{second:02}.000Z",
        process=replace(worker.process, cpu_seconds=second / 4),
        probe=replace(worker.probe, loops=(loop,)),
    )


def test_a_step_is_what_was_gained_in_it() -> None:
    """Not the average of the last minute: what is over is over."""
    trail = Trail()
    for second, busy in ((0, 0.0), (5, 5.0), (10, 5.0), (15, 6.0)):
        trail.add(_at(second, busy=busy), second)
    assert [busy for _, busy in trail.points(4, 1, 15)] == [None, 1.0, 0.0, 0.2]


def test_the_delay_is_what_99_of_100_have_waited() -> None:
    """In that step: by the upper bound of the bucket, and by the last bound for what is beyond."""
    trail = Trail()
    for second, buckets in ((0, (0, 0, 0)), (5, (100, 100, 100)), (10, (190, 200, 200)), (15, (190, 200, 300))):
        trail.add(_at(second, busy=0.0, buckets=buckets), second)
    assert [late for late, _ in trail.points(3, 1, 15)] == [0.001, 0.1, 0.1]


def test_a_stall_that_lasts_shows_at_once() -> None:
    """Its loop counts nothing meanwhile: it is at work all the time, and as late as it is."""
    trail = Trail()
    trail.add(_at(0, busy=0.0), 0.0)
    stuck = replace(_at(0, busy=0.0, stalled=4.0), sampled_at="2026-07-01T12:00:05.000Z")
    trail.add(stuck, 5.0)
    assert trail.points(1, 1, 5.0) == [(4.0, 1.0)]


def test_a_successor_begins_anew() -> None:
    """Counters of another process are not compared with its predecessor's."""
    trail = Trail()
    trail.add(_at(10, busy=9.0), 10.0)
    trail.add(replace(_at(15, busy=14.0), key=None), 15.0)
    assert trail.points(1, 1, 15.0) == [(None, None)]
    assert trail.cpu_share is None


def test_the_processor_is_used_between_two_samples() -> None:
    """Which are further apart than two looks: the same sample twice changes nothing."""
    trail = Trail()
    for second in (0, 0, 4, 4):
        trail.add(_at(second, busy=0.0), second)
    assert trail.cpu_share == 0.25


def test_points_of_several_steps_have_the_worst() -> None:
    """And stand still while time passes within one; what is long ago is forgotten."""
    trail = Trail()
    for second, busy in ((0, 0.0), (5, 4.0), (10, 5.0)):
        trail.add(_at(second, busy=busy), second)
    assert trail.points(2, 2, 10) == trail.points(2, 2, 14)
    assert [busy for _, busy in trail.points(2, 2, 10)] == [0.8, 0.2]
    for later in range(20, 20 + 5 * KEPT, 5):
        trail.add(_at(50, busy=10.0), later)
    assert len(trail._steps) == KEPT


def test_levels_are_drawn() -> None:
    """From nothing known to all there is, whatever the figures are; delays on a scale of powers of ten."""
    assert drawn([None, 0.0, 0.5, 1.0, 7.0, -1.0]) == " ▁▅██▁"
    assert late_level(None) is None
    assert drawn([late_level(late) for late in (0.0, 0.001, 0.01, 0.1, 1.0, 30.0)]) == "▁▁▃▅▇█"
