"""
Finds `exhaustion`: memory that meets its limit within a day as it grows now, whatever it grows by.

From the line through the peaks of the last six hours, or of the last one; see `growth.trend`. It says when, not
why: a leak is proven elsewhere.
"""

from __future__ import annotations

from vitalsd.detect.growth.words import rate, settling, size, span
from vitalsd.detect.registry import Judgement, Seen, StateName, register
from vitalsd.model import Finding, RuleState, Severity
from vitalsd.settings.model import Settings
from vitalsd.times import rfc3339

__all__ = ["ExhaustionDetector"]

CRITICAL_SECONDS = 3600.0


@register
class ExhaustionDetector:
    """The rule `exhaustion`."""

    kind = "exhaustion"

    def __init__(self, _settings: Settings) -> None:
        pass

    def is_quiet(self, seen: Seen) -> bool:
        """No line meets the limit."""
        return seen.growth is None or seen.growth.peaks.exhaustion is None

    def judge(self, seen: Seen) -> Judgement:
        """When memory is used up, or why that is not foreseen."""
        watch = seen.growth
        if watch is None or watch.memory.latest is None:
            young = settling(watch)
            if young is not None:
                return self._none(seen, "quiet", young)
            return self._none(seen, "unavailable", "its memory is not known yet")
        if watch.limit is None:
            return self._none(seen, "unavailable", "its memory has no limit that is known")
        found, peak = watch.peaks.exhaustion, watch.peaks.latest()
        if found is None or peak is None:
            return self._none(
                seen, "quiet", f"the trend of its peaks does not meet its limit of {size(watch.limit)}"
            )
        severity: Severity = "critical" if found.seconds_left < CRITICAL_SECONDS else "warning"
        finding = Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity=severity,
            at=watch.at,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` meets its memory limit of {size(watch.limit)} in "
                f"{span(found.seconds_left)}: it has {size(peak)} and grows by {rate(found.bytes_per_second)}; "
                f"restart it in time, or give it more."
            ),
            started_at=found.since,
            evidence={
                "since": rfc3339(found.since),
                "time_to_limit_seconds": round(found.seconds_left),
                "exhausted_at": rfc3339(watch.at + found.seconds_left),
                "bytes_per_second": round(found.bytes_per_second, 1),
                "peak_bytes": round(peak),
                "limit_bytes": round(watch.limit),
                "window_seconds": found.window_seconds,
            },
        )
        return Judgement((finding,), RuleState(self.kind, seen.target, seen.worker, "fired", finding.summary))

    def _none(self, seen: Seen, state: StateName, reason: str) -> Judgement:
        return Judgement((), RuleState(self.kind, seen.target, seen.worker, state, reason))
