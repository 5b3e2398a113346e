"""
Which engine is left alone for which kind of capture of which target for a while, since it has done harm there or
has failed twice. What it does for another kind is another matter: a profile that held tells nothing of a snapshot.

Pure, of the captures of before, like the rest of the policy. It opens for an hour, for twice as long each time it
does so again, up to a day, and one that is done closes it. After its time the next capture is a trial: if that
fails, it is open again. A failure that was not the engine's (`refusal` says whose) opens nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.capture.model import Capture, CaptureKind

__all__ = ["Breaker", "Opened", "open_breaker", "open_breakers"]

FIRST_SECONDS = 3600.0
LONGEST_SECONDS = 86_400.0
PAIR_SECONDS = 3600.0
"""Two failures that are further apart are two matters."""


class Opened(msgspec.Struct, frozen=True):
    """An engine that is not used now."""

    rest_seconds: float
    reason: str
    """What it has done, in half a sentence."""


class Breaker(msgspec.Struct, frozen=True):
    """The same, and of whom it is."""

    target: str
    engine: str
    rest_seconds: float
    reason: str
    kind: CaptureKind | None = None
    """Of which captures; None of all, as agents of before have told it."""


def open_breakers(recent: Sequence[Capture], now: float) -> tuple[Breaker, ...]:
    """All engines that are left alone somewhere; `recent` is latest first."""
    places = dict.fromkeys((each.target, each.engine, each.kind) for each in recent if each.engine is not None)
    found = ((place, open_breaker(*place, recent, now)) for place in places)
    return tuple(
        Breaker(target, engine, opened.rest_seconds, opened.reason, kind)
        for (target, engine, kind), opened in found
        if opened is not None
    )


def open_breaker(
    target: str, engine: str, kind: CaptureKind, recent: Sequence[Capture], now: float
) -> Opened | None:
    """Whether the engine is to be left alone for this there, how long and why; `recent` is latest first."""
    place = target, engine, kind
    times, since, failed_at, reason = 0, 0.0, None, ""
    for capture in reversed(recent):
        if (capture.target, capture.engine, capture.kind) != place or capture.ended_at is None:
            continue
        if capture.harm is not None:
            times, since, reason = times + 1, capture.ended_at, f"it did harm there: {_clause(capture.harm)}"
        elif capture.state == "done":
            times, failed_at = 0, None
        elif capture.state == "failed" and capture.refusal is None:
            pair = failed_at is not None and abs(capture.ended_at - failed_at) <= PAIR_SECONDS
            failed_at = capture.ended_at
            if pair or times:
                again = "it failed there again" if times else "it failed there twice"
                times, since = times + 1, capture.ended_at
                reason = f"{again}: {_clause(capture.problem)}" if capture.problem else again
    if not times:
        return None
    rest = min(FIRST_SECONDS * 2.0 ** min(times - 1, 10), LONGEST_SECONDS) - abs(now - since)
    return Opened(rest, reason) if rest > 0 else None


def _clause(sentence: str) -> str:
    return sentence.rstrip(".")
