"""
Finds `error_surge`: more unhandled errors of a channel than this worker has ever lived with.

From the probe's counts, against the slot's own past: a day of it, over restarts of its workers. Nothing is told of
errors that are few, that came all in one moment, that chance could bring at the usual rate, or that are as usual:
as three times before within a day, or as a day ago at this time. What goes on for a quarter of a day is the new
usual. A worker without a past is told of at ten times the least.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from vitalsd.detect.culprit import find_culprit, stacks_as_evidence
from vitalsd.detect.probed import no_probe_reason
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.detect.words import place, times
from vitalsd.history.failures import Failures, Recent
from vitalsd.model import ERROR_CHANNELS, Finding, Frame, Severity, Stack, UnhandledError
from vitalsd.settings.model import Settings

__all__ = ["ErrorBounds", "ErrorSurgeDetector", "surprise"]

SURPRISE = math.log(1e6)
"""One window in a million, at the usual rate: there are 1,440 of them a day for each worker's five channels."""
MOMENTS = 3
"""One failure may take many tasks with it; that is over when it is told."""
STILL_SHARE = 0.2
"""Of the window: what has ended before is no surge any more."""
HALF = 0.5
"""A slot of the past with half as many is one like this."""
USUAL_TIMES = 3
CALM_SHARE = 1 / 96
"""Of the past, a quarter of an hour of a day: what lies closer together is one and the same."""
SAME_TIME_SHARE = 1 / 48
"""Half an hour of a day."""
LONGEST_SHARE = 1 / 4
"""A surge that has lasted for so much of the past is the past."""
KNOWN_SHARE = 0.5
"""Of a window, that has to be known of the past to be one."""
UNKNOWN_TIMES = 10
CRITICAL_TIMES = 10

WHAT = {
    "task": ("task exceptions never retrieved", "await the task, or look at its exception when it is done"),
    "coroutine": ("coroutines never awaited", "await them: what they were to do is not done"),
    "thread": ("exceptions that ended a thread", "catch what the thread can meet: its work is not done any more"),
    "unraisable": ("exceptions in finalizers and the like", "see what is released when: __del__ must not fail"),
    "loop": ("exceptions in callbacks of the loop", "catch them in the callback"),
    "rejection": ("unhandled rejections", "await the promise, or catch what it is rejected with"),
    "exception": ("uncaught exceptions", "catch them where they are thrown: after one of them nothing is sure"),
}
"""Channel -> what its errors are, and what to do."""


class ErrorBounds(msgspec.Struct, frozen=True):
    """From when on it is a warning."""

    window_seconds: float = 300.0
    least: int = 10
    times: int = 5


class Surge(msgspec.Struct, frozen=True):
    """One channel that has at least the least."""

    channel: str
    recent: Recent
    usual: float | None
    """As many as the past would have in one window; None where there is no past."""
    against: str | None
    """Why it is no surge."""


