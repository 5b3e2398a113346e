"""
Finds `stall`: a loop that was late beyond the threshold, one finding per cause and culprit.

From stalls whose cause is decided already. What only looked like a stall is told in the rule's state alone. The
agent's own are told from `critical` on: a hiccup of its own is counted in the metrics, and is to wake nobody.

Where the host is to blame, all workers of a target have one finding, which is the target's. A loop that had next
to nothing to do, and was not late for long, kept nobody waiting: that is counted, and told in the rule's state.
What a capture of ours has held is told as that, of no cause of the service's, and wakes nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.detect.culprit import COMMON_SHARE, MAX_STACKS, find_culprit, stacks_as_evidence
from vitalsd.detect.holds import HELD, asked_for, held_by, is_as_told
from vitalsd.detect.loops import loops_of, no_loop_reason
from vitalsd.detect.machinery import Origin
from vitalsd.detect.registry import Judgement, Seen, StateName, ToldStall, register
from vitalsd.detect.words import ADVICE, advice, by_cause, duration, place, times
from vitalsd.model import (
    OF_THE_HOST,
    OWN_TARGET,
    EndedStall,
    Finding,
    Hold,
    RuleState,
    Severity,
    Stack,
    StallEvidence,
    Verdict,
)
from vitalsd.settings.model import Settings
from vitalsd.times import rfc3339

__all__ = ["StallBounds", "StallDetector", "find", "idles"]

NOTHING_SECONDS = 0.002
"""Of a processor: a timer of the server's own takes a tenth of this, a request more."""
MOST_OF_IT = 0.5
"""Of a stall: what was seen of it from outside tells what its thread has used."""
CROWDED_SHARE = 0.5
COMPUTED_SHARE = 0.6
"""Of a stall: what computed for less of it was kept waiting by others, and the sentence says so."""
RESTED_SHARE = 0.1
"""Of a stall, on a processor: while so much of the time somebody waited for one, what it waited for did too."""
OWN_HOST_SECONDS = 5.0
"""The agent's own, of a host that did not let it run: whoever watches hears of the services first."""
LATEST = 10
"""Stalls that evidence lists one by one."""


class StallBounds(msgspec.Struct, frozen=True):
    """From when on it is a warning, and critical."""

    threshold_seconds: float = 0.1
    critical_seconds: float = 0.5


def find(
    target: str, worker: str, stalls: Sequence[ToldStall], bounds: StallBounds, holds: Sequence[Hold] = ()
) -> list[Finding]:
    """One finding for each cause and culprit among the stalls that are long enough, and for each hold of ours."""
    groups: dict[tuple[str, str], list[ToldStall]] = {}
    held: list[Finding] = []
    for told in stalls:
        evidence, verdict, started_at = told
        if not verdict.stall or not evidence.seconds >= bounds.threshold_seconds:
            continue
        hold = held_by(holds, started_at, evidence.seconds)
        if hold is not None:
            held.append(_held(target, worker, told, hold))
        if hold is not None or idles(told, bounds):
            continue
        if target == OWN_TARGET and _of_the_host(evidence, verdict) and evidence.seconds < OWN_HOST_SECONDS:
            continue
        culprit = f"{verdict.culprit.file}:{verdict.culprit.function}" if verdict.culprit is not None else ""
        cause = "host" if verdict.cause in OF_THE_HOST else verdict.cause
        groups.setdefault((cause, culprit), []).append(told)
    return [*held, *(_finding(target, worker, group, bounds) for group in groups.values())]


def idles(told: ToldStall, bounds: StallBounds) -> bool:
    """Whether it is the host's, or nobody knows whose, and of a loop that had next to nothing to do."""
    evidence, verdict, _ = told
    unseen = verdict.cause == "unknown" and verdict.culprit is None
    if not (unseen or verdict.cause in OF_THE_HOST) or evidence.seconds >= bounds.critical_seconds:
        return False
    used = _used_seconds(evidence)
    return used is not None and used < NOTHING_SECONDS and (evidence.ready_callbacks or 0) <= 1


def _of_the_host(evidence: StallEvidence, verdict: Verdict) -> bool:
    """Or of nobody: an agent that did not run has not seen why. Its own threads want a processor too."""
    crowded = (evidence.host.cpu_pressure_share or 0.0) >= CROWDED_SHARE
    rested = evidence.cpu_seconds is not None and evidence.cpu_seconds < RESTED_SHARE * evidence.seconds
    unseen = verdict.cause == "unknown" and verdict.culprit is None
    return verdict.cause in OF_THE_HOST or unseen or (crowded and rested)


