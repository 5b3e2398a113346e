"""
What one process did, from the first that its probe told to the last.

Counters are taken whole, or from the reading at which `--after` had passed; stalls one by one from the ring, with
what the observer and the stacks from outside told of each. Bounded, whatever a process does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import msgspec

from vitalsd.budget import delay
from vitalsd.budget.growth import HeapSeries, measured
from vitalsd.budget.model import Dropped, Errors, Limits, LoopRun, NotMeasured, ProcessRun, RunStall
from vitalsd.budget.own import OUTSIDE, own_seconds, own_verdict
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

__all__ = ["SETTLED_SECONDS", "AgentLate", "Record", "Seen"]

KEPT_STALLS = 256
"""Of a process, the longest that count, and as many that do not; each has up to three stacks."""
SETTLED_SECONDS = 5.0
"""After a stall was told: by then the observer has said what it saw of it."""
ERRORS_LOST = "errors:"
"""How a line of a probe begins that has given up counting them."""
NO_WORD = "its probe had said nothing yet when it was seen last"
AgentLate = Callable[[float, float], float]
"""By how much whoever watches was late itself between two moments."""


class Seen(msgspec.Struct):
    """One stall as the probe told it."""

    loop: str
    stall: Stall
    told_at: float = 0.0
    """CLOCK_MONOTONIC."""
    in_progress: bool = False
    """When it was told last."""


class _Tally:
    """What is known of all stalls of one loop, however few are kept."""

    def __init__(self) -> None:
        self.taken, self.seconds = 0, 0.0
        """How many that were over were read, and how long they were together."""
        self.off = delay.Stretches()
        """What is not to count of its delay."""
        self.dropped = Dropped()

    def lost(self, loop: LoopVitals) -> _Lost:
        """What of the loop's stalls was not read."""
        return _Lost(max(0, loop.stalls - self.taken), max(0.0, loop.stall_seconds - self.seconds))


class _Lost(msgspec.Struct, frozen=True):
    """Stalls that were not read: how many, and how long together."""

    count: int = 0
    seconds: float = 0.0


class _Baseline(msgspec.Struct, frozen=True):
    """What there was when judging began."""

    at: float
    """CLOCK_MONOTONIC."""
    delays: dict[str, Histogram] = {}
    longest: dict[str, float] = {}
    lost: dict[str, _Lost] = {}
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
        self._pending: list[Seen] = []
        """Not judged yet."""
        self._judged: list[RunStall] = []
        self._pardoned: list[RunStall] = []
        self._tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._newest = 0
        """The number of the latest stall that was told."""
        self._last_at = born

    @property
    def stalled(self) -> bool:
        """Whether it had a stall lately, of which more may be said."""
        return bool(self._pending)

    def take(self, vitals: ProbeVitals, now: float) -> None:
        """What the probe tells at CLOCK_MONOTONIC `now`."""
        self.latest, self._last_at = vitals, now
        self._take_stalls(vitals, now)
        if self._baseline is None and now - self.born >= self._limits.after_seconds:
            self._baseline = _Baseline(self.born)
            if self._limits.after_seconds:
                delays = {loop.name: loop.delay for loop in vitals.loops}
                longest = {loop.name: loop.delay_max_seconds for loop in vitals.loops}
                lost = {loop.name: self._tallies[loop.name].lost(loop) for loop in vitals.loops}
                self._baseline = _Baseline(now, delays, longest, lost, vitals.unhandled_errors)
        self._heap.add(now - self.born, vitals.heap_used_bytes, vitals.heap_live_bytes)

    def _take_stalls(self, vitals: ProbeVitals, now: float) -> None:
        told = [(loop.name, stall) for loop in vitals.loops for stall in loop.recent_stalls]
        for name, stall in told:
            if stall.number > self._newest and not is_for_computing(vitals.runtime, name):
                self._pending.append(Seen(name, stall, now))
                self._tallies[name].taken += 1
                self._tallies[name].seconds += stall.duration_seconds
        self._newest = max((stall.number for _, stall in told), default=self._newest)

    def settle(self, until: float, wall_offset: float, agent_late: AgentLate) -> None:
        """Judge the stalls that were told until then, and keep the longest: those that count before any other."""
        vitals = self.latest
        if vitals is None:
            return
        due = [seen for seen in self._pending if seen.told_at <= until]
        self._pending = [seen for seen in self._pending if seen.told_at > until]
        for seen in due:
            stall = self._judge(vitals, seen, wall_offset, agent_late)
            tally = self._tallies[seen.loop]
            self._take_off(tally.off, stall)
            kept = self._pardoned if stall.pardon else self._judged
            kept.append(stall)
            if len(kept) <= KEPT_STALLS:
                continue
            shortest = min(kept, key=lambda one: one.seconds)
            kept.remove(shortest)
            if not shortest.pardon:
                of_it = self._tallies[shortest.evidence.loop]
                of_it.dropped = of_it.dropped.with_one(shortest, self._limits)

    def _take_off(self, off: delay.Stretches, stall: RunStall) -> None:
        """What is not to count of the delay since judging began: all of it, or what the host had it wait."""
        if self._baseline is None:
            return
        seconds = stall.evidence.seconds - max(0.0, self._baseline.at - stall.evidence.since)
        own = 0.0 if stall.pardon else min(stall.seconds, seconds)
        if seconds > own:
            off.add(seconds)
            off.add(own, -1)

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
        self.settle(math.inf, wall_offset, agent_late)
        stalls = [*self._judged, *self._pardoned]
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
            self._pending.append(Seen(loop.name, stall, self._last_at, in_progress=True))

    def _judge(self, vitals: ProbeVitals, seen: Seen, wall_offset: float, agent_late: AgentLate) -> RunStall:
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
        started_at = stall.since + wall_offset
        if why:
            return RunStall(evidence, verdict, started_at, sound(why))
        own = own_seconds(evidence, verdict)
        if verdict.cause in OUTSIDE:
            verdict = own_verdict(evidence, verdict, own)
        return RunStall(evidence, verdict, started_at, "", own if own < evidence.seconds else None)

    def _loop(self, loop: LoopVitals, stalls: list[RunStall]) -> LoopRun:
        baseline = self._baseline or _Baseline(self._last_at, {loop.name: loop.delay})
        tally = self._tallies[loop.name]
        judged = delay.less(loop.delay, baseline.delays.get(loop.name))
        lost, before = tally.lost(loop), baseline.lost.get(loop.name, _Lost())
        count = max(0, lost.count - before.count)
        known = max((stall.evidence.seconds for stall in stalls), default=0.0)
        is_longest = count > 0 and loop.delay_max_seconds > max(known, baseline.longest.get(loop.name, 0.0))
        return LoopRun(
            name=loop.name,
            thread=sound(loop.thread),
            delay=delay.without(judged, tally.off),
            stalls=tuple(sorted(stalls, key=lambda stall: -stall.seconds)),
            dropped=tally.dropped,
            lost=count,
            lost_seconds=loop.delay_max_seconds if is_longest else 0.0,
            lost_at_most_seconds=min(loop.delay_max_seconds, lost.seconds - before.seconds) if count else 0.0,
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
