"""Stalls of known cause, told by a real agent beside a real service, with the probe inside and without."""

from __future__ import annotations

import pytest
from bench import causes

STALLS = 3


@pytest.mark.parametrize("way", causes.WAYS)
@pytest.mark.parametrize("scenario", ["blocking_cpu", "blocking_socket", "gil_held", "lock_wait"])
def test_cause_and_culprit(scenario: str, way: str) -> None:
    """The incident has the cause and the function to blame; how often that is right is for `bench causes`."""
    score = causes._play(scenario, way, STALLS)
    assert score is not None
    assert score.found >= STALLS - 1
    assert score.causes >= STALLS - 1
    assert score.culprits >= STALLS - 1


@pytest.mark.parametrize("way", causes.WAYS)
@pytest.mark.parametrize("scenario", ["control_idle", "control_start"])
def test_nothing_is_wrong(scenario: str, way: str) -> None:
    """A healthy service opens no incident."""
    score = causes._play(scenario, way, STALLS)
    assert score is not None
    assert score.mistaken == []