@register
class ErrorSurgeDetector:
    """The rule `error_surge`."""

    kind = "error_surge"

    def __init__(self, settings: Settings) -> None:
        workers = settings.workers
        self.bounds = ErrorBounds(workers.errors_window, workers.errors_least, workers.errors_times)
        self._settle = workers.settle
        self._still_seconds = max(STILL_SHARE * workers.errors_window, 2 * settings.sampling.interval)

    def judge(self, seen: Seen) -> Judgement:
        """Whether any channel has more errors than it used to."""
        reason = no_probe_reason(seen, "unhandled errors")
        if reason is not None or seen.past is None:
            return nothing(self.kind, seen, "unavailable", reason or "nothing is known of this worker")
        failures = seen.past.failures
        recent = {index: failures.recent(index) for index in range(len(ERROR_CHANNELS))}
        found = {index: one for index, one in recent.items() if one is not None}
        judged = [
            self._weigh(failures, index, one, seen.now)
            for index, one in found.items()
            if one.count >= self.bounds.least
        ]
        surges = [one for one in judged if one.against is None]
        if surges:
            finding = self._finding(seen, sorted(surges, key=lambda one: -one.recent.count))
            return fired(self.kind, seen, finding)
        if judged:
            worst = max(judged, key=lambda one: one.recent.count)
            return nothing(self.kind, seen, "watching", f"{_told(worst, self.bounds)}, but {worst.against}")
        return nothing(self.kind, seen, "quiet", self._quiet(seen, found))

    def is_quiet(self, seen: Seen) -> bool:
        """Where there are few errors, there is nothing."""
        return seen.past is None or seen.past.failures.most() < self.bounds.least

    def _weigh(self, failures: Failures, index: int, recent: Recent, now: float) -> Surge:
        """What speaks against a surge, if anything does."""
        past = failures.past(index)
        alike = HALF * recent.count / self.bounds.window_seconds
        """Errors a second."""
        present = _present(past, alike, failures.slots_in_past)
        before = past[: len(past) - present]
        errors, seconds = sum(count for count, _ in before), sum(watched for _, watched in before)
        known = seconds >= KNOWN_SHARE * self.bounds.window_seconds
        usual = errors / seconds * self.bounds.window_seconds if known else None
        if now - recent.last_at > self._still_seconds:
            against: str | None = "there was none lately"
        elif recent.moments < MOMENTS:
            against = f"they came in {'one moment' if recent.moments == 1 else f'{recent.moments} moments'}"
        elif usual is None:
            most = UNKNOWN_TIMES * self.bounds.least
            unknown = f"there is no past to compare with, where {most} would be told"
            against = unknown if recent.count < most else None
        elif recent.count < self.bounds.times * usual:
            against = f"{usual:.1f} are usual, and {self.bounds.times} times that would be told"
        elif surprise(recent.count, self.bounds.window_seconds, errors, seconds) < SURPRISE:
            against = f"with {usual:.1f} as usual, as far as is known, they may be chance"
        else:
            against = _as_usual(past, present, alike, failures.slots_in_past)
        return Surge(ERROR_CHANNELS[index], recent, usual, against)

    def _finding(self, seen: Seen, surges: Sequence[Surge]) -> Finding:
        worst = surges[0]
        recent, bounds = worst.recent, self.bounds
        sorts = _sorts(recent.kinds)
        kind, origin = sorts[0][0] if sorts else ("", None)
        mostly = f", mostly {kind or 'without an exception'}" if sorts else ""
        mostly += f" from {place(origin)}" if origin is not None else ""
        many = recent.count >= CRITICAL_TIMES * max(bounds.least, bounds.times * (worst.usual or 0.0))
        severity: Severity = "critical" if many else "warning"
        others = "".join(f", and {one.recent.count} {WHAT[one.channel][0]}" for one in surges[1:])
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity=severity,
            at=recent.last_at,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` has had {_told(worst, bounds)}{mostly}{others}, "
                f"where {_usual(worst.usual)}; {WHAT[worst.channel][1]}."
            ),
            culprit=origin,
            started_at=recent.first_at,
            evidence={
                "channel": worst.channel,
                "type": kind or None,
                "errors": recent.count,
                "window_seconds": bounds.window_seconds,
                "usual": round(worst.usual, 2) if worst.usual is not None else None,
                "channels": {one.channel: one.recent.count for one in surges},
                "looked_at": [
                    {"type": name or None, "origin": _frame(frame), "times": count}
                    for (name, frame), count in sorts
                ],
                "stacks": stacks_as_evidence([Stack(1, error.frames) for error in recent.kinds if error.frames]),
                "reason": f"{_told(worst, bounds)}, where {_usual(worst.usual)}",
            },
        )

    def _quiet(self, seen: Seen, found: dict[int, Recent]) -> str:
        process = seen.samples[-1].process
        if process is not None and seen.now - process.started_at < self._settle:
            return f"it is younger than {self._settle:.0f} s: its errors are not judged yet"
        window = f"in the last {self.bounds.window_seconds:.0f} s"
        if not found:
            return f"no unhandled errors {window}"
        told = ", ".join(f"{ERROR_CHANNELS[index]} {one.count}" for index, one in found.items())
        return f"unhandled errors {window}: {told}; fewer than {self.bounds.least} are never a surge"


def surprise(count: float, seconds: float, before: float, before_seconds: float) -> float:
    """
    How improbable so many events are, if the rate is what it was before: at least -ln of the probability.

    Of all events of both times the share in the later one is binomial, whatever the rate; this is Chernoff's bound
    of its tail, which is exact where there was none before.
    """
    everything, expected = count + before, seconds / (seconds + before_seconds)
    share = count / everything if everything > 0 else 0.0
    if share <= expected:
        return 0.0
    rest = (1 - share) * math.log((1 - share) / (1 - expected)) if share < 1 else 0.0
    return everything * (share * math.log(share / expected) + rest)


def _present(past: Sequence[tuple[float, float]], alike: float, period: int) -> int:
    """How many of the latest slots belong to what goes on now: it must not be measured by itself."""
    longest = int(period * LONGEST_SHARE)
    for number, (count, seconds) in enumerate(reversed(past)):
        if number >= longest or seconds <= 0 or count < alike * seconds:
            return number
    return len(past)


def _as_usual(past: Sequence[tuple[float, float]], present: int, alike: float, period: int) -> str | None:
    """Whether the past has had the like often enough, or a whole period ago."""
    if present >= int(period * LONGEST_SHARE):
        return "it has been like this for so long that it is the usual"
    like = [seconds > 0 and count >= alike * seconds for count, seconds in past[: len(past) - present]]
    ago, about = len(past) - period, max(1, round(period * SAME_TIME_SHARE))
    if any(like[max(0, ago - about) : ago + about + 1]):
        return "it was like this at the same time in the period before"
    runs, calm = 0, period
    for is_like in like[max(0, ago) :]:
        runs += is_like and calm >= period * CALM_SHARE
        calm = 0 if is_like else calm + 1
    return f"it was like this {times(runs)} before" if runs >= USUAL_TIMES else None


def _told(surge: Surge, bounds: ErrorBounds) -> str:
    return f"{surge.recent.count} {WHAT[surge.channel][0]} in {bounds.window_seconds:.0f} s"


def _usual(usual: float | None) -> str:
    return f"{usual:.1f} are usual" if usual is not None else "nothing is known of before"


def _sorts(kinds: Sequence[UnhandledError]) -> list[tuple[tuple[str, Frame | None], int]]:
    """Type and origin, and how often they were looked at, the most first; lines do not tell them apart."""
    counts: Counter[tuple[str, Frame | None]] = Counter()
    known: dict[tuple[str, str, str], tuple[str, Frame | None]] = {}
    for kind in kinds:
        culprit = find_culprit((Stack(1, kind.frames),)) if kind.frames else None
        frame = culprit.frame if culprit is not None else None
        same = (kind.type, frame.file if frame is not None else "", frame.function if frame is not None else "")
        counts[known.setdefault(same, (kind.type, frame))] += 1
    return counts.most_common()


def _frame(frame: Frame | None) -> dict[str, object] | None:
    return None if frame is None else {"function": frame.function, "file": frame.file, "line": frame.line}
