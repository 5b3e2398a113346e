"""
Finds `worker_down`: a worker that has ended out of order, and a place that nobody takes after one has.

From the ends that are watched and from who sits where. What ends in order, or as the remedy has asked for, is
none, whether somebody follows it or not: reloads, rolling restarts, fewer workers, `max_requests`, a service that
is stopped. Of a place that is empty after an end of which nobody knows how it was, it is told where nothing else
explains it, and as a warning. Nothing is told of what was before the agent.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitalsd.detect.ends import (
    TOLD_SECONDS,
    as_evidence,
    by_what,
    disordered,
    fired_in,
    how,
    in_a_loop,
    is_settled,
    lived,
    nothing_in,
    successor,
    was_stopped,
    who,
)
from vitalsd.detect.registry import Judgement, SeenTarget, register_for_target
from vitalsd.detect.words import duration
from vitalsd.model import IN_ORDER, OUT_OF_ORDER, SUPERVISOR, Exit, Finding, SupervisorKind, WorkerKey
from vitalsd.settings.model import Settings

__all__ = ["WorkerDownDetector", "of_service"]

AT_ONCE_SECONDS = 0.1
REPLACES: frozenset[SupervisorKind] = frozenset(("gunicorn", "uvicorn", "celery", "uwsgi"))
"""Kinds that replace whoever they miss: where they do not, they were told to have fewer."""


@register_for_target
class WorkerDownDetector:
    """The rule `worker_down`."""

    kind = "worker_down"

    def __init__(self, settings: Settings) -> None:
        self._down_after = settings.workers.down_after
        self._loop = settings.workers.crash_loop_exits, settings.workers.crash_loop_within

    def judge(self, seen: SeenTarget) -> Sequence[Judgement]:
        """Each place of the target, and its supervisor where that has ended."""
        ends = disordered(seen)
        looping = in_a_loop(ends, *self._loop)
        loops_now = bool(looping) and 0 <= seen.now - looping[-1].ended_at <= self._loop[1]
        single = {end.key for end in ends} - {end.key for end in looping}
        judged = []
        for slot in (SUPERVISOR, *(worker.slot for worker in seen.latest.workers)):
            of_slot = [end for end in seen.latest.exits if end.slot == slot]
            if slot == SUPERVISOR and not of_slot:
                continue
            judged.append(self._place(seen, slot, of_slot, single, loops_now))
        return self._one_for_all(seen, judged)

    def is_quiet(self, seen: SeenTarget) -> bool:
        """Where nobody has ended of late, there is nothing."""
        return not seen.latest.exits

    def _one_for_all(self, seen: SeenTarget, judged: list[Judgement]) -> list[Judgement]:
        """Where the supervisor is missed, so are its workers: that is one thing to tell."""
        missed = judged and judged[0].state.worker == SUPERVISOR and _is_critical(judged[0])
        if not missed:
            return judged
        reason = "its supervisor is gone, which is told of the target"
        return [
            judgement
            if judgement.state.worker == SUPERVISOR or not judgement.findings
            else nothing_in(self.kind, seen, judgement.state.worker, "watching", reason)
            for judgement in judged
        ]

    def _place(
        self, seen: SeenTarget, slot: str, of_slot: list[Exit], single: set[WorkerKey], loops_now: bool
    ) -> Judgement:
        """One slot: whether it is missed, else whether somebody has just ended there out of order."""
        latest = of_slot[-1] if of_slot else None
        if latest is None:
            empty = any(worker.slot == slot and worker.key is None for worker in seen.latest.workers)
            reason = "its worker went before this agent has watched it" if empty else "its worker has not ended"
            return nothing_in(self.kind, seen, slot, "quiet", reason)
        if successor(seen, latest) is None and self._is_missed(seen, latest):
            return self._missed(seen, latest, loops_now)
        fresh = [
            end
            for end in of_slot
            if end.key in single and end.reason != "oom_kill" and 0 <= seen.now - end.ended_at <= TOLD_SECONDS
        ]
        settled = [end for end in fresh if is_settled(seen, end)]
        if settled and not loops_now:
            return fired_in(self._ended(seen, settled[-1], len(settled)))
        told = f"the last one {how(latest)} {lived(latest.lived_seconds)}, {latest.reason}: {latest.evidence}"
        return nothing_in(self.kind, seen, slot, "watching" if fresh or loops_now else "quiet", told)

    def _is_missed(self, seen: SeenTarget, latest: Exit) -> bool:
        """Whether an empty place is one that somebody should have."""
        return latest.reason not in IN_ORDER and not was_stopped(seen, latest)

    def _missed(self, seen: SeenTarget, latest: Exit, loops_now: bool) -> Judgement:
        waited = seen.now - latest.ended_at
        told = f"it {how(latest)} {duration(waited)} ago and has no successor"
        if loops_now:
            return nothing_in(self.kind, seen, latest.slot, "watching", f"{told}: see `crash_loop`")
        if latest.reason == "unknown":
            reason = self._unknown(seen, latest)
            if reason is not None:
                return nothing_in(self.kind, seen, latest.slot, "unavailable", f"{told}: {reason}")
        if waited >= self._down_after:
            return fired_in(self._not_replaced(seen, latest, waited))
        if latest.reason in OUT_OF_ORDER and latest.reason != "oom_kill" and is_settled(seen, latest):
            return fired_in(self._ended(seen, latest, 1))
        return nothing_in(self.kind, seen, latest.slot, "watching", f"{told}; told after {self._down_after:g} s")

    def _unknown(self, seen: SeenTarget, latest: Exit) -> str | None:
        """Why nothing is told of a place that is empty after an end of which nobody knows how it was."""
        if not any(worker.up for worker in seen.latest.workers):
            return f"whether the service was stopped is not known ({latest.evidence})"
        above = seen.latest.supervisor
        if above is not None and above.kind in REPLACES:
            return f"{above.kind} replaces whoever it misses, so it was told to have fewer, as far as can be known"
        return None

    def _ended(self, seen: SeenTarget, end: Exit, count: int) -> Finding:
        """One that has ended out of order, and what came of it."""
        follows = successor(seen, end)
        if follows is not None:
            at_once = follows.after_seconds < AT_ONCE_SECONDS
            soon = "at once" if at_once else f"after {duration(follows.after_seconds)}"
            after = f"pid {follows.pid} took its place {soon}"
        else:
            after = "nobody has taken its place yet"
        return Finding(
            kind=self.kind,
            target=seen.latest.name,
            worker=end.slot,
            severity="warning",
            at=end.ended_at,
            started_at=end.ended_at,
            summary=(
                f"{who(end)} of `{seen.latest.name}` (pid {end.key.own_number}) {how(end)} "
                f"{lived(end.lived_seconds)}; {after}: {_advice(end)}."
            ),
            fault=_fault(end),
            evidence={
                "exit": as_evidence(end),
                "replaced_by": follows.pid if follows is not None else None,
                "replaced_after_seconds": follows.after_seconds if follows is not None else None,
                "ends": count,
                "reason": end.evidence,
            },
        )

    def _not_replaced(self, seen: SeenTarget, end: Exit, waited: float) -> Finding:
        """One that nobody follows."""
        up = sum(worker.up for worker in seen.latest.workers)
        left = f"{up} of its workers {'runs' if up == 1 else 'run'}" if up else "none of its workers runs"
        above = seen.latest.supervisor
        if end.slot == SUPERVISOR or not up:
            act = "start the service again, and see its log"
        elif above is not None:
            act = f"see the log of its supervisor ({above.kind}, pid {above.key.pid})"
        else:
            act = "see the log of the service"
        empty = f"nobody has taken its place, and {left}; {act}"
        return Finding(
            kind=self.kind,
            target=seen.latest.name,
            worker=end.slot,
            severity="critical" if end.reason != "unknown" else "warning",
            at=seen.now,
            started_at=end.ended_at,
            summary=f"{who(end)} of `{seen.latest.name}` {how(end)} {lived(end.lived_seconds)}; {empty}.",
            advice=empty,
            fault=_fault(end),
            evidence={
                "exit": as_evidence(end),
                "replaced_by": None,
                "replaced_after_seconds": None,
                "down_seconds": round(waited, 1),
                "workers_up": up,
                "reason": end.evidence,
            },
        )


def of_service(target: str, end: Exit) -> Finding:
    """The end of a whole service, out of order, by an agent that ends with it: nobody waits for a successor."""
    act = "its agent has ended with it; start it again, and see what it has logged last"
    return Finding(
        kind="worker_down",
        target=target,
        worker=end.slot,
        severity="critical",
        at=end.ended_at,
        started_at=end.ended_at,
        summary=f"`{target}` (pid {end.key.own_number}) {how(end)} {lived(end.lived_seconds)}; {act}.",
        advice=act,
        fault=_fault(end),
        evidence={"exit": as_evidence(end), "replaced_by": None, "reason": end.evidence},
    )


def _is_critical(judgement: Judgement) -> bool:
    return any(finding.severity == "critical" for finding in judgement.findings)


def _fault(end: Exit) -> str:
    """What makes it one incident of a place: the same end again, and that the place stays empty after it."""
    return end.reason if end.reason in ("timeout", "oom_kill", "unknown") else next(iter(by_what([end])))


def _advice(end: Exit) -> str:
    if end.reason == "timeout":
        return "its supervisor has ended it for its silence, see `worker_hung` for what it was at"
    if end.heap_limit_bytes is not None:
        return (
            "see its `heap_exhaustion` for what fills the heap, and raise --max-old-space-size if there is memory"
        )
    if end.reason == "error":
        return "see what it has logged last"
    if end.signal == "SIGKILL":
        return "find out who kills it: no counter of the kernel tells of memory"
    return "native code has failed: look for a core dump, and at the extension that changed last"
