"""Who was told to be hung, from look to look, and what has become of it: an incident is over when it is not so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vitalsd.detect.registry import SeenTarget
from vitalsd.detect.standstill import ALL_WORKERS
from vitalsd.detect.words import duration
from vitalsd.model import Finding, Silence, TargetSnapshot, WorkerKey

__all__ = ["Hung", "Over"]

KIND = "worker_hung"
LOOKED_AT_SECONDS = 10.0
"""A silence that is told was looked at no longer ago, whatever the clock says."""
Silences = Mapping[str, Silence]
"""Slot -> silence: of one worker, or of all of a target."""


class Over(NamedTuple):
    """An incident that is over, and why."""

    worker: str
    fault: str
    text: str


class Hung:
    """Of all targets: the incidents that were told, with the silences when that was told last."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, str], Silences] = {}
        """By target, worker and fault."""

    def any_of(self, target: str) -> bool:
        """Whether anybody of it was told to be hung."""
        return any(place[0] == target for place in self._told)

    def take(self, seen: SeenTarget, found: Iterable[Finding]) -> list[Over]:
        """Take in what was found by now; the answer is what was told and is so no more."""
        name = seen.latest.name
        now = {(name, each.worker, each.fault): _silences(seen, each) for each in found if each.kind == KIND}
        gone = [place for place in self._told if place[0] == name and place not in now]
        over = [Over(*place[1:], _how_it_ended(seen, place[1], self._told.pop(place), now)) for place in gone]
        self._told |= now
        return over


def _silences(seen: SeenTarget, finding: Finding) -> Silences:
    if finding.fault != ALL_WORKERS:
        return {finding.worker: seen.silences[finding.worker]}
    slots = [worker.slot for worker in seen.latest.workers if worker.up]
    slots += [""] if "supervisor_pid" in finding.evidence else []
    return {slot: seen.silences[slot] for slot in slots}


def _how_it_ended(
    seen: SeenTarget, slot: str, before: Silences, now: Mapping[tuple[str, str, str], Silences]
) -> str:
    """What has become of who was hung, or is hung in another way, or is another one that hangs."""
    target = seen.latest
    here = _processes(target)
    silence = min(before.values(), key=lambda each: each.since)
    lasted = _lasted(silence, seen.now)
    there = {place: each.key for place, each in before.items() if here.get(place) == each.key}
    live = {key for place, key in there.items() if not _has_ended(target, place)}
    if not live and len(before) > 1:
        return f"their processes have ended, {lasted} after their last sign of life"
    if not live:
        follows = here.get(slot)
        taken = f"; process {follows.pid} has taken its place" if follows not in (None, silence.key) else ""
        return f"its process {silence.key.own_number} has ended, {lasted} after its last sign of life{taken}"
    still = {each.key for silences in now.values() for each in silences.values()} & live
    if silence.key in {each.key for each in now.get((target.name, "", ALL_WORKERS), {}).values()}:
        return f"after {lasted} all workers stand still with it, which is one incident of the target"
    if len(before) == 1:
        return f"it is silent in another way, after {lasted}" if still else f"it came back after {lasted}"
    if still:
        return f"after {lasted} {len(still)} of {len(before)} are silent, and no longer all"
    return f"they came back after {lasted}"


def _processes(target: TargetSnapshot) -> dict[str, WorkerKey | None]:
    """Slot -> the process that sits there; the supervisor has no slot."""
    here = {worker.slot: worker.key for worker in target.workers if worker.up}
    return here | ({"": target.supervisor.key} if target.supervisor is not None else {})


def _lasted(silence: Silence, now: float) -> str:
    lasted = now - silence.since
    if not 0 <= lasted - silence.seconds <= LOOKED_AT_SECONDS:
        lasted = silence.seconds  # the clock was set meanwhile
    return duration(lasted)


def _has_ended(target: TargetSnapshot, slot: str) -> bool:
    """Whether the latest look has found the process gone, or a zombie, and no round has said so yet."""
    pulses = {worker.slot: worker.pulse for worker in target.workers} | {"": target.supervisor_pulse}
    pulse = pulses.get(slot)
    return pulse is not None and pulse.state in ("Z", "X")
