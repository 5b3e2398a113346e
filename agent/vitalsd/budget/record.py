"""
What one process did, from the first that its probe told to the last.

Counters are taken whole, or from the reading at which `--after` had passed; stalls one by one from the ring, with
what the observer and the stacks from outside told of each. Bounded, whatever a process does.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from vitalsd.budget import delay
from vitalsd.budget.growth import HeapSeries, measured
from vitalsd.budget.model import Errors, Limits, LoopRun, NotMeasured, ProcessRun, RunStall
from vitalsd.budget.pardon import pardon
from vitalsd.detect.cause import decide
from vitalsd.detect.stall import StallBounds
from vitalsd.incidents.wording import sound
from vitalsd.investigation.case import Case
from vitalsd.investigation.evidence import joined
from vitalsd.model import (
    ERROR_CHANNELS,
    Histogram,
    HostEvidence,
    LoopVitals,
    ProbeVitals,
    Stall,
    UnhandledError,
    WorkerKey,
    WorkerSample,
    is_for_computing,
)

__all__ = ["AgentLate", "Record", "Seen"]

KEPT_STALLS = 256
"""Of a process, the longest; each has up to three stacks."""
ERRORS_LOST = "errors:"
"""How a line of a probe begins that has given up counting them."""
NO_WORD = "its probe had said nothing yet when it was seen last"
AgentLate = Callable[[float, float], float]
"""By how much whoever watches was late itself between two moments."""


class Seen(msgspec.Struct):
    """One stall as the probe told it."""

    loop: str
    stall: Stall
    in_progress: bool = False
    """When it was told last."""


class _Baseline(msgspec.Struct, frozen=True):
    """What there was when judging began."""

    at: float
    """CLOCK_MONOTONIC."""
    delays: dict[str, Histogram] = {}
    longest: dict[str, float] = {}
    errors: tuple[int | None, ...] = ()


class Record:
    """One process."""

    def __init__(self, key: WorkerKey, name: str, born: float, limits: Limits, bounds: StallBounds) -> None:
        self.key, self.name, self.born = key, name, born
        self.case = Case.of(key, 0.0)
        self.latest: ProbeVitals | None = None
        self.unread = ""
        """Why nothing was read of it, or nothing from some moment on."""
        self.pardon = ""
        self._limits, self._bounds = limits, bounds
        self._baseline: _Baseline | None = None
        """None until `--after` has passed."""
        self._heap = HeapSeries()
        self._stalls: list[Seen] = []
        self._newest = 0
        """The number of the latest stall that was told."""
        self._last_at = born

    @property
    def stalled(self) -> bool:
        """Whether it had a stall."""
        return bool(self._stalls)

    def take(self, vitals: ProbeVitals, now: float) -> None:
        """What the probe tells at CLOCK_MONOTONIC `now`."""
        self.latest, self._last_at = vitals, now
        if self._baseline is None and now - self.born >= self._limits.after_seconds:
            self._baseline = _Baseline(self.born)
            if self._limits.after_seconds:
                delays = {loop.name: loop.delay for loop in vitals.loops}
                longest = {loop.name: loop.delay_max_seconds for loop in vitals.loops}
                self._baseline = _Baseline(now, delays, longest, vitals.unhandled_errors)
        self._heap.add(now - self.born, vitals.heap_used_bytes, vitals.heap_live_bytes)
        told = [(loop.name, stall) for loop in vitals.loops for stall in loop.recent_stalls]
        for name, stall in told:
            if stall.number > self._newest and not is_for_computing(vitals.runtime, name):
                self._keep(Seen(name, stall))
        self._newest = max((stall.number for _, stall in told), default=self._newest)

    def _keep(self, seen: Seen) -> None:
        self._stalls.append(seen)
        if len(self._stalls) > KEPT_STALLS:
            self._stalls.remove(min(self._stalls, key=lambda one: one.stall.duration_seconds))

    def finish(self, wall_offset: float, agent_late: AgentLate) -> ProcessRun:
        """All of it; `wall_offset` is what CLOCK_MONOTONIC lacks to unix time."""
        vitals = self.latest
        lived = max(0.0, self._last_at - self.born)
        if vitals is None:
            unread = self.unread or NO_WORD
            growth = NotMeasured(unread)
            return ProcessRun(self.name, self.key.pid, "", "", lived, (), growth, None, self.pardon, unread=unread)
        told_off = self.pardon
        if self._baseline is None and not told_off:
            after = self._limits.after_seconds
            told_off = f"it lived for {lived:.1f} s, and the first {after:g} s of each process are left out"
        if not told_off:
            self._take_in_progress(vitals, wall_offset)
        stalls = [self._judged(vitals, seen, wall_offset, agent_late) for seen in self._stalls]
        return ProcessRun(
            name=self.name,
            pid=self.key.pid,
            runtime=sound(vitals.runtime),
            version=sound(vitals.version),
            lived_seconds=lived,
            loops=tuple(
                self._loop(loop, [stall for stall in stalls if stall.evidence.loop == loop.name])
                for loop in vitals.loops
                if not is_for_computing(vitals.runtime, loop.name)
            ),
            growth=measured(self._heap.points, vitals.runtime, lived) if not told_off else NotMeasured(told_off),
            errors=self._errors(vitals),
            pardon=told_off,
            unread=self.unread,
            problems=tuple(map(sound, vitals.lost)),
        )

    def _take_in_progress(self, vitals: ProbeVitals, wall_offset: float) -> None:
        """A loop that had not come back when the process was seen last."""
        for loop in vitals.loops:
            going = loop.current_stall
            if going is None or is_for_computing(vitals.runtime, loop.name):
                continue
            ended_at = self._last_at + wall_offset
            stall = Stall(0, going.since, ended_at, going.seconds, None, 0.0, loop.ready_callbacks, going.stacks)
            self._keep(Seen(loop.name, stall, in_progress=True))

    def _judged(self, vitals: ProbeVitals, seen: Seen, wall_offset: float, agent_late: AgentLate) -> RunStall:
        stall = seen.stall
        told = self.case.take_seen(seen.loop, stall.since, stall.duration_seconds)
        host = told.host if told is not None else HostEvidence()
        late = max(host.agent_late_seconds, agent_late(stall.since, stall.since + stall.duration_seconds))
        worker = WorkerSample("", "", self.key, 0.0, True, "", "probe", None, vitals)
        evidence = joined(worker, seen.loop, stall, told, msgspec.structs.replace(host, agent_late_seconds=late))
        evidence = msgspec.structs.replace(evidence, in_progress=seen.in_progress)
        verdict = decide(evidence)
        began = stall.since - self.born
        why = pardon(evidence, verdict, began, self._limits.after_seconds, self._bounds)
        return RunStall(evidence, verdict, stall.since + wall_offset, sound(why))

    def _loop(self, loop: LoopVitals, stalls: list[RunStall]) -> LoopRun:
        baseline = self._baseline or _Baseline(self._last_at, {loop.name: loop.delay})
        pardoned = [stall.evidence for stall in stalls if stall.pardon]
        left_out = [one.seconds - max(0.0, baseline.at - one.since) for one in pardoned]
        judged = delay.less(loop.delay, baseline.delays.get(loop.name))
        all_known = sum(not stall.evidence.in_progress for stall in stalls) >= loop.stalls
        known = max((stall.evidence.seconds for stall in stalls), default=0.0)
        lost = not all_known and loop.delay_max_seconds > max(known, baseline.longest.get(loop.name, 0.0))
        return LoopRun(
            name=loop.name,
            thread=sound(loop.thread),
            delay=delay.without(judged, [seconds for seconds in left_out if seconds > 0]),
            stalls=tuple(sorted(stalls, key=lambda stall: -stall.evidence.seconds)),
            all_known=all_known,
            lost_seconds=loop.delay_max_seconds if lost else 0.0,
        )

    def _errors(self, vitals: ProbeVitals) -> tuple[Errors, ...] | None:
        """None where they are not known: none that was counted is not the same as none."""
        if all(count is None for count in vitals.unhandled_errors):
            return None
        before = self._baseline.errors if self._baseline is not None else vitals.unhandled_errors
        found: list[Errors] = []
        for index, channel in enumerate(ERROR_CHANNELS):
            count = (vitals.unhandled_errors[index] or 0) - ((before[index] or 0) if before else 0)
            if count <= 0:
                continue
            latest = vitals.latest_errors[index] if vitals.latest_errors else None
            error = latest or UnhandledError(0, "", ())
            found.append(Errors(channel, count, sound(error.type), error.frames))
        if not found and any(line.startswith(ERRORS_LOST) for line in vitals.lost):
            return None
        return tuple(found)
