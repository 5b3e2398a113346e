"""
The ends of a target's workers as its detectors see them: which were out of order, who has followed whom. Pure.

A service that is stopped takes its workers along, and not all of them go gently: gunicorn kills those that are
still at work when its patience is over, the kernel kills what is left of a container. So an end that is near its
supervisor's, when that has ended in order, is none of the worker's own. But some supervisors end in order because
a worker has failed (hypercorn): where they do not kill by themselves, the first to end is the cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from vitalsd.detect.growth.words import size
from vitalsd.detect.registry import Judgement, SeenTarget, StateName
from vitalsd.detect.words import duration
from vitalsd.model import (
    IN_ORDER,
    OUT_OF_ORDER,
    SUPERVISOR,
    Exit,
    Finding,
    RuleState,
    Supervisor,
    SupervisorKind,
    WorkerKey,
)
from vitalsd.ticks import TICKS

__all__ = [
    "TOLD_SECONDS",
    "Successor",
    "as_evidence",
    "by_what",
    "disordered",
    "fired_in",
    "how",
    "in_a_loop",
    "is_settled",
    "lived",
    "lives",
    "nothing_in",
    "successor",
    "was_stopped",
    "who",
]

STOPPED_WITHIN_SECONDS = 5.0
"""Before or after their supervisor."""
KILLS: frozenset[SupervisorKind] = frozenset(("gunicorn", "celery", "uwsgi"))
"""Who kills its own workers when they take too long to stop."""
SETTLED_SECONDS = 1.0
"""By then a supervisor that stops has ended, and one that goes on has replaced it."""
CELERY_SETTLED_SECONDS = 5.0
"""
celery takes seconds to stop, and is rough with its own meanwhile: it kills some, and with max_tasks_per_child they
exit with 1. Those that it misses it replaces within a second.
"""
CONSEQUENCE_SECONDS = 2.0
MOST_TOLD = 10
TOLD_SECONDS = 30.0
"""How long one is told anew in each round, so that none is lost between two."""


class Successor(msgspec.Struct, frozen=True):
    """Who has taken the place of a worker that has ended."""

    pid: int
    after_seconds: float
    """From the end to the start of its process; 0 for one that was there before."""


def fired_in(finding: Finding) -> Judgement:
    """Something was found in a target."""
    return Judgement((finding,), RuleState(finding.kind, finding.target, finding.worker, "fired", finding.summary))


def nothing_in(kind: str, seen: SeenTarget, worker: str, state: StateName, reason: str) -> Judgement:
    """Nothing was found, and why."""
    return Judgement((), RuleState(kind, seen.latest.name, worker, state, reason))


def successor(seen: SeenTarget, end: Exit) -> Successor | None:
    """Who has the slot of this worker now, or had it next; of a supervisor, the next one."""
    after = [each for each in seen.latest.exits if each.slot == end.slot and each.ended_at > end.ended_at]
    if after:
        return _followed(end, after[0].key)
    if end.slot == SUPERVISOR:
        above = seen.latest.supervisor
        is_up = any(worker.up for worker in seen.latest.workers)
        return _followed(end, above.key) if above is not None and is_up and _may_follow(end, above) else None
    here = next((worker.key for worker in seen.latest.workers if worker.slot == end.slot), None) or end.followed_by
    return _followed(end, here) if here is not None and here != end.key else None


def _may_follow(end: Exit, above: Supervisor) -> bool:
    """Whether it is another of its kind, or younger: one that was there before adopts, and follows nobody."""
    alike = above.kind == end.supervisor or above.key.start_ticks >= end.key.start_ticks
    return above.key != end.key and alike


def _followed(end: Exit, by: WorkerKey) -> Successor:
    """The kernel counts from the boot when a process began, to a hundredth of a second."""
    later = (by.start_ticks - end.key.start_ticks) / TICKS - (end.lived_seconds or 0.0)
    return Successor(by.pid, max(0.0, round(later, 2)))


def was_stopped(seen: SeenTarget, end: Exit) -> bool:
    """Whether it ended with its supervisor, and that was asked to."""
    if end.slot == SUPERVISOR:
        return False
    near = [
        other
        for other in seen.latest.exits
        if other.reason in IN_ORDER and abs(other.ended_at - end.ended_at) <= STOPPED_WITHIN_SECONDS
    ]
    if not any(other.slot == SUPERVISOR for other in near):
        return False
    return end.supervisor in KILLS or any(other.ended_at <= end.ended_at for other in near)


def is_settled(seen: SeenTarget, end: Exit) -> bool:
    """Whether enough time has passed to tell an end of its own from the stop of everything."""
    above = seen.latest.supervisor
    wait = CELERY_SETTLED_SECONDS if above is not None and above.kind == "celery" else SETTLED_SECONDS
    return seen.now - end.ended_at >= wait or successor(seen, end) is not None


def disordered(seen: SeenTarget) -> list[Exit]:
    """
    The ends out of order, oldest first; of supervisors those that were no consequence of their workers'.

    An application that has forked helpers may kill them, as it may start them: no such end is out of order.
    """
    ends = [each for each in seen.latest.exits if each.reason in OUT_OF_ORDER and not was_stopped(seen, each)]
    if _serves_itself(seen):
        ends = [each for each in ends if each.supervisor is None or each.reason != "signal" or not _killed(each)]
    workers = [each.ended_at for each in ends if each.slot != SUPERVISOR]
    return [
        each
        for each in ends
        if each.slot != SUPERVISOR or not any(0 <= each.ended_at - at <= CONSEQUENCE_SECONDS for at in workers)
    ]


def _serves_itself(seen: SeenTarget) -> bool:
    """Whether who is above the others is a worker as well, and so above nobody once they have ended."""
    above = seen.latest.supervisor
    return above is None or any(worker.key == above.key for worker in seen.latest.workers)


def _killed(end: Exit) -> bool:
    return end.signal == "SIGKILL"


def in_a_loop(ends: Sequence[Exit], count: int, within_seconds: float) -> list[Exit]:
    """Those of which so many lie within so much time."""
    found: set[int] = set()
    for first in range(len(ends) - count + 1):
        if ends[first + count - 1].ended_at - ends[first].ended_at <= within_seconds:
            found |= set(range(first, first + count))
    return [ends[index] for index in sorted(found)]


def who(end: Exit) -> str:
    """`Worker 0`, `The supervisor`."""
    return f"Worker {end.slot}" if end.slot != SUPERVISOR else "The supervisor"


def how(end: Exit) -> str:
    """`was ended by SIGSEGV`, `exited with 3`, to follow a subject."""
    if end.heap_limit_bytes is not None:
        by = end.signal or f"exit with {end.code}"
        return f"was ended by V8 at its heap limit of {size(end.heap_limit_bytes)}, most likely ({by}),"
    if end.signal is not None:
        return f"was ended by {end.signal}"
    return f"exited with {end.code}" if end.code is not None else "ended, nobody knows how,"


def by_what(ends: Iterable[Exit]) -> dict[str, int]:
    """`exit 3` or `SIGSEGV` -> how often, the most frequent first."""
    counts = Counter(end.signal or (f"exit {end.code}" if end.code is not None else "unknown") for end in ends)
    return dict(counts.most_common())


def lived(seconds: float | None) -> str:
    """`after 0.48 s`, `after 3 h 12 min`."""
    return f"after {_long(seconds)}" if seconds is not None else "after an unknown time"


def _median(ordered: Sequence[float]) -> float:
    """Of what is in order already; the library for it would be half a MiB of the agent."""
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def lives(ends: Iterable[Exit]) -> tuple[dict[str, float], str]:
    """How long they were, as numbers and in words."""
    known = sorted(end.lived_seconds for end in ends if end.lived_seconds is not None)
    if not known:
        return {}, "of unknown length"
    told = {"shortest": known[0], "median": round(_median(known), 2), "longest": known[-1]}
    if _long(known[0]) == _long(known[-1]):
        return told, f"of {_long(known[0])}"
    return told, f"of {_long(known[0])} to {_long(known[-1])}"


def _long(seconds: float) -> str:
    if seconds < 60:
        return duration(seconds)
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours >= 48:
        return f"{hours // 24} d"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def as_evidence(end: Exit) -> dict[str, object]:
    """An end as an incident shows it."""
    return {
        "slot": end.slot,
        "pid": end.key.pid,
        "ended_at": end.ended_at,
        "reason": end.reason,
        "code": end.code,
        "signal": end.signal,
        "lived_seconds": end.lived_seconds,
        "told_by": end.told_by,
        "evidence": end.evidence,
    }
