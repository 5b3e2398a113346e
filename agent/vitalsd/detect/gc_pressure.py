"""
Finds `gc_pressure`: garbage collection that takes a worker's time, window after window, or long pauses that recur.

From the collector's counters, as the probe has them. A pause that made the loop late is a `stall` of its own; here
it is the load that stays. One collection, and what start-up leaves to be collected, are neither.
"""

from __future__ import annotations

import msgspec

from vitalsd.detect.probed import no_probe_reason
from vitalsd.detect.registry import Judgement, Seen, StateName, fired, nothing, register
from vitalsd.detect.words import percent
from vitalsd.history.garbage import Collected
from vitalsd.model import GC_BOUNDS_SECONDS, Finding, ProbeVitals, Severity, gc_names
from vitalsd.settings.model import Settings

__all__ = ["GcBounds", "GcPressureDetector"]

HELD_SHARE = 0.5
"""Of the bound, in each third of a window: a minute of it would make up for two otherwise."""
CRITICAL_TIMES = 5
"""Half of the time by default: the service does little else."""
CRITICAL_PAUSE_TIMES = 4
"""Pauses of a second by default, at which health checks begin to fail."""


ADVICE_OF_NODE = {
    "minor": "make fewer objects that live for a moment, or give the young more room (--max-semi-space-size)",
    "incremental": "make fewer objects that live for long, or give the heap more room (--max-old-space-size)",
    "major": "see whether the heap is near its limit: give it more room (--max-old-space-size), or keep less",
}


class GcBounds(msgspec.Struct, frozen=True):
    """From when on it is a warning."""

    share: float = 0.1
    window_seconds: float = 60.0
    pause_seconds: float = 0.25
    pauses: int = 3
    pauses_within_seconds: float = 600.0