def _finding(target: str, worker: str, group: list[ToldStall], bounds: StallBounds) -> Finding:
    by_start = sorted(group, key=lambda told: told[2])
    longest, verdict, _ = max(group, key=lambda told: told[0].seconds)
    severity: Severity = "critical" if longest.seconds >= bounds.critical_seconds else "warning"
    return Finding(
        kind="stall",
        target=target,
        worker="" if verdict.cause in OF_THE_HOST else worker,
        severity=severity,
        at=max(started_at + evidence.seconds for evidence, _, started_at in group),
        summary=_summary(target, worker, group),
        cause=verdict.cause,
        culprit=verdict.culprit,
        started_at=by_start[0][2],
        evidence={
            "loop": longest.loop,
            "reason": verdict.reason,
            "count": len(group),
            "stalls": [_listed(told, worker) for told in by_start[-LATEST:]],
            **_seen_of(by_start),
        },
        ended=tuple(_ended(told, worker) for told in by_start if not told[0].in_progress),
    )


def _held(target: str, worker: str, told: ToldStall, hold: Hold) -> Finding:
    """What a capture of ours has done, with nobody to blame and nothing to change."""
    evidence, verdict, started_at = told
    seconds = duration(evidence.seconds)
    tense = f"has been held for {seconds} so far" if evidence.in_progress else f"was held for {seconds}"
    as_told = hold.asked_by == "person" and is_as_told(hold, evidence.seconds)
    return Finding(
        kind="stall",
        target=target,
        worker=worker,
        severity="info" if as_told else "warning",
        at=started_at + evidence.seconds,
        summary=f"Worker {worker} of `{target}` {tense} by capture {hold.capture} ({asked_for(hold)}).",
        started_at=started_at,
        fault=HELD,
        evidence={
            "loop": evidence.loop,
            "reason": f"some {hold.told_seconds:.1f} s were told before; of the loop: {verdict.reason}",
            "capture": hold.capture,
            "count": 1,
            "stalls": [_listed(told, worker)],
            "stacks": [],
        },
        ended=() if evidence.in_progress else (_ended(told, worker),),
    )


def _ended(told: ToldStall, worker: str) -> EndedStall:
    evidence, _, started_at = told
    return EndedStall(worker, evidence.loop, started_at + evidence.seconds, evidence.seconds)


def _seen_of(group: list[ToldStall]) -> dict[str, object]:
    """The stacks of the worst that has some, those of others after them; or why the latest has none."""
    seen = [told for told in group if _telling(told[0])]
    if not seen:
        reasons = (told[0].no_stack_reason for told in reversed(group) if told[0].no_stack_reason)
        reason = next(reasons, None)
        return {"stacks": []} if reason is None else {"stacks": [], "no_stack_reason": reason}
    worst = max(seen, key=lambda told: told[0].seconds)
    first = stacks_as_evidence(_telling(worst[0]))
    others = stacks_as_evidence([stack for told in seen if told is not worst for stack in _telling(told[0])])
    known = [stack["frames"] for stack in first]
    stacks = [*first, *(stack for stack in others if stack["frames"] not in known)][:MAX_STACKS]
    of_which = {"started_at": rfc3339(worst[2]), "duration_seconds": round(worst[0].seconds, 3)}
    return {"stacks": stacks, "stacks_of": of_which}


def _listed(told: ToldStall, worker: str) -> dict[str, object]:
    evidence, verdict, started_at = told
    listed: dict[str, object] = {
        "started_at": rfc3339(started_at),
        "duration_seconds": round(evidence.seconds, 3),
        "cause": verdict.cause,
    }
    if verdict.cause in OF_THE_HOST:
        listed["worker"] = worker
    if evidence.stack_after_seconds is not None:
        listed["stack_after_seconds"] = round(evidence.stack_after_seconds, 3)
    return listed


def _telling(evidence: StallEvidence) -> tuple[Stack, ...]:
    """Of who held the interpreter lock, where that was another thread: the loop's own stack is innocent then."""
    return evidence.holder_stacks or evidence.stacks


