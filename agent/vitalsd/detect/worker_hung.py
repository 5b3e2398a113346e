"""
Finds `worker_hung`: a worker, or its supervisor, that has shown no life for longer than is allowed.

From what is looked at each second: the kernel's state, the freezer of its group, the loop, and the file that
gunicorn's workers touch. A loop that hangs is told whoever else answers for it: uvicorn asks a thread, and takes a
dead loop for healthy. A synchronous worker touches its file between requests only, so what this target's workers
have come back from by themselves within a day is none again, until two thirds of the time are over after which its
supervisor ends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vitalsd.detect.culprit import find_culprit, stacks_as_evidence
from vitalsd.detect.holds import asked_for, held_by, is_as_told
from vitalsd.detect.registry import Judgement, SeenTarget, register_for_target
from vitalsd.detect.standstill import Standstill, is_awaited, standstill, standstill_finding
from vitalsd.detect.words import by_cause, duration, place
from vitalsd.model import (
    Cause,
    Finding,
    Frame,
    Hold,
    Pulse,
    RuleState,
    Severity,
    Silence,
    Supervisor,
    WorkerSample,
)
from vitalsd.settings.model import Settings
from vitalsd.times import rfc3339

__all__ = ["STOPPED_SECONDS", "Bounds", "WorkerHungDetector", "bounds_of", "fault_of"]

KIND = "worker_hung"
STOPPED_SECONDS = 2.0
"""Whoever stops a process for a look has let it go on by then."""
OF_TIMEOUT = 0.25
"""Of the time after which its supervisor ends it: afterwards nobody can be asked."""
RARELY = 2 / 3
"""And of that time where the worker touches its file each half of it only, as uvicorn's does, or may."""
GUNICORN_SECONDS = 30.0
"""What gunicorn waits for where nobody says otherwise."""
AWAITED = "it has stood still for a moment, as all of its target do"
LAST_SHARE = 2 / 3
"""Beyond this share of the timeout the past excuses nothing."""
TIMES = 1.5
ANSWERS: dict[str, str] = {
    "uvicorn": "uvicorn takes it for healthy, since a thread answers for it",
    "hypercorn": "hypercorn does not look whether it lives",
    "celery": "celery does not look whether it lives",
    "multiprocessing": "nobody looks whether it lives",
    "node_cluster": "nobody looks whether it lives",
    "uwsgi": "uWSGI ends it only where harakiri says so",
    "plain": "nobody looks whether it lives",
}


class Bounds(msgspec.Struct, frozen=True):
    """For how long a worker may show no life."""

    silent_seconds: float
    """Of its loop."""
    untouched_seconds: float
    """Of the file that its supervisor goes by, while it is seen to be at work."""
    unseen_seconds: float
    """And where that cannot be seen: a synchronous worker at rest touches its file each half of the timeout."""
    uninterruptible_seconds: float
    stopped_seconds: float = STOPPED_SECONDS


def bounds_of(hung_after_seconds: float, supervisor: Supervisor | None) -> Bounds:
    """Sooner than is configured where its supervisor would end it soon after."""
    timeout = supervisor.timeout_seconds if supervisor is not None else None
    silent = min(hung_after_seconds, OF_TIMEOUT * timeout) if timeout else hung_after_seconds
    kind = supervisor.worker_class if supervisor is not None else None
    unseen = max(silent, RARELY * (timeout or GUNICORN_SECONDS))
    untouched = unseen if kind is None or "uvicorn" in kind.lower() else silent
    return Bounds(silent, untouched, unseen, hung_after_seconds)


@register_for_target
class WorkerHungDetector:
    """The rule `worker_hung`."""

    kind = KIND

    def __init__(self, settings: Settings) -> None:
        self.hung_after_seconds = settings.workers.hung_after

    def judge(self, seen: SeenTarget) -> Sequence[Judgement]:
        """Each worker that is up, and the supervisor where it is hung itself."""
        return tuple(self._judge(seen))

    def is_quiet(self, seen: SeenTarget) -> bool:
        """Where everybody shows life, there is nothing."""
        return not seen.silences

    def _judge(self, seen: SeenTarget) -> Iterator[Judgement]:
        target = seen.latest
        together = standstill(seen)
        if together is not None:
            yield from _all_judged(seen, together)
            return
        if is_awaited(seen):
            for worker in target.workers:
                yield Judgement((), RuleState(KIND, target.name, worker.slot, "watching", AWAITED))
            return
        supervisor = seen.silences.get("")
        if supervisor is not None:
            finding = _finding(seen, "", supervisor)
            yield Judgement((finding,), RuleState(KIND, target.name, "", "fired", finding.summary))
        for worker in target.workers:
            if not worker.up or worker.key is None:
                continue
            silence = seen.silences.get(worker.slot)
            if silence is None:
                yield Judgement((), _quiet(worker))
                continue
            excuse = _excuse(seen, worker.slot, silence)
            if excuse is not None:
                yield Judgement((), RuleState(KIND, target.name, worker.slot, "watching", excuse))
                continue
            finding = _finding(seen, worker.slot, silence)
            yield Judgement((finding,), RuleState(KIND, target.name, worker.slot, "fired", finding.summary))


