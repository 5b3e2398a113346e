"""
What each engine says of a process, and which would take a capture that a person asks for now.

Nothing is captured, and of the policy only the breakers are asked: what else it goes by changes by the minute.
Engines that are for another runtime are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vitalsd.capture.breaker import Breaker
from vitalsd.capture.choice import Choice, choose
from vitalsd.capture.engines.registry import Engine, Fit, Subject, ladder, make_engines
from vitalsd.capture.model import KINDS, CaptureKind, Refusal
from vitalsd.doctor.facts import EngineFacts
from vitalsd.settings.model import Settings
from vitalsd.settings.units import format_duration

__all__ = ["engine_facts", "for_another", "look_at_engines"]


def look_at_engines(
    settings: Settings, subject: Subject, breakers: Sequence[Breaker] = ()
) -> tuple[EngineFacts, ...]:
    """By kind, in the order of their ranks; `breakers` are those of the target that the process belongs to."""
    engines = make_engines(settings)
    return tuple(fact for kind in KINDS for fact in engine_facts(kind, ladder(engines, kind, subject), breakers))


def engine_facts(
    kind: CaptureKind, rungs: Sequence[tuple[Engine, Fit]], breakers: Sequence[Breaker]
) -> list[EngineFacts]:
    """Of one kind; where all are for another runtime, they say so."""
    own = [(engine, fit) for engine, fit in rungs if not fit.foreign] or rungs
    alone = {
        each.engine: f"{for_another(each)}, since {each.reason}" for each in breakers if each.kind in (None, kind)
    }

    def refuse(engine: Engine, _fit: Fit) -> Refusal | None:
        return Refusal("breaker", alone[engine.name]) if engine.name in alone else None

    choice = choose(own, refuse, kind)
    chosen = choice.engine if isinstance(choice, Choice) else None
    return [
        EngineFacts(kind, engine.name, fit.fits, fit.why, fit.advice, engine is chosen, alone.get(engine.name))
        for engine, fit in own
    ]


def for_another(breaker: Breaker) -> str:
    """`for another 59m12s`."""
    return f"for another {format_duration(max(1, math.ceil(breaker.rest_seconds)))}"