def _summary(target: str, worker: str, group: list[ToldStall]) -> str:
    longest, verdict, _ = max(group, key=lambda told: told[0].seconds)
    where = f" in {place(verdict.culprit)}" if verdict.culprit is not None else ""
    loop = "" if longest.loop in ("", "main") else f", loop {longest.loop},"
    seconds = duration(longest.seconds)
    tense = f"has been blocked for {seconds} so far" if longest.in_progress else f"was blocked for {seconds}"
    total = sum(evidence.seconds for evidence, _, _ in group)
    again = f", and {times(len(group) - 1)} more, {duration(total)} in all" if len(group) > 1 else ""
    if verdict.cause in OF_THE_HOST:
        who = f"Workers of `{target}` wait for a loaded host: worker {worker}{loop}"
        return f"{who} {tense} {by_cause(verdict.cause)}{again}; {ADVICE[verdict.cause]}{_most_seen(longest)}."
    part = _part_computed(longest, verdict)
    said = f"Worker {worker} of `{target}`{loop} {tense} {by_cause(verdict.cause)}{where}{part}{again}"
    return f"{said}; {advice(verdict.cause, longest.runtime)}."


def _part_computed(evidence: StallEvidence, verdict: Verdict) -> str:
    """How much of a computation was one, where its thread waited for a processor for most of the time."""
    used = _used_seconds(evidence)
    if verdict.cause != "blocking_cpu" or used is None or used >= COMPUTED_SHARE * evidence.seconds:
        return ""
    return f", which had a processor for {duration(used)} of it"


def _used_seconds(evidence: StallEvidence) -> float | None:
    """On a processor; None where nobody has counted it for most of the time."""
    thread = evidence.thread
    if evidence.cpu_seconds is None and thread is not None and thread.seconds >= MOST_OF_IT * evidence.seconds:
        return thread.cpu_seconds
    return evidence.cpu_seconds


def _most_seen(evidence: StallEvidence) -> str:
    """Where a loop was that the host kept waiting: told, and not blamed."""
    found = find_culprit(evidence.stacks)
    if found is None or found.agreement < COMMON_SHARE or found.origin not in (Origin.OWN, Origin.PACKAGE):
        return ""
    return f"; most often seen in {place(found.frame)}"


@register
class StallDetector:
    """The rule `stall`."""

    kind = "stall"

    def __init__(self, settings: Settings) -> None:
        self.bounds = StallBounds(settings.stall.threshold, settings.stall.critical)
        self._own = StallBounds(max(settings.stall.threshold, settings.stall.critical), settings.stall.critical)

    def _bounds(self, seen: Seen) -> StallBounds:
        return self._own if seen.target == OWN_TARGET else self.bounds

    def judge(self, seen: Seen) -> Judgement:
        """What the new stalls come to."""
        findings = tuple(find(seen.target, seen.worker, seen.stalls, self._bounds(seen), seen.holds))
        state, reason = self._state(seen, findings)
        return Judgement(findings, RuleState(self.kind, seen.target, seen.worker, state, reason))

    def is_quiet(self, seen: Seen) -> bool:
        """Without new stalls there is nothing."""
        return not seen.stalls

    def _state(self, seen: Seen, findings: tuple[Finding, ...]) -> tuple[StateName, str]:
        if findings:
            return "fired", " ".join(finding.summary for finding in findings[:2])
        latest = seen.samples[-1] if seen.samples else None
        loops = loops_of(latest) if latest is not None else ()
        if not loops:
            return "unavailable", no_loop_reason(latest)
        turning = [(evidence, verdict) for evidence, verdict, _ in seen.stalls if not verdict.stall]
        if turning:
            evidence, verdict = turning[-1]
            why = f" ({evidence.no_stack_reason})" if evidence.no_stack_reason is not None else ""
            return "watching", f"a stretch of {duration(evidence.seconds)} was no stall: {verdict.reason}{why}"
        idle = [told for told in seen.stalls if told[1].stall and idles(told, self._bounds(seen))]
        if idle:
            evidence, verdict, _ = idle[-1]
            why = f"it had nothing to do: {verdict.reason}"
            return "watching", f"it was late for {duration(evidence.seconds)}, and {why}"
        late = max((loop.current_stall.seconds for loop in loops if loop.current_stall is not None), default=0.0)
        if late > 0:
            return "watching", f"a loop is late by {duration(late)}, its evidence is being taken"
        bound = f"{self._bounds(seen).threshold_seconds * 1000:.0f} ms"
        since = rfc3339(seen.quiet_since) if seen.quiet_since is not None else None
        when = f" since {since[:10]} {since[11:19]} UTC" if since else ""
        return "quiet", f"no stretch beyond {bound} was seen{when}"