def _all_judged(seen: SeenTarget, together: Standstill) -> Iterator[Judgement]:
    """One incident of the target; an own one of who supervises it, where that is silent in another way."""
    supervisor = seen.latest.supervisor
    ends = [_ends_in(supervisor, each) for each in together.workers.values()] if not together.supervisor else []
    ends_in = min((each for each in ends if each is not None), default=None)
    finding = standstill_finding(seen, KIND, together, ends_in)
    above = seen.silences.get("") if together.supervisor is None else None
    others = (_finding(seen, "", above),) if above is not None else ()
    yield Judgement((finding, *others), RuleState(KIND, finding.target, "", "fired", finding.summary))
    for slot in together.workers:
        yield Judgement((), RuleState(KIND, finding.target, slot, "fired", finding.summary))


def _excuse(seen: SeenTarget, slot: str, silence: Silence) -> str | None:
    """Why a silence is no incident yet: our own doing, or a file of whose silence more is known."""
    hold = _hold(seen, slot, silence)
    if hold is not None:
        held = f"it is held by capture {hold.capture} ({asked_for(hold)})"
        return f"{held}, for {duration(silence.seconds)} so far; some {hold.told_seconds:.1f} s were told"
    past = seen.came_back_seconds
    if silence.kind != "heartbeat" or silence.seconds >= TIMES * past:
        return None
    supervisor = seen.latest.supervisor
    timeout = supervisor.timeout_seconds if supervisor is not None else None
    if timeout is not None and silence.seconds >= LAST_SHARE * timeout:
        return None
    return (
        f"it has shown its supervisor no life for {duration(silence.seconds)}, and workers of this target have "
        f"come back from {duration(past)} within a day: a long request, as far as can be told"
    )


def _hold(seen: SeenTarget, slot: str, silence: Silence) -> Hold | None:
    """The capture of ours that holds the worker's loop, for no longer than it runs or such a one may."""
    if silence.kind != "loop":
        return None
    hold = held_by(seen.holds.get(slot, ()), silence.since, silence.seconds)
    if hold is None or hold.runs or is_as_told(hold, silence.seconds):
        return hold
    return None


def _quiet(worker: WorkerSample) -> RuleState:
    pulse = worker.pulse
    if pulse is None:
        return RuleState(KIND, worker.target, worker.slot, "unavailable", "it was not looked at yet")
    if pulse.heartbeat_at is None:
        why = pulse.heartbeat_missing or "no loop of it is seen, and it has no heartbeat file"
        reason = f"its state is {pulse.state}, and nothing else tells whether it lives: {why}"
        return RuleState(KIND, worker.target, worker.slot, "unavailable", reason)
    return RuleState(KIND, worker.target, worker.slot, "quiet", _alive(pulse))


def _alive(pulse: Pulse) -> str:
    ago = duration(max(0.0, pulse.at - (pulse.heartbeat_at or pulse.at)))
    if pulse.heartbeat_source == "supervisor":
        return f"it touched its heartbeat file {ago} ago"
    return f"its last sign of life was {ago} ago, by its {pulse.heartbeat_source}"


