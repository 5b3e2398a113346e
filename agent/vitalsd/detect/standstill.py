"""
Finds that all workers of a target stand still at once, for one reason: one incident of the target.

A container that is paused stops all of its processes, and so does a signal to a group of them: told of each worker
by itself, a pool of twenty would be twenty pages. Whoever was stopped at another time, or in another way, is told
by itself, and so is a worker that is alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from vitalsd.detect.registry import SeenTarget
from vitalsd.detect.words import duration
from vitalsd.model import STOPPED, Finding, Pulse, Silence, Supervisor
from vitalsd.times import rfc3339

__all__ = ["ALL_WORKERS", "Standstill", "is_awaited", "standstill", "standstill_finding"]

ALL_WORKERS = "stopped, all workers"
"""The fault of such an incident."""
TOGETHER_SECONDS = 1.5
"""Each is looked at once a second: what stops all of them at once is seen in one look, or in two. And shorter than
anybody may stand still, so that none was told by then."""
MOST_PIDS = 10
"""In a command that somebody is to type."""


class Standstill(msgspec.Struct, frozen=True):
    """All workers, and who supervises them where that stands still with them."""

    workers: Mapping[str, Silence]
    supervisor: Silence | None

    @property
    def first(self) -> Silence:
        """The one that was stopped first."""
        return min(self._all, key=lambda silence: silence.since)

    @property
    def pids(self) -> tuple[int, ...]:
        """All processes, the supervisor's first."""
        return tuple(silence.key.pid for silence in self._all)

    @property
    def _all(self) -> Sequence[Silence]:
        above = (self.supervisor,) if self.supervisor is not None else ()
        return *above, *self.workers.values()


def standstill(seen: SeenTarget) -> Standstill | None:
    """All of them, where all stand still beyond what is allowed, and at least two processes do."""
    silences = {worker.slot: seen.silences.get(worker.slot) for worker in seen.latest.workers if worker.up}
    stopped = {slot: each for slot, each in silences.items() if each is not None and each.kind == "stopped"}
    if not stopped or len(stopped) < len(silences) or not _alike([_how(each) for each in stopped.values()]):
        return None
    above = seen.silences.get("")
    with_it = above if above is not None and above.kind == "stopped" else None
    if with_it is not None and not _alike([_how(each) for each in (with_it, *stopped.values())]):
        with_it = None
    found = Standstill(stopped, with_it)
    return found if len(found.pids) > 1 else None


def is_awaited(seen: SeenTarget) -> bool:
    """Whether all stand still at once and one of them not for as long as is allowed: until then none is told."""
    looks = {worker.slot: worker.pulse for worker in seen.latest.workers if worker.up}
    stand = {slot: how for slot, pulse in looks.items() if (how := _stands(pulse)) is not None}
    if not stand or len(stand) < len(looks):
        return False
    above = _stands(seen.latest.supervisor_pulse)
    if above is not None and _alike([*stand.values(), above]):
        stand[""] = above
    return len(stand) > 1 and _alike([*stand.values()]) and not stand.keys() <= seen.silences.keys()


def standstill_finding(seen: SeenTarget, kind: str, found: Standstill, ends_in: float | None) -> Finding:
    """The incident of the target; `ends_in` is when its supervisor ends the first of its workers."""
    first, supervisor = found.first, seen.latest.supervisor
    evidence: dict[str, object] = {
        "since": rfc3339(first.since),
        "silent_seconds": round(first.seconds, 1),
        "shown_by": first.kind,
        "state": first.state,
        "supervisor": supervisor.kind if supervisor is not None else None,
    }
    if first.frozen:
        evidence["frozen"] = True
    if found.supervisor is not None:
        evidence["supervisor_pid"] = found.supervisor.key.pid
    if ends_in is not None:
        evidence["ended_in_seconds"] = round(max(0.0, ends_in), 1)
    evidence["pids"] = {slot: each.key.pid for slot, each in found.workers.items()}
    if first.no_stack_reason is not None:
        evidence["no_stack_reason"] = first.no_stack_reason
    advice = f"{_after(supervisor, ends_in)}; {_lets_go_on(found)}"
    return Finding(
        kind=kind,
        target=seen.latest.name,
        worker="",
        severity="warning" if first.state == "t" and not first.frozen else "critical",
        at=seen.now,
        summary=f"{_who(seen.latest.name, found, supervisor)} {_what(first)}; {advice}.",
        advice=advice,
        fault=ALL_WORKERS,
        cause="stopped",
        started_at=first.since,
        evidence=evidence,
    )


def _who(name: str, found: Standstill, supervisor: Supervisor | None) -> str:
    count = len(found.workers)
    who = f"All {count} workers of `{name}`" if count > 1 else f"Worker {min(found.workers)} of `{name}`"
    if found.supervisor is None or supervisor is None:
        return f"{who} have stood still"
    return f"{who} and {'their' if count > 1 else 'its'} supervisor ({supervisor.kind}) have stood still"


def _what(first: Silence) -> str:
    by = "a debugger holds them" if first.state == "t" else "a signal has stopped them"
    by = "their cgroup is frozen (docker pause?)" if first.frozen else by
    return f"for {duration(first.seconds)}: {by}"


def _after(supervisor: Supervisor | None, ends_in: float | None) -> str:
    if supervisor is not None and ends_in is not None:
        return f"{supervisor.kind} ends the first in {max(0.0, ends_in):.0f} s"
    return "none of them answers meanwhile"


def _lets_go_on(found: Standstill) -> str:
    if found.first.frozen:
        return "`docker unpause` lets their container go on, and no signal does"
    pids = " ".join(map(str, found.pids)) if len(found.pids) <= MOST_PIDS else "PID"
    each = "" if len(found.pids) <= MOST_PIDS else " of each"
    return f"`kill -CONT {pids}`{each} lets them go on, unless somebody looks into them"


def _stands(pulse: Pulse | None) -> tuple[str, float] | None:
    """How it stands still and since when, as far as its latest look tells."""
    if pulse is None:
        return None
    if pulse.frozen_since is not None:
        return "frozen", pulse.frozen_since
    return (pulse.state, pulse.state_since) if pulse.state in STOPPED else None


def _how(silence: Silence) -> tuple[str, float]:
    return "frozen" if silence.frozen else silence.state, silence.since


def _alike(stand: Sequence[tuple[str, float]]) -> bool:
    """In one way, and at once."""
    times = [since for _, since in stand]
    return len({way for way, _ in stand}) == 1 and max(times) - min(times) <= TOGETHER_SECONDS
