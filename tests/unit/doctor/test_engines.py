"""Which engines are told of a process, and which of them would be used."""

from __future__ import annotations

from support.engine import FakeEngine

from vitalsd.capture.breaker import Breaker
from vitalsd.capture.engines.registry import Fit
from vitalsd.doctor.engines import engine_facts

CAN = Fit(True, "it can")
FOREIGN = Fit(False, "it knows Python, and this is node", foreign=True)


def facts(*fits: tuple[str, Fit], breakers: tuple[Breaker, ...] = ()) -> dict[str, tuple[bool, str | None]]:
    """Engine -> whether it would be used, and why it is left alone."""
    rungs = [(FakeEngine(name), fit) for name, fit in fits]
    return {each.engine: (each.chosen, each.left_alone) for each in engine_facts("cpu", rungs, breakers)}


def test_those_of_another_runtime_are_left_out() -> None:
    """Nobody asks what py-spy would do for Node; where there is nothing else, that is the reason."""
    assert facts(("py-spy", FOREIGN), ("v8", CAN)) == {"v8": (True, None)}
    assert facts(("py-spy", FOREIGN)) == {"py-spy": (False, None)}


def test_what_holds_the_service_comes_last() -> None:
    """As it does when it is asked for."""
    found = facts(("v8", Fit(True, "it can", holds_seconds=0.7)), ("perf", CAN))
    assert {name for name, (chosen, _) in found.items() if chosen} == {"perf"}


def test_what_is_left_alone_is_not_used() -> None:
    """For this kind, or for all, as agents of before say it; not for another."""
    for kind, alone in (("cpu", True), (None, True), ("heap", False)):
        breaker = Breaker("shop", "v8", 1799.2, "it failed there twice", kind)
        found = facts(("v8", CAN), ("perf", CAN), breakers=(breaker,))
        assert found["v8"] == ((False, "for another 30m, since it failed there twice") if alone else (True, None))
        assert found["perf"][0] is alone