def _finding(seen: SeenTarget, slot: str, silence: Silence) -> Finding:
    supervisor = seen.latest.supervisor
    culprit = find_culprit(silence.stacks) if silence.stacks else None
    evidence: dict[str, object] = {
        "since": rfc3339(silence.since),
        "pid": silence.key.pid,
        "silent_seconds": round(silence.seconds, 1),
        "shown_by": silence.kind,
        "state": silence.state,
        "supervisor": supervisor.kind if supervisor is not None else None,
    }
    if silence.frozen:
        evidence["frozen"] = True
    if silence.loop is not None:
        evidence["loop"] = silence.loop
    if silence.waits_in is not None:
        evidence["waits_in"] = silence.waits_in
    if silence.heartbeat_silent_seconds is not None:
        evidence["heartbeat_age_seconds"] = round(silence.heartbeat_silent_seconds, 1)
    ends_in = _ends_in(supervisor, silence) if slot else None
    if supervisor is not None and supervisor.timeout_seconds is not None:
        evidence["supervisor_timeout_seconds"] = supervisor.timeout_seconds
    if ends_in is not None:
        evidence["ended_in_seconds"] = round(max(0.0, ends_in), 1)
    if silence.stacks:
        evidence["stacks"] = stacks_as_evidence(silence.stacks)
    elif silence.no_stack_reason is not None:
        evidence["no_stack_reason"] = silence.no_stack_reason
    frame = culprit.frame if culprit is not None else None
    what = _what(silence) + (_where(silence, frame) if frame is not None else "")
    who = f"Worker {slot} of `{seen.latest.name}`" if slot else _master(seen, supervisor)
    after = _after(supervisor, ends_in) if slot else "it starts and ends no workers meanwhile"
    advice = f"{after}; {_advice(silence, supervisor if slot else None)}"
    return Finding(
        kind=KIND,
        target=seen.latest.name,
        worker=slot,
        severity=_severity(silence, ends_in),
        at=seen.now,
        summary=f"{who} {what}; {advice}.",
        advice=advice,
        fault=fault_of(silence),
        cause=_cause(silence),
        culprit=frame,
        started_at=silence.since,
        evidence=evidence,
    )


def fault_of(silence: Silence) -> str:
    """What makes it one incident: this process, silent in this way, whatever it is found to wait for."""
    return f"{silence.kind}, pid {silence.key.pid}"


def _master(seen: SeenTarget, supervisor: Supervisor | None) -> str:
    return f"The supervisor of `{seen.latest.name}` ({supervisor.kind if supervisor is not None else 'unknown'})"


def _what(silence: Silence) -> str:
    lasts = duration(silence.seconds)
    if silence.kind == "stopped":
        by = "a debugger holds it" if silence.state == "t" else "a signal has stopped it"
        by = "its cgroup is frozen (docker pause?)" if silence.frozen else by
        return f"has stood still for {lasts}: {by}"
    if silence.kind == "uninterruptible":
        return f"has waited in the kernel for {lasts}, for a disk or a file system"
    if silence.kind == "loop":
        how = f" ({by_cause(silence.cause)})" if silence.cause not in (None, "unknown") else ""
        return f"hangs: its event loop has not come back for {lasts}{how}"
    return f"hangs, or serves one request for very long: it has touched no heartbeat for {lasts}"


def _where(silence: Silence, frame: Frame) -> str:
    """What its stack says, where it is in something of its own."""
    if silence.kind == "stopped":
        return ""
    return f", and is in {place(frame)}" if silence.kind == "heartbeat" else f", in {place(frame)}"


def _after(supervisor: Supervisor | None, ends_in: float | None) -> str:
    if supervisor is None:
        return "nothing ends or replaces it"
    if ends_in is not None:
        return f"{supervisor.kind} ends it in {max(0.0, ends_in):.0f} s"
    return ANSWERS.get(supervisor.kind, f"{supervisor.kind} may end it")


def _ends_in(supervisor: Supervisor | None, silence: Silence) -> float | None:
    """When its supervisor ends it, as far as is known."""
    untouched = silence.heartbeat_silent_seconds
    if supervisor is None or supervisor.timeout_seconds is None or untouched is None:
        return None
    return supervisor.timeout_seconds - untouched


def _severity(silence: Silence, ends_in: float | None) -> Severity:
    if silence.kind == "heartbeat":
        return "critical" if ends_in is not None else "warning"
    return "warning" if silence.state == "t" and not silence.frozen else "critical"


def _cause(silence: Silence) -> Cause | None:
    if silence.kind == "stopped":
        return "stopped"
    return "disk_io" if silence.kind == "uninterruptible" else silence.cause


def _advice(silence: Silence, supervisor: Supervisor | None) -> str:
    pid = f"{silence.key.own_number}"
    there = "" if silence.key.in_sight else " in its own pid namespace"
    if silence.frozen:
        return "`docker unpause` lets its container go on, and no signal does"
    if silence.kind == "stopped":
        return f"`kill -CONT {pid}` lets it go on, unless somebody looks into it"
    if silence.kind == "uninterruptible":
        where = f" (it waits in {silence.waits_in})" if silence.waits_in is not None else ""
        return f"look at the disk or network file system that it needs{where}: no signal ends it meanwhile"
    if supervisor is None or supervisor.kind == "plain":
        return f"its stack says what it waits for; if it must go, `kill -KILL {pid}`{there} and start it again"
    return f"its stack says what it waits for; `kill -KILL {pid}` has it replaced"
