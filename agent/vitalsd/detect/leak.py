"""
Finds `leak`, `growth` and `fragmentation`: memory that is not given back, what may be that, and what is not.

From the worker's series over time, see `growth`. A leak is proven: from inside within hours, from outside within a
day. Growth is what has that shape and is not proven yet; it says what would prove it, and never pages.
"""

from __future__ import annotations

import msgspec

from vitalsd.detect.growth.grown import Grown
from vitalsd.detect.growth.pool import Pool, pool_of
from vitalsd.detect.growth.series import Suspicion
from vitalsd.detect.growth.shape import Rise
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.detect.growth.words import in_days, not_yet, rate, settling, size, span
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.model import Finding, Severity
from vitalsd.settings.model import Settings
from vitalsd.times import rfc3339

__all__ = ["FragmentationDetector", "GrowthDetector", "LeakDetector"]

CRITICAL_SECONDS = 6 * 3600.0
"""A leak that meets the limit so soon does not wait for office hours."""
PROOF = {"memory": "its memory", "heap": "its live heap", "blocks": "the number of its allocated blocks"}


def _unknown(kind: str, seen: Seen) -> Judgement:
    young = settling(seen.growth)
    if young is not None:
        return nothing(kind, seen, "quiet", young)
    return nothing(kind, seen, "unavailable", "its memory is not known yet")


def _evidence(watch: GrowthWatch, grown: Grown) -> dict[str, object]:
    rise = grown.rise
    found: dict[str, object] = {
        "since": rfc3339(grown.found_at),
        "began_at": rfc3339(grown.began_at),
        "proven_by": grown.by,
        "window_seconds": rise.window_seconds,
        "grew": round(rise.grew),
        "grew_share": round(rise.share, 4),
        "steadiness": round(rise.steadiness, 1),
        "against": rise.view,
        "floors": [round(floor) for floor in rise.floors],
        "bytes_per_second": round(grown.per_second, 1),
        "memory_bytes": round(watch.memory.latest or 0.0),
        "peak_bytes": round(grown.peak) if grown.peak is not None else None,
        "limit_bytes": round(grown.limit) if grown.limit is not None else None,
        "left_bytes": round(grown.left) if grown.left is not None else None,
        "time_to_limit_seconds": round(grown.seconds_left) if grown.seconds_left is not None else None,
        "live_heap_share": round(grown.heap_share, 3) if grown.heap_share is not None else None,
        "lifetimes": watch.lifetimes,
    }
    return {name: value for name, value in found.items() if value is not None}


def _grew(rise: Rise, by: str, day_seconds: float) -> str:
    amount = f"{rise.grew:.0f}" if by == "blocks" else size(rise.grew)
    against = {
        "level": "above everything before",
        "day": in_days("above the same {hours} of the {day} before", day_seconds),
        "birth": "since it began",
        "limit": "above everything before, and its peaks are about to meet the limit",
    }[rise.view]
    grew = f"{amount} ({rise.share * 100:.0f} %) in {span(rise.window_seconds)}"
    return f"{PROOF[by]} has grown steadily by {grew}, {against}"


@register
class LeakDetector:
    """The rule `leak`."""

    kind = "leak"

    def __init__(self, settings: Settings) -> None:
        self._day_seconds = settings.memory.day

    def is_quiet(self, seen: Seen) -> bool:
        """Nothing is proven."""
        return seen.growth is None or seen.growth.grown is None

    def judge(self, seen: Seen) -> Judgement:
        """What is proven, or why nothing is."""
        watch = seen.growth
        if watch is None or watch.memory.latest is None:
            return _unknown(self.kind, seen)
        grown = watch.grown
        if grown is None or grown.kind != "leak":
            if grown is not None:
                return nothing(self.kind, seen, "quiet", "memory grows, and the live heap does not")
            return nothing(self.kind, seen, "quiet", not_yet(watch.memory, "its memory"))
        pool = pool_of(watch, seen.peers, grown.rise)
        if pool.is_load and grown.by == "memory" and grown.rise.window_seconds < self._day_seconds:
            grew = _grew(grown.rise, grown.by, self._day_seconds)
            longer = in_days("a window of a {day}", self._day_seconds)
            reason = (
                f"{grew}, but so have all {pool.others} others of other ages, and none is larger for being older: "
                f"that is load, unless {longer} shows it too"
            )
            return nothing(self.kind, seen, "watching", reason)
        finding = self._finding(seen, watch, grown, pool)
        return fired(self.kind, seen, finding)

    def _finding(self, seen: Seen, watch: GrowthWatch, grown: Grown, pool: Pool) -> Finding:
        left = grown.seconds_left
        severity: Severity = "critical" if left is not None and left < CRITICAL_SECONDS else "warning"
        about = f" about {rate(grown.per_second)}" if grown.per_second > 0 else ""
        grew, pace, advice = _grew(grown.rise, grown.by, self._day_seconds), "", "plan a restart"
        if left is not None and grown.limit is not None:
            together = "" if grown.seconds_together != left else ", with all that share it,"
            pace = f"; at this pace it meets its limit of {size(grown.limit)}{together} in {span(left)}"
            advice += " before that"
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity=severity,
            at=watch.at,
            summary=f"Worker {seen.worker} of `{seen.target}` leaks{about}: {grew}{pace}; {advice}.",
            advice=advice,
            started_at=grown.began_at,
            evidence=_evidence(watch, grown) | ({"pool": msgspec.to_builtins(pool)} if pool.others else {}),
        )


