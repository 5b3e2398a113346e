"""When an executor does not keep up, and when it just has work to do."""

from __future__ import annotations

import pytest
from unit.detect.lives import HOUR, Life, every

from vitalsd.detect.pool_saturation import PoolSaturationDetector
from vitalsd.model import PoolVitals
from vitalsd.settings.model import Sampling, Settings, Workers


def life(threads: int = 4, busy: int = 1) -> Life:
    """A worker with a pool that has something to do."""
    return Life(PoolSaturationDetector).pool(threads, busy, 0).live(120)


def backlog(start: float, per_second: float = 0.0, threads: int = 4):
    """A queue that begins with so many calls and grows by so many a second."""
    began: list[float] = []

    def each(one: Life) -> None:
        began.append(one.at)
        one.pool(threads, threads, max(0, round(start + per_second * (one.at - began[0]))))

    return each


QUIET = {
    "no pool": lambda: Life(PoolSaturationDetector).live(HOUR),
    "all busy, nobody waits": lambda: life().live(HOUR, backlog(0)),
    "a batch of 5 s": lambda: life().live(5, backlog(500, -100)).pool(4, 0, 0).live(HOUR),
    "a batch of 28 s": lambda: life().live(28, backlog(500)).pool(4, 0, 0).live(HOUR),
    "a batch of some minutes": lambda: life().live(250, backlog(5000, -20)).pool(4, 0, 0).live(HOUR),
    "batches again and again": lambda: life().live(
        HOUR, every(2, lambda one: one.pool(4, 4, 50) if one.at % 30 < 20 else one.pool(4, 0, 0))
    ),
    "a short queue": lambda: life().live(HOUR, backlog(3)),
    "another process each time": lambda: (
        [one := life()] + [one.restart().live(26, backlog(50)) for _ in range(20)]
    ),
}


@pytest.mark.parametrize("name", QUIET)
def test_never_for_a_pool_that_works(name: str) -> None:
    """Work that gets done, or a queue shorter than the pool has threads."""
    one = QUIET[name]()
    one = one[0] if isinstance(one, list) else one
    assert one.found == []


SATURATED = {
    "deep": backlog(40),
    "as deep as it has threads": backlog(4),
    "growing": backlog(1, 0.05),
    "growing fast": backlog(1, 5),
    "shrinking, for hours": backlog(100_000, -20),
    "one thread": backlog(2, threads=1),
}


@pytest.mark.parametrize("name", SATURATED)
def test_held_for_half_a_minute(name: str) -> None:
    """And not before."""
    one = life()
    began = one.at
    one.live(60, SATURATED[name])
    assert [finding.kind for finding in one.found[:1]] == ["pool_saturation"]
    assert 30 <= one.found[0].at - began <= 36 or name == "growing"


def test_a_thread_between_two_calls_looks_idle() -> None:
    """With calls shorter than a look some threads are always between two; the queue says that none waits."""
    one = life().live(60, every(2, lambda life: life.pool(4, int(life.at / 2) % 5, 30)))
    assert one.found


def test_a_look_at_which_nobody_waits_begins_anew() -> None:
    """It is held without a break or not at all."""
    one = life().live(28, backlog(40)).pool(4, 4, 0).live(2).live(28, backlog(40))
    assert one.found == []
    assert "held for 26 of 30 s" in one.judge().state.reason


def test_looks_that_lie_far_apart_do_not_join() -> None:
    """Nobody knows what was between."""
    one = life().live(20, backlog(40))
    one.at += 60
    assert one.live(20, backlog(40)).found == []


def test_finding() -> None:
    """The pool, how many wait, for how long, and what to do."""
    one = life()
    (finding,) = one.live(31, backlog(20, 0.5)).live(2, backlog(38)).judge().findings
    assert (finding.severity, finding.cause, finding.culprit) == ("warning", None, None)
    assert finding.summary == (
        "Worker 0 of `shop` has all 4 threads of pool `asyncio` busy and 38 calls waiting, more all the time, for "
        "30 s; it is the default executor, which resolves names for the loop too: give what blocks a pool of its "
        "own, or make this one larger (loop.set_default_executor)."
    )
    assert {name: finding.evidence[name] for name in ("pool", "threads", "busy", "queued")} == {
        "pool": "asyncio",
        "threads": 4,
        "busy": 4,
        "queued": 38,
    }
    assert finding.evidence["queued_most"] == 38
    assert finding.started_at == finding.at - 30


@pytest.mark.parametrize(
    ("each", "severity"),
    [
        (backlog(39, 0.0), "warning"),
        (backlog(60, 0.0), "warning"),
        (backlog(10, 0.5), "warning"),
        (backlog(30, 1), "critical"),
    ],
    ids=["deep", "very deep", "growing", "hopeless"],
)
def test_severity(each, severity: str) -> None:
    """Ten calls for each thread, and more all the time, are critical."""
    (finding,) = life().live(34, each).judge().findings
    assert finding.severity == severity


def test_one_of_several_pools() -> None:
    """A pool is not excused by another that has idle threads; the worst is told, and all are listed."""
    one = Life(PoolSaturationDetector)
    one.pools = (
        PoolVitals("images", 2, 2, 60),
        PoolVitals("mail", 1, 1, 20),
        PoolVitals("asyncio", 20, 1, 0),
    )
    (finding,) = one.live(40).judge().findings
    assert finding.evidence["pool"] == "images"
    assert "`images`" in finding.summary
    assert [pool["pool"] for pool in finding.evidence["pools"]] == ["images", "mail", "asyncio"]


def test_held_is_a_setting() -> None:
    """Longer than the samples of a minute go back, and shorter than the default."""
    long = Life(PoolSaturationDetector, Settings(workers=Workers(pool_held=300.0)))
    assert long.live(290, backlog(40)).found == []
    assert long.live(40, backlog(40)).found
    settings = Settings(sampling=Sampling(interval=0.5), workers=Workers(pool_held=2.0))
    short = Life(PoolSaturationDetector, settings)
    short.step = 0.5
    assert short.live(3, backlog(40)).found


def test_states() -> None:
    """Why it does not fire: its numbers, or what it lacks."""
    assert Life(PoolSaturationDetector).look().state.reason == "it has no executor with threads"
    assert life().judge().state.reason == "1 of 4 threads are busy, 0 calls wait"
    watching = life().live(10, backlog(40)).judge().state
    assert (watching.state, watching.reason) == (
        "watching",
        "pool `asyncio`: all 4 threads busy, 40 to 40 calls waiting over 8 s; held for 8 of 30 s",
    )
    drains = life().live(40, backlog(4000, -20)).judge().state
    assert drains.reason.endswith("but it shrinks, and is empty in 162 s as it does now")
    short = life().live(40, backlog(3)).judge().state
    assert short.reason.endswith("but at times less than a call for each thread, and no more than before")
    blind = Life(PoolSaturationDetector)
    blind.probed = False
    assert blind.look().state.reason == "only a probe tells of executors: this worker publishes no segment"
