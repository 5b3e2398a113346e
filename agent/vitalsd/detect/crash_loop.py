"""
Finds `crash_loop`: the workers of a target end out of order, again and again, in a short time.

One for the target, whichever of its places they had. A service of a single process that its init restarts counts
as well: each process has the place of the one before. While it goes on, no end is told by itself (`worker_down`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from vitalsd.detect.ends import (
    MOST_TOLD,
    as_evidence,
    by_what,
    disordered,
    fired_in,
    in_a_loop,
    lives,
    nothing_in,
)
from vitalsd.detect.registry import Judgement, SeenTarget, register_for_target
from vitalsd.detect.words import times
from vitalsd.model import SUPERVISOR, Exit, ExitReason, Finding
from vitalsd.settings.model import Settings

__all__ = ["CrashLoopDetector", "steady_seconds"]

MOST_KEPT = 100
"""No more ends than that are remembered, or as many as make a loop."""
ADVICE: dict[ExitReason, str] = {
    "error": "see what they log as they start, and roll back what changed last",
    "signal": "native code fails or somebody kills them: look for core dumps, and roll back what changed last",
    "oom_kill": "give their group more memory or let it have fewer workers",
    "timeout": "they show no life to their supervisor: see `worker_hung` for what they are at",
}


def steady_seconds(seen: SeenTarget, evidence: Mapping[str, object]) -> float | None:
    """For how long all workers of a loop have stayed up by now, where that is as long as a loop is told by."""
    within, slots = evidence.get("within_seconds"), evidence.get("slots")
    if not isinstance(within, int | float) or not isinstance(slots, list):
        return None
    caught = [each for each in seen.latest.workers if not each.vacant and (not slots or each.slot in slots)]
    ages = [seen.now - each.process.started_at if each.up and each.process is not None else 0.0 for each in caught]
    return min(ages) if ages and min(ages) >= within else None


@register_for_target
class CrashLoopDetector:
    """The rule `crash_loop`."""

    kind = "crash_loop"

    def __init__(self, settings: Settings) -> None:
        self._count = settings.workers.crash_loop_exits
        self._within = settings.workers.crash_loop_within

    def judge(self, seen: SeenTarget) -> Sequence[Judgement]:
        """Whether enough of them lie in the time up to now."""
        ends = disordered(seen)
        recent = [end for end in ends if 0 <= seen.now - end.ended_at <= self._within]
        looping = in_a_loop(ends, self._count, self._within)
        # Many that end at once after long lives were ended by one thing: nothing goes round.
        again = any(end.lived_seconds is not None and end.lived_seconds <= self._within for end in recent)
        if len(recent) >= self._count and looping and again:
            return [fired_in(self._finding(seen, recent, looping))]
        span = f"in {self._within:g} s"
        if not recent:
            return [nothing_in(self.kind, seen, "", "quiet", f"no worker has ended out of order {span}")]
        told = f"workers have ended out of order {times(len(recent))} {span}, {self._count} are a loop"
        return [nothing_in(self.kind, seen, "", "watching", told)]

    def is_quiet(self, seen: SeenTarget) -> bool:
        """Where nobody has ended of late, there is nothing."""
        return not seen.latest.exits

    def _finding(self, seen: SeenTarget, recent: list[Exit], looping: list[Exit]) -> Finding:
        since = looping[0]
        for before, after in itertools.pairwise(looping):
            since = after if after.ended_at - before.ended_at > self._within else since
        least = "at least " if len(recent) >= MOST_KEPT and recent[0] is seen.latest.exits[0] else ""
        what, (numbers, length) = by_what(recent), lives(recent)
        reasons = Counter(end.reason for end in recent)
        worst = reasons.most_common(1)[0][0]
        listed = ", ".join(f"{count} by {name}" for name, count in list(what.items())[:3])
        return Finding(
            kind=self.kind,
            target=seen.latest.name,
            worker="",
            severity="critical",
            at=seen.now,
            started_at=since.ended_at,
            summary=(
                f"Workers of `{seen.latest.name}` keep ending: {least}{len(recent)} in {self._within:g} s "
                f"({listed}), after lives {length}; {ADVICE[worst]}."
            ),
            evidence={
                "ends": len(recent),
                "within_seconds": self._within,
                "by": what,
                "reasons": dict(reasons),
                "lives_seconds": numbers,
                "slots": sorted({end.slot for end in recent if end.slot != SUPERVISOR}),
                "exits": [as_evidence(end) for end in recent[-MOST_TOLD:]],
                "reason": recent[-1].evidence,
            },
        )
