"""Stalls of known cause, told by a real agent beside a real service, with the probe inside and without."""

from __future__ import annotations

import shutil

import pytest
from bench.causes import play
from bench.judged import Score
from bench.scenarios import NODE, PYTHON, WAYS
from support.crowded import BUSY_HOST, MOST_WITHHELD

STALLS = 3
NODE_CONTROLS = ["control_saturated", "control_busy", "control_start", "control_worker"]
CONTROLS = ["control_idle", "control_start", "control_saturated", "control_spinning", "control_spinning uvloop"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", ["blocking_cpu", "blocking_socket", "gil_held", "lock_wait"])
def test_cause_and_culprit(scenario: str, way: str) -> None:
    """The incident has the cause and the function to blame; how often that is right is for `bench causes`."""
    score = _told(play(PYTHON, scenario, way, STALLS))
    assert score.culprits >= STALLS - 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", CONTROLS)
def test_nothing_is_wrong(scenario: str, way: str) -> None:
    """A healthy service opens no incident, however busy it is, and is told to be healthy all the time."""
    if scenario.endswith("uvloop"):
        pytest.importorskip("uvloop")
    score = play(PYTHON, scenario, way, STALLS)
    assert score is not None
    _nothing_is_wrong(score)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
@pytest.mark.parametrize("scenario", ["blocking_child", "blocking_fifo", "regex", "lock_wait", "disk_io"])
def test_cause_in_node_from_outside(scenario: str) -> None:
    """Without a probe too each stall of a Node service is found, with its cause."""
    _told(play(NODE, scenario, "zero-touch", STALLS))


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
@pytest.mark.parametrize("scenario", ["blocking_async", "nexttick_flood", "promise_flood", "gc_pause", "stopped"])
def test_cause_in_node_with_the_probe(scenario: str) -> None:
    """What nothing but Node itself can tell: a long callback, a flood of short ones, a collection; or a stop."""
    score = _told(play(NODE, scenario, "probe", STALLS))
    assert score.culprits >= score.culprits_asked - 1


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
@pytest.mark.parametrize("scenario", NODE_CONTROLS)
def test_nothing_is_wrong_in_node_from_outside(scenario: str) -> None:
    """A healthy Node service opens no incident either: that its loop turns is told by libuv's own count."""
    score = play(NODE, scenario, "zero-touch", STALLS)
    assert score is not None
    _nothing_is_wrong(score)


def _told(score: Score | None) -> Score:
    """Each of its stalls is found with its cause, but for one."""
    assert score is not None
    assert score.found >= STALLS - 1
    if score.causes < STALLS - 1 and score.withheld_share > MOST_WITHHELD:
        pytest.skip(f"others had the processors for {score.withheld_share:.0%} of the time: {score.mistaken}")
    assert score.causes >= STALLS - 1
    return score


def _nothing_is_wrong(score: Score) -> None:
    if (score.mistaken or score.unhealthy) and score.withheld_share > MOST_WITHHELD:
        pytest.skip(f"others had the processors for {score.withheld_share:.0%} of the time: {score.mistaken}")
    if score.mistaken and set(score.mistaken) <= {f"stall:{cause}" for cause in BUSY_HOST}:
        pytest.skip(f"others had the processors, and it was told so: {score.mistaken}")
    assert (score.mistaken, score.unhealthy) == ([], [])
    assert score.healthy > 0
