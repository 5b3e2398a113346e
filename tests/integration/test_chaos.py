"""What is done to the agent, its files and its captures costs no service a request, and nobody an incident."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.chaos import captures, suite
from bench.chaos.fault import Fault, Result
from bench.chaos.scene import Scene, Services, besiege, services


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
    found = Result(fault)
    besiege(found, both, quick=True)
    assert found.requests > 0 and found.made > 2
    assert (found.unanswered, found.stopped, found.lost) == (0, 0, [])


@pytest.mark.slow
def test_what_the_bench_fails_at_costs_the_rest_of_one_fault() -> None:
    """It is told of that one, with what is known of it; the next is asked for all the same."""

    def fail(scene: Scene) -> None:
        scene.stall()
        raise KeyError("a surprise")

    faults = [Fault("a bench that fails", "once", rounds=1, quick_rounds=1, run=fail)] * 2
    found = list(suite.results(faults, quick=True))
    assert [each.broken for each in found] == ["KeyError: 'a surprise'"] * 2
    assert [each.made for each in found] == [2, 2]
    assert all(each.requests > 2 and not each.unanswered for each in found)
    beside, whole = suite.HEADINGS.index("lost beside"), suite.HEADINGS.index("whole again after")
    rows = [(row[beside], row[whole]) for row in suite.rows(found)]
    assert rows == [("the bench failed: KeyError: 'a surprise'", "never")] * 2
