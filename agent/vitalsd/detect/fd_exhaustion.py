"""
Finds `fd_exhaustion`: a worker that is about to have every file descriptor it may, whatever it has them for.

From the counts of the last minute: beyond three quarters of the limit, the line through them; beyond nine tenths,
how many there are is enough, since the next burst takes the rest. Then `accept` fails, and clients wait in a queue
that nobody empties. It says when, not why: `fd_leak` says what is never given back. Costs a multiplication a round
below that.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitalsd.detect.growth.words import span
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.detect.rising import rising
from vitalsd.model import Finding, Severity, WorkerSample
from vitalsd.settings.model import Settings

__all__ = ["FdExhaustionDetector"]

LEAST = 0.75
"""Of the limit: below it, a pace of some seconds says more of a burst than of the limit."""
HIGH = 0.9
FULL = 0.97
HELD_SECONDS = 5.0
"""For which it must have had so many, below `FULL`: a burst of connections is over by then, or goes on."""
AHEAD = 4
"""Times as far as it looks back."""
CRITICAL_SECONDS = 60.0
ADVICE = "see what it has open (`lsof -p PID`), raise LimitNOFILE, or send some of its clients elsewhere"


@register
class FdExhaustionDetector:
    """The rule `fd_exhaustion`."""

    kind = "fd_exhaustion"

    def __init__(self, _settings: Settings) -> None:
        pass

    def is_quiet(self, seen: Seen) -> bool:
        """It has fewer than three quarters of what it may have."""
        latest = _latest(seen)
        return latest is None or latest[0] < LEAST * latest[1]

    def judge(self, seen: Seen) -> Judgement:
        """Whether its descriptors are used up soon, or why not."""
        latest = _latest(seen)
        if latest is None:
            reason = "how many file descriptors it has, or may have, is not known"
            return nothing(self.kind, seen, "unavailable", reason)
        count, limit = latest
        has = f"it has {count:,} of the {limit:,} file descriptors that it may have"
        if count < LEAST * limit:
            return nothing(self.kind, seen, "quiet", has)
        own = [each for each in seen.samples if each.key == seen.samples[-1].key]
        counts = [(each.at, opened) for each in own if (opened := _opened(each)) is not None]
        pace = rising(counts)
        left = (limit - count) / pace if pace is not None else None
        if left is not None and left > AHEAD * (counts[-1][0] - counts[0][0]):
            pace = left = None  # too far ahead for so short a look
        if left is None and not _is_high(counts, limit):
            return nothing(self.kind, seen, "watching", f"{has}, and the last minute does not lead up to that")
        return fired(self.kind, seen, self._finding(seen, count, limit, pace, left))

    def _finding(self, seen: Seen, count: int, limit: int, pace: float | None, left: float | None) -> Finding:
        soon = left is not None and left < CRITICAL_SECONDS
        severity: Severity = "critical" if soon or count >= FULL * limit else "warning"
        when = "the next burst takes the rest"
        evidence: dict[str, object] = {"count": count, "limit": limit, "used_share": round(count / limit, 3)}
        if left is not None and pace is not None:
            when = f"at the pace of the last minute it has all of them in {span(left)}"
            evidence |= {"per_second": round(pace, 2), "time_to_limit_seconds": round(left)}
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity=severity,
            at=seen.now,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` has {count:,} of the {limit:,} file "
                f"descriptors that it may have, and {when}: then it accepts no connection; {ADVICE}."
            ),
            evidence=evidence,
        )


def _opened(sample: WorkerSample) -> int | None:
    return sample.process.open_fds if sample.process is not None else None


def _latest(seen: Seen) -> tuple[int, int] | None:
    """How many it has, and how many it may have."""
    process = seen.samples[-1].process if seen.samples else None
    if process is None or process.open_fds is None or not process.max_fds:
        return None
    return process.open_fds, process.max_fds


def _is_high(counts: Sequence[tuple[float, int]], limit: int) -> bool:
    at, latest = counts[-1]
    if latest >= FULL * limit:
        return True
    since = at
    for then, count in reversed(counts):
        if count < HIGH * limit:
            break
        since = then
    return latest >= HIGH * limit and at - since >= HELD_SECONDS