@register
class GcPressureDetector:
    """The rule `gc_pressure`."""

    kind = "gc_pressure"

    def __init__(self, settings: Settings) -> None:
        memory = settings.memory
        self.bounds = GcBounds(
            share=memory.gc_percent / 100,
            window_seconds=memory.gc_window,
            pause_seconds=memory.gc_pause,
            pauses=memory.gc_pauses,
            pauses_within_seconds=memory.gc_pauses_within,
        )

    def judge(self, seen: Seen) -> Judgement:
        """Whether collections take too much of the time, or stop the worker again and again."""
        reason = no_probe_reason(seen, "collections")
        probe = seen.samples[-1].probe if seen.samples else None
        if reason is not None or probe is None or seen.past is None:
            return nothing(self.kind, seen, "unavailable", reason or "nothing is known of this worker")
        windows, lately = seen.past.garbage.windows(), seen.past.garbage.lately()
        loaded = [collected for collected in windows if collected.share >= self.bounds.share]
        recurring = sum(lately.longer(self.bounds.pause_seconds)) if lately is not None else 0
        by_share = len(loaded) == 2 and seen.past.garbage.least_share() >= HELD_SHARE * self.bounds.share
        if by_share or (recurring >= self.bounds.pauses and lately is not None):
            held = _joined(windows) if by_share or lately is None else lately
            finding = self._finding(seen, probe, held, by_share=by_share, recurring=recurring)
            return fired(self.kind, seen, finding)
        if not windows or lately is None:
            return nothing(self.kind, seen, "quiet", "it has not run for long enough since it settled")
        state: StateName = "watching" if windows[0] in loaded or recurring else "quiet"
        return nothing(self.kind, seen, state, self._why_not(windows, recurring))

    def is_quiet(self, seen: Seen) -> bool:
        """Where the latest window is calm and no long pauses recur, there is nothing."""
        if seen.past is None:
            return True
        garbage = seen.past.garbage
        calm = garbage.share() < self.bounds.share
        return calm and garbage.pauses_longer(self.bounds.pause_seconds) < self.bounds.pauses

    def _finding(
        self, seen: Seen, probe: ProbeVitals, held: Collected, *, by_share: bool, recurring: int
    ) -> Finding:
        of_time = held.seconds.index(max(held.seconds))
        longer = held.longer(self.bounds.pause_seconds)
        generation = of_time if by_share else longer.index(max(longer))
        name = gc_names(probe.runtime)[generation]
        where = f"of the {name} kind" if probe.runtime == "node" else f"in generation {name}"
        if by_share:
            critical = held.share >= CRITICAL_TIMES * self.bounds.share
            told = f"spends {percent(held.share)} of its time collecting garbage"
            rate = held.counts[generation] / held.wall_seconds
            details = f"{_often(rate)} {where}, {_longest(held)}, for {_minutes(held)}"
        else:
            critical = sum(held.longer(CRITICAL_PAUSE_TIMES * self.bounds.pause_seconds)) >= self.bounds.pauses
            told = f"was stopped {recurring} times in {_minutes(held)} by collections of more than {self._pause()}"
            details = f"{where}, {_longest(held)}"
        severity: Severity = "critical" if critical else "warning"
        longest = held.longest_between
        advice = ADVICE_OF_NODE[name] if probe.runtime == "node" else _advice(held, generation)
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity=severity,
            at=seen.now,
            summary=f"Worker {seen.worker} of `{seen.target}` {told} ({details}); {advice}.",
            started_at=seen.now - held.wall_seconds,
            evidence={
                "generation": name if probe.runtime == "node" else generation,
                "share": round(held.share, 4),
                "window_seconds": round(held.wall_seconds, 1),
                "seconds_by_generation": [round(seconds, 3) for seconds in held.seconds],
                "collections_by_generation": list(held.counts),
                "longest_between_seconds": list(longest) if longest is not None else None,
                "long_pauses": recurring,
                "objects": probe.heap_blocks,
                "objects_live": probe.heap_live_blocks,
                "reason": f"{percent(held.share)} of {held.wall_seconds:.0f} s; over {self._pause()}: {recurring}",
            },
        )

    def _why_not(self, windows: tuple[Collected, ...], recurring: int) -> str:
        latest = windows[0]
        told = f"collections took {percent(latest.share)} of the last {latest.wall_seconds:.0f} s"
        told += f", bound {percent(self.bounds.share)} in two windows in a row"
        if all(window.share >= self.bounds.share for window in windows) and len(windows) == 2:
            told += ", and not in bursts"
        pauses = f"{recurring} of {self.bounds.pauses}" if recurring else "none"
        return f"{told}; pauses over {self._pause()} in {self.bounds.pauses_within_seconds:.0f} s: {pauses}"

    def _pause(self) -> str:
        """The bucket's bound that holds."""
        fitting = [bound for bound in GC_BOUNDS_SECONDS if bound >= self.bounds.pause_seconds]
        return f"{(fitting[0] if fitting else self.bounds.pause_seconds) * 1000:.0f} ms"


def _joined(windows: tuple[Collected, ...]) -> Collected:
    """One window of all."""
    by_generation = zip(*(window.seconds for window in windows), strict=True)
    pauses = zip(*(window.pauses for window in windows), strict=True)
    return Collected(
        wall_seconds=sum(window.wall_seconds for window in windows),
        seconds=tuple(map(sum, by_generation)),
        pauses=tuple(tuple(map(sum, zip(*counts, strict=True))) for counts in pauses),
    )


def _advice(held: Collected, generation: int) -> str:
    """By which generation it is, and whether the collector or somebody else starts it."""
    counts = held.counts
    if generation == len(counts) - 1 > 0:
        if counts[generation] > counts[generation - 1]:  # by itself it is a tenth of the younger one, at most
            return "somebody calls gc.collect() again and again: take those calls out"
        return "freeze what stays after start-up (gc.freeze), or collect less often (gc.set_threshold)"
    return "make fewer container objects, or collect less often (gc.set_threshold)"


def _often(per_second: float) -> str:
    return f"{per_second:.1f} a second" if per_second >= 1 else f"{per_second * 60:.1f} a minute"


def _longest(held: Collected) -> str:
    longest = held.longest_between
    if longest is None:
        return "none told"
    lower, upper = longest
    return f"the longest over {lower:g} s" if upper is None else f"the longest {_ms(lower)} to {_ms(upper)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:g} ms"


def _minutes(held: Collected) -> str:
    seconds = held.wall_seconds
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
