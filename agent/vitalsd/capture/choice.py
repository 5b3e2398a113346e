"""
Which engine takes a capture: the best that fits and that the policy lets, else why there is none. Pure.

Where allocations cannot be tracked, since that needs memory that is not there, what lives in the process is
counted instead: less, but nothing that could end the service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from vitalsd.capture.engines.registry import Engine, Fit
from vitalsd.capture.model import Refusal

__all__ = ["Choice", "choose"]

OF_ONE_ENGINE = frozenset({"headroom", "breaker", "threads", "busy", "hold"})
"""Another may do; any other reason holds for all of them."""


class Choice(msgspec.Struct, frozen=True):
    """The engine to use."""

    engine: Engine
    instead: str | None = None
    """Why it is not one that is better."""


def choose(
    rungs: Iterable[tuple[Engine, Fit]], refuse: Callable[[Engine, Fit], Refusal | None], what: str
) -> Choice | Refusal:
    """From the best rung down; `refuse` is told the engine and what it says of itself."""
    refused: Refusal | None = None
    unfit: dict[str, list[str]] = {}
    better = []
    for engine, fit in rungs:
        if not fit.fits:
            better.append(f"{engine.name}: {fit.why}")
            unfit.setdefault(f"{fit.why}: {fit.advice}" if fit.advice else fit.why, []).append(engine.name)
            continue
        reason = refuse(engine, fit)
        if reason is None:
            return Choice(engine, "; ".join(better) or None)
        if reason.word not in OF_ONE_ENGINE:
            return reason
        better.append(f"{engine.name}: {reason.sentence}")
        refused = refused or reason
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in unfit.items())
    return refused or Refusal("engine", reasons or f"there is no engine for `{what}`")
