"""
Finds `starvation`: a loop that turns, and yet whatever arrives waits, over a held time.

From the delay histogram and the ready queue of consecutive samples. A loop whose lateness is one stall after
another is told as `stall`; here it is the many short callbacks of which no single one is to blame. Where its
thread waits for a processor for most of the busy time, the host is to blame: that is told of the target, with its
stalls of that cause, and a worker without work keeps nobody waiting. What waits since a capture of ours has held
the loop is no starvation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from vitalsd.detect.holds import overlaps
from vitalsd.detect.loops import LoopView, loops_of, no_loop_reason
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.detect.words import ADVICE, duration, percent, place
from vitalsd.model import OWN_TARGET, Cause, Finding, Frame, Histogram, Hold, Severity, WorkerSample
from vitalsd.settings.model import Settings

__all__ = ["StarvationBounds", "StarvationDetector", "quantile"]

READY_LONG = 100
"""facts B5, step 5: with more callbacks ready, it is their number that makes arrivals wait."""
STEP_SECONDS = 5.0
"""A wait for events that lasts is booked when it is over; it keeps nobody waiting."""
CONTENDED_SHARE = 0.5
"""Of the busy time, waiting for a processor: with one of its own it would be late half as much."""
IDLE_SHARE = 0.01
"""Of a core: less is done by a server that nobody asks for anything."""
STALLED_SHARE = 0.5
"""Of the busy time: when stalls make up so much of it, they explain the delay."""


class StarvationBounds(msgspec.Struct, frozen=True):
    """DESIGN 9: warn at a mean of 50 ms or a p99 of 100 ms; critical where health checks fail too."""

    mean_seconds: float = 0.05
    p99_seconds: float = 0.1
    critical_p99_seconds: float = 0.5
    ready_callbacks: int = 1000
    held_seconds: float = 10.0


class Stretch(msgspec.Struct, frozen=True):
    """One loop between two samples."""

    seconds: float
    delay: Histogram
    busy_seconds: float
    stalled_seconds: float
    turns: bool
    ready: int | None
    waited_seconds: float | None = None
    """For a processor, by the main thread; None where that is not known."""


class Held(msgspec.Struct, frozen=True):
    """What holds without a break up to the latest sample."""

    loop: str
    stretches: tuple[Stretch, ...]
    """Oldest first."""

    @property
    def seconds(self) -> float:
        """For how long."""
        return sum(stretch.seconds for stretch in self.stretches)

    @property
    def delay(self) -> Histogram:
        """All delays of the time."""
        first = self.stretches[0].delay
        columns = zip(*(stretch.delay.buckets for stretch in self.stretches), strict=True)
        total = sum(stretch.delay.sum for stretch in self.stretches)
        return Histogram(first.bounds, tuple(sum(column) for column in columns), total)

    @property
    def stalled_share(self) -> float:
        """Of the busy time, in stalls."""
        busy = sum(stretch.busy_seconds for stretch in self.stretches)
        return min(1.0, sum(stretch.stalled_seconds for stretch in self.stretches) / busy) if busy > 0 else 0.0

    @property
    def busy_share(self) -> float:
        """Of all time."""
        return min(1.0, sum(stretch.busy_seconds for stretch in self.stretches) / self.seconds)

    @property
    def waited_share(self) -> float:
        """Of the busy time, for a processor; 0 where it is not known."""
        busy = sum(stretch.busy_seconds for stretch in self.stretches)
        waited = sum(stretch.waited_seconds or 0.0 for stretch in self.stretches)
        return min(1.0, waited / busy) if busy > 0 and self.loop == "main" else 0.0

    @property
    def worked_share(self) -> float:
        """Of all time, neither idle nor waiting for a processor."""
        return self.busy_share * (1 - self.waited_share)

    @property
    def ready(self) -> int | None:
        """How many callbacks waited, at the fewest."""
        counts = [stretch.ready for stretch in self.stretches]
        known = [count for count in counts if count is not None]
        return min(known) if known and len(known) == len(counts) else None


def quantile(histogram: Histogram, share: float) -> float:
    """The delay that `share` of the samples stay within, as Prometheus interpolates it."""
    rank = share * histogram.buckets[-1]
    before, lower = 0, 0.0
    for bound, count in zip(histogram.bounds, histogram.buckets, strict=False):
        if count >= rank:
            return lower + (bound - lower) * ((rank - before) / (count - before) if count > before else 0.0)
        before, lower = count, bound
    return lower


def mean(histogram: Histogram) -> float:
    """The mean delay."""
    return histogram.sum / histogram.buckets[-1] if histogram.buckets[-1] > 0 else 0.0


@register
class StarvationDetector:
    """The rule `starvation`."""

    kind = "starvation"

    def __init__(self, _settings: Settings, bounds: StarvationBounds | None = None) -> None:
        self.bounds = bounds if bounds is not None else StarvationBounds()

    def judge(self, seen: Seen) -> Judgement:
        """Whether any loop of the worker starves its arrivals."""
        latest = seen.samples[-1] if seen.samples else None
        loops = loops_of(latest) if latest is not None else ()
        if latest is None or not loops:
            return nothing(self.kind, seen, "unavailable", no_loop_reason(latest))
        held = [self._held(seen, loop.name) for loop in loops]
        starving = [one for one in held if one.stretches and one.seconds >= self.bounds.held_seconds]
        to_tell = [one for one in starving if one.stalled_share < STALLED_SHARE and not _is_nobodys(seen, one)]
        findings = tuple(self._finding(seen, latest, one) for one in to_tell)
        if findings:
            return fired(self.kind, seen, *findings)
        if starving and _is_nobodys(seen, starving[0]):
            reason = f"nobody waits for it, and it has no processor for {percent(starving[0].waited_share)}"
            return nothing(self.kind, seen, "watching", f"{reason} of the busy time ({_told(starving[0])})")
        if starving:
            share = percent(starving[0].stalled_share)
            reason = f"arrivals wait ({_told(starving[0])}), but {share} of the busy time are stalls: see `stall`"
            return nothing(self.kind, seen, "watching", reason)
        over = max(held, key=lambda one: one.seconds)
        if over.stretches:
            so_far = f"held for {over.seconds:.0f} of {self.bounds.held_seconds:.0f} s"
            return nothing(self.kind, seen, "watching", f"{_told(over)}: {so_far}")
        return nothing(self.kind, seen, "quiet", self._quiet(seen.samples, [loop.name for loop in loops]))

    def is_quiet(self, seen: Seen) -> bool:
        """Where nothing waits now, nothing has waited up to now."""
        latest = [next(_stretches(seen.samples, loop.name), None) for loop in loops_of(seen.samples[-1])]
        return not any(stretch is not None and self._waits(stretch) for stretch in latest)

    def _held(self, seen: Seen, loop: str) -> Held:
        """The latest stretches in a row in which arrivals waited, as many as make up the time."""
        found: list[Stretch] = []
        seconds = 0.0
        for stretch in _stretches(seen.samples, loop, seen.holds):
            if stretch is None or not self._waits(stretch) or seconds >= self.bounds.held_seconds:
                break
            found.append(stretch)
            seconds += stretch.seconds
        return Held(loop, tuple(reversed(found)))

    def _waits(self, stretch: Stretch) -> bool:
        if not stretch.turns:
            return False  # it does not turn: that is a stall
        if stretch.ready is not None and stretch.ready > self.bounds.ready_callbacks:
            return True
        if stretch.delay.buckets[-1] <= 0:
            return False
        over_mean = mean(stretch.delay) > self.bounds.mean_seconds
        return over_mean or quantile(stretch.delay, 0.99) > self.bounds.p99_seconds

    def _finding(self, seen: Seen, latest: WorkerSample, held: Held) -> Finding:
        p99, average, ready = quantile(held.delay, 0.99), mean(held.delay), held.ready
        flooded = ready is not None and ready > READY_LONG
        contended = held.waited_share >= CONTENDED_SHARE
        cause: Cause | None = "cpu_contention" if contended else "ready_flood" if flooded else None
        culprit = _flooder(seen) if flooded and not contended else None
        severity: Severity = "critical" if p99 > self.bounds.critical_p99_seconds else "warning"
        loop = "" if held.loop == "main" else f", loop {held.loop},"
        by = f", mostly those of {place(culprit)}" if culprit is not None else ""
        advice = ADVICE["cpu_contention"] if contended else "bound how much work is taken on at once"
        why = f"at least {ready} callbacks are ready at any time{by}" if flooded else "each turn takes too long"
        if contended:
            why = f"its thread waits for a processor for {percent(held.waited_share)} of the busy time"
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker="" if contended else seen.worker,
            severity=severity,
            at=seen.now,
            summary=(
                f"Worker {seen.worker} of `{seen.target}`{loop} turns its loop, but what arrives waits: "
                f"{_told(held)} for {held.seconds:.0f} s, as {why}; {advice}."
            ),
            cause=cause,
            culprit=culprit,
            started_at=latest.at - held.seconds,
            evidence={
                "loop": held.loop,
                "p99_seconds": round(p99, 4),
                "mean_seconds": round(average, 4),
                "held_seconds": round(held.seconds, 1),
                "busy_share": round(held.busy_share, 3),
                "ready_callbacks": ready,
                "tasks": latest.probe.tasks if latest.probe is not None else None,
                "reason": f"{_told(held)} over {held.seconds:.0f} s, stalls {percent(held.stalled_share)}",
            },
        )

    def _quiet(self, samples: Sequence[WorkerSample], loops: Sequence[str]) -> str:
        bounds = f"its bounds are {_ms(self.bounds.p99_seconds)} and {_ms(self.bounds.mean_seconds)}"
        latest = [next(_stretches(samples, loop), None) for loop in loops]
        told = [stretch for stretch in latest if stretch is not None and stretch.delay.buckets[-1] > 0]
        if not told:
            return f"nothing to compare with yet; {bounds}"
        worst = max(told, key=lambda stretch: quantile(stretch.delay, 0.99))
        return f"p99 is {_ms(quantile(worst.delay, 0.99))}, mean {_ms(mean(worst.delay))}; {bounds}"


def _stretches(samples: Sequence[WorkerSample], loop: str, holds: Sequence[Hold] = ()) -> Iterator[Stretch | None]:
    """
    Latest first; None where two samples do not join: another process, a new loop, a step of the clock, and where
    a capture of ours has held it.
    """
    for newer, older in pairwise(reversed(samples)):
        if any(overlaps(hold, older.at, newer.at) for hold in holds):
            yield None
            continue
        after, before = _loop(newer, loop), _loop(older, loop)
        if after is None or before is None or newer.key != older.key or newer.lag_source != older.lag_source:
            yield None
            continue
        yield _stretch(newer.at - older.at, before, after, _waited(older, newer))


def _loop(sample: WorkerSample, name: str) -> LoopView | None:
    return next((loop for loop in loops_of(sample) if loop.name == name), None)


def _waited(before: WorkerSample, after: WorkerSample) -> float | None:
    first = before.cpu.runqueue_seconds if before.cpu is not None else None
    last = after.cpu.runqueue_seconds if after.cpu is not None else None
    return max(0.0, last - first) if first is not None and last is not None else None


def _is_nobodys(seen: Seen, held: Held) -> bool:
    """Whether it waits for a processor, and has next to nothing to do there, or is the agent itself."""
    waits = held.waited_share >= CONTENDED_SHARE
    return waits and (held.worked_share < IDLE_SHARE or seen.target == OWN_TARGET)


def _stretch(seconds: float, before: LoopView, after: LoopView, waited: float | None) -> Stretch | None:
    columns = zip(after.delay.buckets, before.delay.buckets, strict=False)
    buckets = tuple(new - old for new, old in columns)
    busy = after.busy_seconds - before.busy_seconds
    if (
        not seconds > 0
        or not buckets
        or min(buckets) < 0
        or not busy >= 0
        or after.delay.bounds != before.delay.bounds
    ):
        return None
    if seconds > STEP_SECONDS + 2 * (busy + max(0.0, after.idle_seconds - before.idle_seconds)):
        return None  # the loop has lived through much less: the clock was set
    lasting = after.current_stall.seconds if after.current_stall is not None else 0.0
    stalled = max(0.0, after.stall_seconds - before.stall_seconds) + min(seconds, lasting)
    counted = after.iterations is not None and before.iterations is not None
    turns = not counted or after.iterations != before.iterations  # without a count, stalls tell that it does not
    delay = Histogram(after.delay.bounds, buckets, after.delay.sum - before.delay.sum)
    ready = None
    if after.ready_callbacks is not None and before.ready_callbacks is not None:
        ready = min(before.ready_callbacks, after.ready_callbacks)
    return Stretch(seconds, delay, busy, stalled, turns, ready, waited)


def _flooder(seen: Seen) -> Frame | None:
    """Who filled the queue, if a stall of the same time tells."""
    told = (verdict.culprit for _, verdict, _ in reversed(seen.stalls) if verdict.cause == "ready_flood")
    return next((culprit for culprit in told if culprit is not None), None)


def _told(held: Held) -> str:
    ready = f", {held.ready} callbacks ready" if held.ready is not None and held.ready > READY_LONG else ""
    return f"p99 {duration(quantile(held.delay, 0.99))}, mean {duration(mean(held.delay))}{ready}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
