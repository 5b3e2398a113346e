"""
Which engine takes a capture: the best that fits and that the policy lets, else why there is none. Pure.

Where allocations cannot be tracked, since that needs memory that is not there, what lives in the process is
counted instead: less, but nothing that could end the service. What is known to hold the service comes last,
whatever it can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from vitalsd.capture.engines.registry import Engine, Fit
from vitalsd.capture.model import Refusal

__all__ = ["Choice", "choose"]

OF_ONE_ENGINE = frozenset({"headroom", "own_memory", "breaker", "threads", "busy", "hold"})
"""Another may do; any other reason holds for all of them."""


class Choice(msgspec.Struct, frozen=True):
    """The engine to use."""

    engine: Engine
    instead: str | None = None
    """Why it is not one that is better."""
    holds_seconds: float | None = None
    """For how long it is known to hold the service, about."""


def choose(
    rungs: Iterable[tuple[Engine, Fit]], refuse: Callable[[Engine, Fit], Refusal | None], what: str
) -> Choice | Refusal:
    """From the best rung down; `refuse` is told the engine and what it says of itself."""
    ranked = [(engine, fit) for engine, fit in rungs if not fit.foreign]
    refused: Refusal | None = None
    unfit: dict[str, list[str]] = {}
    better = []
    for engine, fit in sorted(ranked, key=_holds):
        if not fit.fits:
            better.append(f"{engine.name}: {fit.why}")
            unfit.setdefault(f"{fit.why}: {fit.advice}" if fit.advice else fit.why, []).append(engine.name)
            continue
        reason = refuse(engine, fit)
        if reason is None:
            spared = [_spares(*each) for each in ranked[: ranked.index((engine, fit))] if _holds(each)]
            return Choice(engine, "; ".join(spared + better) or None, fit.holds_seconds)
        if reason.word not in OF_ONE_ENGINE:
            return reason
        better.append(f"{engine.name}: {reason.sentence}")
        refused = refused or reason
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in unfit.items())
    return refused or Refusal("engine", reasons or f"there is no engine for `{what}`")


def _holds(rung: tuple[Engine, Fit]) -> bool:
    return rung[1].fits and rung[1].holds_seconds is not None


def _spares(engine: Engine, fit: Fit) -> str:
    return f"{engine.name}: it would hold the process for some {fit.holds_seconds:.1f} s"
