"""Sizes, spans and rates in the words that summaries and reasons are made of."""

from __future__ import annotations

from vitalsd.detect.growth.series import Series
from vitalsd.detect.growth.shape import NotYet

__all__ = ["not_yet", "rate", "size", "span"]

UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size(amount: float) -> str:
    """`37 MiB`, `1.4 GiB`."""
    for unit, name in UNITS:
        if abs(amount) >= unit:
            number = amount / unit
            return f"{number:.0f} {name}" if number >= 10 else f"{number:.1f} {name}"
    return f"{amount:.0f} bytes"


def span(seconds: float) -> str:
    """`40 s`, `45 min`, `4 h 50 min`, `3 d 4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def rate(per_second: float) -> str:
    """`50 MiB an hour`, or a minute where it goes that fast."""
    if per_second * 60 >= 10 << 20:
        return f"{size(per_second * 60)} a minute"
    return f"{size(per_second * 3600)} an hour"


def not_yet(series: Series, what: str) -> str:
    """Why none of the windows came to anything: what the one says that came nearest, else the longest."""
    if series.latest is None:
        return f"{what} is not known"
    reasons = series.reasons
    if not reasons:
        return f"no window of {what} is complete"
    near = [(seconds, reason) for seconds, reason in reasons.items() if reason.near is not None]
    seconds, reason = max(near or _with_verdict(reasons), key=lambda each: each[0])
    grew = ""
    if reason.near is not None:
        grew = f" has grown by {reason.near.share * 100:.0f} % in {span(seconds)}, but"
        return f"{what}{grew} {reason.why} (steadiness {reason.near.steadiness:.1f})"
    return f"{what} over the last {span(seconds)}: {reason.why}"


def _with_verdict(reasons: dict[float, NotYet]) -> list[tuple[float, NotYet]]:
    """Those that say more than that it is too early."""
    told = [(seconds, reason) for seconds, reason in reasons.items() if not reason.early]
    return told or list(reasons.items())
