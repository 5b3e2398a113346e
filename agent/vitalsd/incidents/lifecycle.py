"""
The life of incidents: opened by a finding, repeated, worse, resolved when quiet, reopened when it comes back.

Pure and told the time, so days are tested in milliseconds. What is kept is bounded per target, so a service that
stalls in a new place each time cannot make the agent grow. Costs microseconds per finding.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from vitalsd.ids import new_id
from vitalsd.incidents.evidence import bounded, longest_seconds, merged
from vitalsd.incidents.grower import grower, with_grower
from vitalsd.incidents.query import TotalOf
from vitalsd.incidents.wording import (
    Event,
    extended,
    moment,
    repeated,
    seconds_text,
    sentence,
    sound,
    sound_frame,
    without_advice,
)
from vitalsd.model import Finding, Incident, Severity, TargetSnapshot

__all__ = ["Incidents"]

REOPENED_WITHIN_SECONDS = 300.0
MOST_OPEN = 200
"""Per target."""
MOST_RESOLVED = 100
"""In memory, over all targets: to be reopened or told. Older ones lie on the disk."""
MOST_PAST = 50
"""In memory, of those that came back too late to be the same: what there is to show where there is no disk."""
MOST_CAPTURES = 20
"""That an incident names; each of them names its incident."""
MUCH_LONGER = 1.5
"""A stall that lasts this many times the longest so far is worth an entry of its own."""
OF_AN_EMPTY_SLOT = ("worker_down", "crash_loop", "oom_kill", "zombie", "imbalance")
"""What goes on when the worker is gone, since that is what they tell."""
RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}

Place = tuple[str, str, str, str, str, str]


class _Life(msgspec.Struct):
    """One incident and what its next change depends on."""

    incident: Incident
    heard_at: float
    """When it was last found; later than `updated_at` after a restart, since nobody listened in between."""
    worst: tuple[int, float]
    """Severity and duration of what the summary tells."""
    more: int = 0
    """How often it was found since its timeline last said something else."""


class Incidents:
    """Every open incident, and the latest that were resolved."""

    def __init__(self, resolve_after_seconds: float = 60.0, draw: Callable[[int], int] = secrets.randbits) -> None:
        self.resolve_after_seconds = resolve_after_seconds
        """An incident that was not found for so long is over."""
        self._draw = draw
        self._lives: dict[Place, _Life] = {}
        self._past: deque[Incident] = deque(maxlen=MOST_PAST)
        self._all: tuple[Incident, ...] | None = ()
        self.totals: dict[TotalOf, int] = {}
        """Target, kind, severity -> how often one was opened, reopened or became worse, then so."""
        self.displaced = 0
        """How many were resolved for no other reason than that there were too many."""

    def take(self, findings: Sequence[Finding], now: float) -> list[Incident]:
        """Take in what detectors have found by unix time `now`; the answer is what has changed, quiet ones too."""
        changed: dict[str, Incident] = {}
        for finding in findings:
            life = self._lives.get(finding.place)
            if life is None or _is_over(life.incident, now):
                changed |= self._make_room(finding.target, now)
                life = self._open(finding, now)
            else:
                self._repeat(life, finding, now)
            changed[life.incident.id] = life.incident
        for life in self._open_lives():
            life.heard_at = min(life.heard_at, now)  # a clock that was set back must not keep it open for hours
            if now - life.heard_at >= self.resolve_after_seconds:
                last = moment(life.incident.updated_at, now)
                text = f"not found again for {self.resolve_after_seconds:g} s, last at {last}"
                changed[life.incident.id] = self._resolve(life, now, text)
        self._forget()
        if changed:
            self._all = None
        return list(changed.values())

    def id_of(self, finding: Finding) -> str:
        """Of the incident that a finding, which was just taken in, belongs to."""
        return self._lives[finding.place].incident.id

    def clock_was_set(self, seconds: float) -> None:
        """By so much, or nobody looked for so long: what is open was heard of no longer ago for that."""
        for life in self._open_lives():
            life.heard_at += seconds

    def leave(self, targets: Iterable[TargetSnapshot], now: float) -> list[Incident]:
        """Resolve what was found of targets and workers that are gone; the answer is what has changed."""
        slots = {target.name: {worker.slot: worker.up for worker in target.workers} for target in targets}
        changed = []
        for life in self._open_lives():
            gone = _gone(life.incident, slots)
            if gone is not None:
                changed.append(self._resolve(life, now, gone))
        if changed:
            self._all = None
        return changed

    def over(
        self, target: str, worker: str, kind: str, now: float, text: str, fault: str | None = None
    ) -> list[Incident]:
        """Resolve what is known to be over, of one fault or of all: nobody waits whether it is found again."""
        place = target, worker, kind
        ended = [
            self._resolve(life, now, text)
            for life in self._open_lives()
            if (life.incident.target, life.incident.worker, life.incident.kind) == place
            and fault in (None, life.incident.fault)
        ]
        if ended:
            self._all = None
        return ended

    def attach(
        self, name: str, capture: str | None, evidence: Mapping[str, object], at: float, text: str | None
    ) -> Incident | None:
        """Add a capture to an incident, or say why there is none; None where it has been forgotten."""
        life = next((life for life in self._lives.values() if life.incident.id == name), None)
        if life is None:
            return None
        old = life.incident
        told, _ = merged(old.evidence, bounded(evidence))
        if capture is not None:
            told.pop("no_capture_reason", None)
        if "count" in old.evidence:  # what was captured is no further finding
            told["count"] = old.evidence["count"]
        life.incident = replace(
            old,
            captures=(*old.captures, capture)[-MOST_CAPTURES:] if capture is not None else old.captures,
            summary=repeated(
                with_grower(old.kind, sentence(old.summary), told),
                old.count,
                old.opened_at,
                old.updated_at,
                life.worst[1] or None,
            ),
            evidence=told,
            timeline=extended(old.timeline, at, "captured", text) if text is not None else old.timeline,
        )
        self._all = None
        return life.incident

    def note(self, name: str, at: float, event: Event, text: str) -> Incident | None:
        """Add a word to the timeline of an incident, be it open or not; None where it has been forgotten."""
        life = next((life for life in self._lives.values() if life.incident.id == name), None)
        if life is None:
            return None
        old = life.incident
        life.incident = replace(old, timeline=extended(old.timeline, at, event, sound(text)))
        self._all = None
        return life.incident

    def adopt(self, stored: Iterable[Incident], now: float) -> list[Incident]:
        """
        Go on with what an earlier agent has left; the answer is what has changed by that.

        An incident that was meanwhile opened anew keeps its new life, and the old one ends and says so.
        """
        changed: list[Incident] = []
        for incident in stored:
            place = _place(incident)
            mine = self._lives.get(place)
            if mine is None:
                changed += self._make_room(incident.target, now).values() if incident.state == "open" else ()
                longest = incident.evidence.get("longest_seconds")
                worst = RANK[incident.severity], float(longest) if isinstance(longest, int | float) else 0.0
                self._lives[place] = _Life(incident, now, worst)
            elif mine.incident.id != incident.id and incident.state == "open":
                goes_on = _Life(incident, now, (0, 0.0))
                changed.append(self._resolve(goes_on, now, f"goes on as {mine.incident.id}"))
        self._forget()
        self._all = None
        return changed

    def adopt_totals(self, stored: Mapping[TotalOf, int]) -> None:
        """Go on counting from what an earlier agent has counted; where both have, from whichever has more."""
        for what, count in stored.items():
            self.totals[what] = max(count, self.totals.get(what, 0))

    def all(self) -> tuple[Incident, ...]:
        """All that are held, latest opened first; the same object until something changes."""
        if self._all is None:
            incidents = [life.incident for life in self._lives.values()]
            incidents += self._past
            self._all = tuple(sorted(incidents, key=lambda each: (each.opened_at, each.id), reverse=True))
        return self._all

    def _open(self, finding: Finding, now: float) -> _Life:
        evidence, count = merged({}, bounded(finding.evidence))
        longest = longest_seconds(evidence)
        if longest is not None:
            evidence["longest_seconds"] = longest
        at = min(finding.at, now)
        summary, advice = sound(finding.summary), sound(finding.advice)
        incident = Incident(
            id=self._new_id(now),
            kind=finding.kind,
            target=finding.target,
            worker=finding.worker,
            severity=finding.severity,
            state="open",
            opened_at=at,
            resolved_at=None,
            cause=finding.cause,
            culprit=sound_frame(finding.culprit),
            summary=repeated(with_grower(finding.kind, summary, evidence), count, at, at, longest),
            evidence=evidence,
            updated_at=at,
            count=max(1, count),
            timeline=extended((), at, "opened", f"{finding.severity}: {without_advice(summary, advice)}"),
            fault=sound(finding.fault),
            advice=advice,
        )
        life = _Life(incident, now, (RANK[finding.severity], longest or 0.0))
        before = self._lives.get(finding.place)
        if before is not None:
            self._past.append(before.incident)
        self._lives[finding.place] = life
        self._count(incident)
        return life

    def _repeat(self, life: _Life, finding: Finding, now: float) -> None:
        old = life.incident
        found = bounded(finding.evidence)
        evidence, fresh = merged(old.evidence, found)
        if "stalls" not in found and old.state == "open" and _goes_on(finding, old):
            fresh = 0
        longest = longest_seconds(found)
        longest_before = life.worst[1]
        if longest is not None:
            evidence["longest_seconds"] = max(longest, longest_before)
        summary, advice = sound(finding.summary), sound(finding.advice)
        event, text = self._event(life, finding, without_advice(summary, advice), longest, fresh)
        if event is None and grower(old.kind, old.evidence) is None and (grows := grower(old.kind, evidence)):
            event, text = "evidence", f"what grows most is {grows}"
        life.heard_at = now
        rank = RANK[finding.severity], longest or 0.0
        # What was over is told anew: what was to be done about it then may be wrong by now.
        worst = rank >= life.worst or (event == "reopened" and bool(advice))
        bare = summary if worst else sentence(old.summary)
        if not worst and "stalls" in found:  # what decided it is told of the stall that the sentence is about
            evidence |= {name: old.evidence[name] for name in ("reason", "loop") if name in old.evidence}
        life.worst = max(life.worst[0], rank[0]), max(longest_before, rank[1])
        at, count = max(old.updated_at, min(finding.at, now)), old.count + fresh
        # An incident that comes back is as severe as it comes back; open, it can only get worse.
        known: tuple[Severity, ...] = (
            (finding.severity,) if event == "reopened" else (old.severity, finding.severity)
        )
        severity = max(known, key=RANK.__getitem__)
        life.incident = replace(
            old,
            state="open",
            resolved_at=None,
            severity=severity,
            cause=finding.cause if worst else old.cause,
            culprit=sound_frame(finding.culprit) if worst else old.culprit,
            summary=repeated(
                with_grower(old.kind, bare, evidence), count, old.opened_at, at, life.worst[1] or None
            ),
            evidence=evidence,
            updated_at=at,
            count=count,
            timeline=extended(old.timeline, at, event, text) if event is not None else old.timeline,
            advice=advice if worst else old.advice,
        )
        if event == "reopened" or severity != old.severity:
            self._count(life.incident)

    def _event(
        self, life: _Life, finding: Finding, summary: str, longest: float | None, fresh: int
    ) -> tuple[Event | None, str]:
        """What the timeline says of a further finding; nothing of a stall that only goes on."""
        old = life.incident
        if old.state == "resolved":
            life.more = 0
            return "reopened", f"{finding.severity}: {summary}"
        much_longer = longest is not None and life.worst[1] > 0 and longest >= MUCH_LONGER * life.worst[1]
        if RANK[finding.severity] > RANK[old.severity] or (fresh and much_longer):
            life.more = 0
            return "worse", f"{finding.severity}: {summary}"
        if not fresh:
            return None, ""
        life.more += fresh
        latest = "" if longest is None else f", the latest of {seconds_text(longest)}"
        return "evidence", f"found {life.more} more time{'' if life.more == 1 else 's'}{latest}"

    def _resolve(self, life: _Life, now: float, text: str) -> Incident:
        old = life.incident
        life.more = 0
        life.incident = replace(
            old,
            state="resolved",
            resolved_at=now,
            summary=without_advice(old.summary, old.advice),
            advice="",
            timeline=extended(old.timeline, now, "resolved", text),
        )
        return life.incident

    def _make_room(self, target: str, now: float) -> dict[str, Incident]:
        """Resolve whichever incident of a target has been quiet for longest when there are too many."""
        own = [life for life in self._open_lives() if life.incident.target == target]
        if len(own) < MOST_OPEN:
            return {}
        quietest = min(own, key=lambda life: (life.heard_at, life.incident.opened_at))
        self.displaced += 1
        resolved = self._resolve(quietest, now, f"{target} has more than {MOST_OPEN} open: the quietest gives way")
        return {resolved.id: resolved}

    def _forget(self) -> None:
        """Keep as many of the resolved ones as there is room for."""
        resolved = [
            (life.incident.resolved_at or 0.0, place)
            for place, life in self._lives.items()
            if life.incident.state == "resolved"
        ]
        for _, place in sorted(resolved)[: max(0, len(resolved) - MOST_RESOLVED)]:
            del self._lives[place]

    def _open_lives(self) -> list[_Life]:
        return [life for life in self._lives.values() if life.incident.state == "open"]

    def _count(self, incident: Incident) -> None:
        what: TotalOf = incident.target, incident.kind, incident.severity
        self.totals[what] = self.totals.get(what, 0) + 1

    def _new_id(self, now: float) -> str:
        taken = {life.incident.id for life in self._lives.values()}
        while (drawn := new_id(now, self._draw)) in taken:
            pass
        return drawn


def _is_over(incident: Incident, now: float) -> bool:
    """Whether it was resolved too long ago to be reopened."""
    return incident.resolved_at is not None and now - incident.resolved_at > REOPENED_WITHIN_SECONDS


def _goes_on(finding: Finding, incident: Incident) -> bool:
    """Whether it is still what was found last, and nothing that has begun since."""
    return finding.started_at is not None and finding.started_at <= incident.updated_at


def _gone(incident: Incident, slots: dict[str, dict[str, bool]]) -> str | None:
    """Why nothing more can be found of the incident, if that is so."""
    own = slots.get(incident.target)
    if own is None:
        return f"{incident.target} is no longer watched"
    if not incident.worker:
        return None
    if incident.worker not in own:
        return f"worker {incident.worker} is no longer there"
    if not own[incident.worker] and incident.kind not in OF_AN_EMPTY_SLOT:
        return f"the process of worker {incident.worker} is gone"
    return None


def _place(incident: Incident) -> Place:
    """The place of the findings that it was made of."""
    finding = Finding(
        kind=incident.kind,
        target=incident.target,
        worker=incident.worker,
        severity=incident.severity,
        at=incident.opened_at,
        summary="",
        cause=incident.cause,
        culprit=incident.culprit,
        fault=incident.fault,
    )
    return finding.place
