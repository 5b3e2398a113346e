"""
Finds `fd_leak`, `thread_leak` and `task_leak`: descriptors, threads or tasks that are never given back.

The same judgement as for memory, on counts: connections come and go with the load, what leaks stays.
"""

from __future__ import annotations

from vitalsd.detect.growth.series import Series
from vitalsd.detect.growth.shape import Rise
from vitalsd.detect.growth.watch import Count
from vitalsd.detect.growth.words import not_yet, number, settling, span
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.model import Finding
from vitalsd.settings.model import Settings
from vitalsd.times import rfc3339

__all__ = ["FdLeakDetector", "TaskLeakDetector", "ThreadLeakDetector"]


class _CountDetector:
    """One count; the rules below say which."""

    kind: str
    count: Count
    noun: str
    advice: str
    unknown: str

    def __init__(self, _settings: Settings) -> None:
        pass

    def is_quiet(self, seen: Seen) -> bool:
        """The count does not grow."""
        series = self._series(seen)
        return series is None or series.risen(seen.now) is None

    def judge(self, seen: Seen) -> Judgement:
        """Whether the count grows for good, or why it does not."""
        series = self._series(seen)
        if series is None or series.latest is None:
            young = settling(seen.growth)
            if young is not None:
                return nothing(self.kind, seen, "quiet", young)
            return nothing(self.kind, seen, "unavailable", self._unknown(seen))
        rise = series.risen(seen.now)
        if rise is None:
            return nothing(self.kind, seen, "quiet", not_yet(series, f"the number of {self.noun}"))
        finding = self._finding(seen, series, rise)
        return fired(self.kind, seen, finding)

    def _unknown(self, _seen: Seen) -> str:
        """Why there is no count."""
        return self.unknown

    def _series(self, seen: Seen) -> Series | None:
        return seen.growth.counts.get(self.count) if seen.growth is not None else None

    def _finding(self, seen: Seen, series: Series, rise: Rise) -> Finding:
        began_at, per_second = series.onset(rise.window_seconds)
        latest = series.latest or 0.0
        limit, advice = self._limit(seen), self.advice
        evidence: dict[str, object] = {
            "since": rfc3339(series.found_at),
            "began_at": rfc3339(began_at),
            "count": round(latest),
            "grew": round(rise.grew),
            "grew_share": round(rise.share, 4),
            "per_hour": round(per_second * 3600, 2),
            "window_seconds": rise.window_seconds,
            "steadiness": round(rise.steadiness, 1),
            "against": rise.view,
            "floors": [round(floor) for floor in rise.floors],
        }
        if limit is not None and per_second > 0:
            left = max(0.0, (limit - latest) / per_second)
            evidence |= {"limit": limit, "time_to_limit_seconds": round(left)}
            advice = f"it may have {limit}, which it meets in {span(left)}; {advice}"
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity="warning",
            at=series.latest_at,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` leaks {self.noun}: there are {number(latest)}, after "
                f"steady growth by {number(rise.grew)} in {span(rise.window_seconds)}, about "
                f"{number(per_second * 3600)} more each hour; {advice}."
            ),
            started_at=began_at,
            evidence=evidence,
        )

    def _limit(self, _seen: Seen) -> int | None:
        """How many it may have, where somebody knows."""
        return None


@register
class FdLeakDetector(_CountDetector):
    """The rule `fd_leak`."""

    kind = "fd_leak"
    count = "fds"
    noun = "file descriptors"
    advice = "close what is opened for each request"
    unknown = "the number of its file descriptors may not be read"

    def _limit(self, seen: Seen) -> int | None:
        """RLIMIT_NOFILE: beyond it, every `open` and `accept` fails."""
        process = seen.samples[-1].process if seen.samples else None
        return process.max_fds if process is not None else None


@register
class ThreadLeakDetector(_CountDetector):
    """The rule `thread_leak`."""

    kind = "thread_leak"
    count = "threads"
    noun = "threads"
    advice = "an executor that is made for each call must be shut down"
    unknown = "the number of its threads is not known yet"


@register
class TaskLeakDetector(_CountDetector):
    """The rule `task_leak`."""

    kind = "task_leak"
    count = "tasks"
    noun = "tasks"
    advice = "give what it awaits a timeout"
    unknown = "without a probe nobody knows how many tasks it has"

    def _unknown(self, seen: Seen) -> str:
        """A Node has none to count, whoever looks."""
        probe = seen.samples[-1].probe if seen.samples else None
        return "Node has no tasks to count" if probe is not None and probe.runtime == "node" else self.unknown
