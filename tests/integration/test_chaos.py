"""What is done to the agent, its files and its captures costs no service a request, and nobody an incident."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.chaos import captures, suite
from bench.chaos.fault import Fault
from bench.chaos.scene import Services, besiege, services


@pytest.mark.slow
def test_one_of_each_in_the_middle_of_a_capture(capsys: pytest.CaptureFixture[str]) -> None:
    """Every request is answered, nothing is left stopped or by half, and the next capture works."""
    figures = {figure.name: figure.value for figure in captures.run(quick=True)}
    said = capsys.readouterr().out
    assert figures["requests"] > 0
    assert {name: figures[name] for name in captures.BARS} == dict.fromkeys(captures.BARS, 0), said


@pytest.fixture(scope="module")
def both() -> Iterator[Services]:
    """The services of all rounds."""
    with services() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("fault", suite.FAULTS, ids=lambda fault: fault.name)
def test_a_round_of_each_fault(both: Services, fault: Fault) -> None:
    """No request of a service fails, and every stall is told and stored."""
    lacking = fault.needs()
    if lacking:
        pytest.skip(lacking)
    found = besiege(fault, both, quick=True)
    assert found.requests > 0 and found.made > 2
    assert (found.unanswered, found.stopped, found.lost) == (0, 0, [])
