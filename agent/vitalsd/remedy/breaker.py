"""
When recycling goes on and when it stops, from the recyclings of before alone: backoff, breaker, and its last try.

Pure. Nothing here has a state of its own, so what is kept of recyclings is all that a restarted agent must know. A
recycling that is not judged yet counts as one that may not have helped: so there are never more than
`remedy.breaker` of them before one is known to have.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.remedy.model import Recycling
from vitalsd.settings.model import Remedy

__all__ = ["Breaker", "breaker_of"]

LOST_TIMES = 24
"""So much longer it rests where nobody has taken a place: each further one might shrink the pool for good."""


class Breaker(msgspec.Struct, frozen=True):
    """What the recyclings of a target come to."""

    failures: int
    """How many in a row have not helped."""
    pending: tuple[Recycling, ...]
    """Those that are not judged yet."""
    opened_at: float | None
    """Since when nothing is recycled; None where it is."""
    backoff_seconds: float
    """What is left of the pause since the last one."""

    left: int
    """How many more may be begun before another is judged."""
    rest_seconds: float
    """How long it stays open."""
    lost: str | None = None
    """The slot that nobody has taken again, where that is why."""


def breaker_of(
    recyclings: Sequence[Recycling], settings: Remedy, now: float, supervisor: WorkerKey | None = None
) -> Breaker:
    """The recyclings of one target, first asked for first, and who starts its workers now."""
    pending = tuple(each for each in recyclings if each.outcome is None)
    failed = _failed_last(recyclings)
    lost = bool(failed) and _is_lost(failed[-1], supervisor)
    trips = len(failed) >= settings.breaker or lost
    judged_at = failed[-1].judged_at or failed[-1].asked_at if failed else 0.0
    rest = settings.breaker_resets_after * (LOST_TIMES if lost else 1)
    is_over = trips and _age(judged_at, now) >= rest
    wait = min(settings.backoff * 2 ** min(len(failed), 32), settings.backoff_most)
    since = _age(recyclings[-1].over_at, now) if recyclings else wait
    allowed = 1 if is_over else 0 if trips else settings.breaker - len(failed)
    return Breaker(
        failures=len(failed),
        pending=pending,
        opened_at=judged_at if trips and not is_over else None,
        backoff_seconds=max(0.0, wait - since),
        left=max(0, allowed - len(pending)),
        rest_seconds=rest,
        lost=failed[-1].worker if lost else None,
    )


def _failed_last(recyclings: Sequence[Recycling]) -> list[Recycling]:
    """Those since the last one that has helped which have not, first judged first."""
    failed: list[Recycling] = []
    for each in reversed(recyclings):
        if each.outcome == "helped":
            break
        if _has_failed(each):
            failed.append(each)
    return sorted(failed, key=lambda each: each.judged_at or 0.0)


def _has_failed(recycling: Recycling) -> bool:
    """It did not help, or the worker could not be made to end: what cannot be done is not tried for ever."""
    if recycling.outcome == "unknown":
        return recycling.ended_at is None
    return recycling.outcome in ("did_not_help", "not_replaced")


def _is_lost(recycling: Recycling, supervisor: WorkerKey | None) -> bool:
    """
    Whether the supervisor that is there now has not replaced a worker.

    Of one that is gone, as in a deployment, it counts as any other that did not help.
    """
    unknown = recycling.supervisor is None or supervisor is None
    return recycling.outcome == "not_replaced" and (unknown or recycling.supervisor == supervisor)


def _age(at: float, now: float) -> float:
    """A time in the future, since a clock was set back, counts as if it lay as far in the past."""
    return abs(now - at)