@register
class FragmentationDetector:
    """The rule `fragmentation`."""

    kind = "fragmentation"

    def __init__(self, _settings: Settings) -> None:
        pass

    def is_quiet(self, seen: Seen) -> bool:
        """Nothing is proven."""
        return seen.growth is None or seen.growth.grown is None

    def judge(self, seen: Seen) -> Judgement:
        """Whether the process grows while what it holds does not."""
        watch = seen.growth
        if watch is None or watch.memory.latest is None:
            return _unknown(self.kind, seen)
        if all(series.latest is None for series in (watch.heap, watch.used, watch.blocks)):
            reason = "without a probe nobody knows what of its memory is in use"
            return nothing(self.kind, seen, "unavailable", reason)
        grown = watch.grown
        if grown is not None and grown.kind != "fragmentation":
            return nothing(self.kind, seen, "quiet", f"see `{grown.kind}`")
        if grown is None:
            return nothing(self.kind, seen, "quiet", not_yet(watch.memory, "its memory"))
        share = grown.heap_share or 0.0
        grew = _grew(grown.rise, grown.by, watch.memory.day_seconds)
        finding = Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity="warning",
            at=watch.at,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` holds ever more memory that it does not use: "
                f"{grew}, and its live heap by {max(0.0, share) * 100:.0f} % of that; "
                f"look at the allocator (MALLOC_ARENA_MAX, jemalloc) and at large short-lived objects."
            ),
            started_at=grown.began_at,
            evidence=_evidence(watch, grown),
        )
        return fired(self.kind, seen, finding)


@register
class GrowthDetector:
    """The rule `growth`."""

    kind = "growth"

    def __init__(self, _settings: Settings) -> None:
        pass

    def is_quiet(self, seen: Seen) -> bool:
        """Nothing has the shape."""
        return seen.growth is None or self._suspicion(seen.growth) is None

    def judge(self, seen: Seen) -> Judgement:
        """What has the shape of a leak, and what would prove it."""
        watch = seen.growth
        if watch is None or watch.memory.latest is None:
            return _unknown(self.kind, seen)
        if watch.grown is not None:
            return nothing(self.kind, seen, "quiet", f"see `{watch.grown.kind}`")
        suspicion = self._suspicion(watch)
        if suspicion is None:
            return nothing(self.kind, seen, "quiet", not_yet(watch.memory, "its memory"))
        days = watch.memory.day_seconds
        rise, why = suspicion.rise, in_days(suspicion.why, days)
        inside = watch.heap.latest is not None or watch.blocks.latest is not None
        proof = "it is a leak when this goes on, and as soon as the live heap grows with it"
        if not inside:
            proof = "it is a leak when this goes on; a probe inside would know within hours"
        finding = Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity="info",
            at=watch.at,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` may leak: {_grew(rise, 'memory', days)}, but {why}; "
                f"{proof}; nothing is to be done at night: look for a cache that nobody bounds, and for a "
                f"deployment when it began."
            ),
            started_at=rise.ended_at - rise.window_seconds,
            evidence={
                "since": rfc3339(suspicion.since),
                "missing": why,
                "window_seconds": rise.window_seconds,
                "grew": round(rise.grew),
                "grew_share": round(rise.share, 4),
                "steadiness": round(rise.steadiness, 1),
                "bytes_per_second": round(rise.grew / rise.window_seconds, 1),
            },
        )
        return fired(self.kind, seen, finding)

    def _suspicion(self, watch: GrowthWatch) -> Suspicion | None:
        return watch.memory.suspicion if watch.grown is None else None
