"""Which engine is chosen: the best that fits and is let, a lighter one where that has no room."""

from __future__ import annotations

from typing import Literal

import pytest

from vitalsd.capture.choice import Choice, choose
from vitalsd.capture.engines.registry import Fit, Job, Made, Subject
from vitalsd.capture.model import CaptureKind, Refusal, RefusalWord


class Named:
    """An engine that is never used."""

    kind: CaptureKind = "memory"
    rank = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def fit(self, _subject: Subject) -> Fit:
        """Not asked here."""
        raise NotImplementedError

    async def take(self, _job: Job) -> Made:
        """Not asked here."""
        raise NotImplementedError


def rung(
    name: str,
    *,
    fits: bool = True,
    weight: Literal["light", "heavy"] = "light",
    holds: float | None = None,
    foreign: bool = False,
) -> tuple[Named, Fit]:
    """One engine, and what it says of the process."""
    why = f"{name} can" if fits else f"{name} cannot"
    return Named(name), Fit(fits, why, weight=weight, holds_seconds=holds, foreign=foreign)


def told(rungs: list[tuple[Named, Fit]], refused: dict[str, RefusalWord]) -> str:
    """The engine that is chosen, else the word of the refusal."""
    choice = choose(
        rungs,
        lambda engine, _fit: Refusal(refused[engine.name], engine.name) if engine.name in refused else None,
        "memory",
    )
    return choice.engine.name if isinstance(choice, Choice) else choice.word


def test_best_first() -> None:
    """The first that fits is taken."""
    assert told([rung("a", fits=False), rung("b"), rung("c")], {}) == "b"
    assert told([rung("a", fits=False)], {}) == "engine"
    assert told([], {}) == "engine"


@pytest.mark.parametrize("word", ["headroom", "own_memory", "breaker", "threads"])
def test_what_concerns_one_engine(word: RefusalWord) -> None:
    """Another engine may do where it is only this one that must not."""
    rungs = [rung("heavy", weight="heavy"), rung("light")]
    assert told(rungs, {"heavy": word}) == "light"
    assert told(rungs, {"heavy": word, "light": word}) == word


@pytest.mark.parametrize("word", ["stopped", "cooldown", "budget", "overload", "disk", "gone"])
def test_what_concerns_all(word: RefusalWord) -> None:
    """What is true of the worker or of the host is true of every engine: no other is tried."""
    assert told([rung("heavy", weight="heavy"), rung("light")], {"heavy": word}) == word


def test_says_why_not_the_better_one() -> None:
    """A lighter form says what was in the way of the better."""
    choice = choose(
        [rung("heavy", weight="heavy"), rung("light")],
        lambda _engine, fit: Refusal("headroom", "30 MiB are left") if fit.weight == "heavy" else None,
        "memory",
    )
    assert isinstance(choice, Choice)
    assert (choice.engine.name, choice.instead) == ("light", "heavy: 30 MiB are left")
    choice = choose([rung("a", fits=False), rung("b")], lambda _engine, _fit: None, "memory")
    assert isinstance(choice, Choice)
    assert (choice.engine.name, choice.instead) == ("b", "a: a cannot")


def test_what_holds_the_service_comes_last() -> None:
    """Whatever its rank: the choice says what was spared the service, or for how long it will be held."""
    rungs = [rung("v8", holds=0.63), rung("perf")]
    choice = choose(rungs, lambda _engine, _fit: None, "cpu")
    assert isinstance(choice, Choice)
    assert (choice.engine.name, choice.holds_seconds) == ("perf", None)
    assert choice.instead == "v8: it would hold the process for some 0.6 s"
    alone = choose([rung("v8", holds=0.63), rung("perf", fits=False)], lambda _engine, _fit: None, "cpu")
    assert isinstance(alone, Choice)
    assert (alone.engine.name, alone.holds_seconds) == ("v8", 0.63)
    assert alone.instead == "perf: perf cannot"
    assert told(rungs, {"perf": "breaker"}) == "v8"
    assert told(rungs, {"perf": "breaker", "v8": "hold"}) == "breaker"


def test_an_engine_of_another_runtime_is_missed_by_nobody() -> None:
    """It is no better one, and no reason why there is none."""
    foreign = rung("py-spy", fits=False, foreign=True)
    choice = choose([foreign, rung("v8")], lambda _engine, _fit: None, "cpu")
    assert isinstance(choice, Choice)
    assert choice.instead is None
    none = choose([foreign, rung("v8", fits=False)], lambda _engine, _fit: None, "cpu")
    assert none == Refusal("engine", "v8: v8 cannot")


def test_reasons_of_all() -> None:
    """Where none fits, each says why."""
    choice = choose([rung("a", fits=False), rung("b", fits=False)], lambda _engine, _fit: None, "memory")
    assert choice == Refusal("engine", "a: a cannot; b: b cannot")
    assert choose([], lambda _engine, _fit: None, "memory") == Refusal("engine", "there is no engine for `memory`")


def test_what_to_do_is_said_once() -> None:
    """With the reason; engines that lack the same thing are named together."""
    lacks = Fit(False, "there is no probe in process 7", "start it with `vitalsd run`")
    rungs = [(Named("memray"), lacks), (Named("census"), lacks), rung("other", fits=False)]
    choice = choose(rungs, lambda _engine, _fit: None, "memory")
    assert choice == Refusal(
        "engine",
        "memray, census: there is no probe in process 7: start it with `vitalsd run`; other: other cannot",
    )
