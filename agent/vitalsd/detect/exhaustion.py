"""
Finds `exhaustion`: memory that meets its limit within a day as it grows now, whatever it grows by.

From the line through the peaks of the last six hours, or of the last one; see `growth.trend`. Workers of one
control group have one limit together, so there it is what is left to all of them that counts, and those that grow
are told of. It says when, not why: a leak is proven elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitalsd.detect.growth.trend import Exhaustion
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.detect.growth.words import rate, settling, size, span
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.model import Finding, Severity
from vitalsd.settings.model import Settings
from vitalsd.times import rfc3339

__all__ = ["ExhaustionDetector"]

CRITICAL_SECONDS = 3600.0
TAKES_PART = 0.5
"""Of what workers under the same limit grow by on average."""


@register
class ExhaustionDetector:
    """The rule `exhaustion`."""

    kind = "exhaustion"

    def __init__(self, _settings: Settings) -> None:
        pass

    def is_quiet(self, seen: Seen) -> bool:
        """No line meets the limit."""
        return seen.growth is None or seen.growth.exhaustion is None

    def judge(self, seen: Seen) -> Judgement:
        """When memory is used up, or why that is not foreseen."""
        watch = seen.growth
        if watch is None or watch.memory.latest is None:
            young = settling(watch)
            if young is not None:
                return nothing(self.kind, seen, "quiet", young)
            return nothing(self.kind, seen, "unavailable", "its memory is not known yet")
        if watch.limit is None:
            return nothing(self.kind, seen, "unavailable", "its memory has no limit that is known")
        found, peak = watch.exhaustion, watch.peaks.latest()
        if found is None or peak is None:
            return nothing(
                self.kind, seen, "quiet", f"the trend of its peaks does not meet its limit of {size(watch.limit)}"
            )
        left = watch.left if found is watch.shared.exhaustion else None
        if left is not None and not _takes_part(watch, seen.peers):
            reason = (
                f"its limit of {size(watch.limit)} is met in {span(found.seconds_left)}, by others that share it"
            )
            return nothing(self.kind, seen, "watching", reason)
        finding = self._finding(seen, watch, watch.limit, found, peak, left)
        return fired(self.kind, seen, finding)

    def _finding(
        self,
        seen: Seen,
        watch: GrowthWatch,
        limit: float,
        found: Exhaustion,
        peak: float,
        left: float | None,
    ) -> Finding:
        severity: Severity = "critical" if found.seconds_left < CRITICAL_SECONDS else "warning"
        pace, advice = rate(found.bytes_per_second), "restart it in time, or give it more"
        how = f"it has {size(peak)} and grows by {pace}"
        if left is not None:
            how = f"it has {size(peak)}, and all who share that limit have {size(left)} left, less by {pace}"
        evidence: dict[str, object] = {
            "since": rfc3339(found.since),
            "time_to_limit_seconds": round(found.seconds_left),
            "exhausted_at": rfc3339(watch.at + found.seconds_left),
            "bytes_per_second": round(found.bytes_per_second, 1),
            "peak_bytes": round(peak),
            "limit_bytes": round(limit),
            "window_seconds": found.window_seconds,
        }
        if left is not None:
            evidence["left_bytes"] = round(left)
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity=severity,
            at=watch.at,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` meets its memory limit of {size(limit)} in "
                f"{span(found.seconds_left)}: {how}; {advice}."
            ),
            advice=advice,
            started_at=found.since,
            evidence=evidence,
        )


def _takes_part(watch: GrowthWatch, peers: Sequence[GrowthWatch]) -> bool:
    """Whether it grows, as far as anybody under the limit does; where nobody does, all are told of."""
    paces = [max(0.0, peer.peaks.slope() or 0.0) for peer in peers if peer.shared.exhaustion is not None]
    own = max(0.0, watch.peaks.slope() or 0.0)
    return not paces or own >= TAKES_PART * sum(paces) / len(paces)
