"""
Follows workers that show no life: since when, and what they were at, which is asked while they still can be.

The stacks of a loop that does not come back are taken by `Stalls` already. Of a worker without one, and of one
that stands still in the kernel, they are taken here, by py-spy, once its silence is beyond the bounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from vitalsd.capture.stacks import Late as LateThread
from vitalsd.capture.stacks import Stacks, StackSampler
from vitalsd.detect.worker_hung import Bounds, bounds_of
from vitalsd.history.silences import Silences
from vitalsd.model import (
    STOPPED,
    Pulse,
    Silence,
    SilenceKind,
    StallEvidence,
    TargetSnapshot,
    Verdict,
    WorkerKey,
    WorkerSample,
    late_seconds,
)
from vitalsd.sources.pulse.rest import is_rest

__all__ = ["SilentWorkers"]

PROC = Path("/proc")
STEP_SECONDS = 2.0
"""By how much two looks may differ in when the same silence began."""
Hanging = Callable[[WorkerSample], Iterable[tuple[StallEvidence, Verdict]]]


class _Followed(msgspec.Struct):
    """One silence."""

    began: float
    """Unix time."""
    thread: LateThread | None = None
    """Whose stacks are being taken from outside."""


class SilentWorkers:
    """Those of all targets."""

    def __init__(
        self,
        stacks: StackSampler,
        hanging: Hanging,
        agent_late: Callable[[float, float], float],
        found_at_rest: Callable[[WorkerKey], None],
        proc: Path = PROC,
    ) -> None:
        self._stacks = stacks
        self._hanging = hanging
        self._agent_late = agent_late
        self._found_at_rest = found_at_rest
        self._proc = proc
        self._followed: dict[tuple[WorkerKey, SilenceKind], _Followed] = {}
        self.silences = Silences()

    def of(self, target: TargetSnapshot, hung_after_seconds: float, now: float) -> dict[str, Silence]:
        """Slot -> the silence of whoever sits there, where it is beyond the bounds; the supervisor has no slot."""
        bounds = bounds_of(hung_after_seconds, target.supervisor)
        told: dict[str, Silence] = {}
        for worker in target.workers:
            if worker.key is not None and worker.up:
                silence = self._silence(worker.key, worker, worker.pulse, bounds, now)
                told |= {worker.slot: silence} if silence is not None else {}
        if target.supervisor is not None:
            silence = self._silence(target.supervisor.key, None, target.supervisor_pulse, bounds, now)
            told |= {"": silence} if silence is not None else {}
        return told

    def keep(self, targets: Iterable[TargetSnapshot]) -> None:
        """Forget whoever is gone."""
        targets = tuple(targets)
        here = {worker.key for target in targets for worker in target.workers}
        here |= {target.supervisor.key for target in targets if target.supervisor is not None}
        for place in [place for place in self._followed if place[0] not in here]:
            self._end(place)
        self.silences.keep({target.name for target in targets})

    def _silence(
        self, key: WorkerKey, worker: WorkerSample | None, pulse: Pulse | None, bounds: Bounds, now: float
    ) -> Silence | None:
        told = self._found(key, worker, pulse, bounds, now) if pulse is not None else None
        for other in [place for place in self._followed if place[0] == key]:
            if told is None or other[1] != told.kind:
                self._end(other)
        if told is None:
            return None
        followed = self._followed.setdefault((key, told.kind), _Followed(told.since))
        if abs(told.since - followed.began) > STEP_SECONDS:
            followed.began = told.since  # the clock was set: by the new one it began then
        if told.kind != "loop":
            seen = self._stacks_of(key, followed, time.monotonic() - told.seconds)
            told = msgspec.structs.replace(told, stacks=seen.stacks, no_stack_reason=seen.refusal)
        if told.kind == "heartbeat" and not self._is_busy(told, bounds):
            return None
        return msgspec.structs.replace(told, since=followed.began, waits_in=_waits_in(self._proc, key.pid))

    def _is_busy(self, silence: Silence, bounds: Bounds) -> bool:
        """Whether it is at work, or silent for longer than any worker is at rest."""
        if is_rest(silence.stacks):
            self._found_at_rest(silence.key)
            return False
        return bool(silence.stacks) or silence.seconds >= bounds.unseen_seconds

    def _found(
        self, key: WorkerKey, worker: WorkerSample | None, pulse: Pulse, bounds: Bounds, now: float
    ) -> Silence | None:
        """Which silence it is that has lasted for too long."""
        # From that look, and no later: a clock that was set, or a host that slept, is no silence of anybody's.
        now = min(now, pulse.at)
        stands = now - pulse.state_since
        untouched = now - pulse.touched_at if pulse.touched_at is not None else None
        touched_each = bounds.untouched_seconds if pulse.booted is not False else bounds.unseen_seconds
        kind: SilenceKind | None = None
        since = pulse.state_since
        if pulse.frozen_since is not None:
            since = pulse.frozen_since
            kind = "stopped" if now - since >= bounds.stopped_seconds else None
        elif pulse.state in STOPPED:
            kind = "stopped" if stands >= bounds.stopped_seconds else None
        elif pulse.state == "D" and stands >= bounds.uninterruptible_seconds:
            kind = "uninterruptible"
        elif worker is not None and late_seconds(worker) is not None:
            return self._hanging_loop(key, worker, pulse, bounds, now, untouched)
        elif untouched is not None and untouched >= touched_each and not pulse.rests:
            kind, since = "heartbeat", now - untouched
        if kind is None or self._nobody_looked(now - since):
            return None
        frozen = pulse.frozen_since is not None
        return Silence(kind, key, since, now - since, pulse.state, frozen, heartbeat_silent_seconds=untouched)

    def _hanging_loop(
        self,
        key: WorkerKey,
        worker: WorkerSample,
        pulse: Pulse,
        bounds: Bounds,
        now: float,
        untouched: float | None,
    ) -> Silence | None:
        for evidence, verdict in self._hanging(worker):
            if verdict.stall and evidence.seconds >= bounds.silent_seconds and verdict.cause != "host_wide":
                return Silence(
                    kind="loop",
                    key=key,
                    since=now - evidence.seconds,
                    seconds=evidence.seconds,
                    state=pulse.state,
                    loop=evidence.loop,
                    cause=verdict.cause,
                    stacks=evidence.stacks or evidence.holder_stacks,
                    no_stack_reason=evidence.no_stack_reason,
                    heartbeat_silent_seconds=untouched,
                )
        return None

    def _nobody_looked(self, seconds: float) -> bool:
        """Whoever did not look accuses nobody of silence."""
        until = time.monotonic()
        return self._agent_late(until - seconds, until) > seconds / 2

    def _stacks_of(self, key: WorkerKey, followed: _Followed, since: float) -> Stacks:
        if followed.thread is None:
            followed.thread = LateThread(key=key, thread_id=key.pid, since=since)
            self._stacks.late(followed.thread)
        return self._stacks.seen(followed.thread)

    def _end(self, place: tuple[WorkerKey, SilenceKind]) -> None:
        followed = self._followed.pop(place)
        if followed.thread is not None:
            self._stacks.ended(followed.thread)


def _waits_in(proc: Path, pid: int) -> str | None:
    """What the kernel's function is called in which its main thread waits, where that may be known."""
    try:
        name = (proc / str(pid) / "wchan").read_text()
    except OSError:
        return None
    return name if name not in ("", "0") else None
