"""Sizes, spans and rates in the words that summaries and reasons are made of."""

from __future__ import annotations

from vitalsd.detect.growth.series import Series
from vitalsd.detect.growth.shape import NotYet
from vitalsd.detect.growth.watch import GrowthWatch

__all__ = ["in_days", "not_yet", "number", "rate", "settling", "size", "span"]

A_DAY_SECONDS = 86_400.0
UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size(amount: float) -> str:
    """`37 MiB`, `1.4 GiB`."""
    for unit, name in UNITS:
        if abs(amount) >= unit:
            number = amount / unit
            return f"{number:.0f} {name}" if number >= 10 else f"{number:.1f} {name}"
    return f"{amount:.0f} bytes"


def number(amount: float) -> str:
    """`3.5`, `42`, `51,200`: no more of it than anybody has measured, which is three figures."""
    if abs(amount) < 10:
        return f"{amount:.1f}".removesuffix(".0")
    figures = max(0, len(str(int(abs(amount)))) - 3)
    return f"{round(amount, -figures):,.0f}"


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


def in_days(text: str, day_seconds: float) -> str:
    """What `shape` says of a {day}, in the words for the time after which load repeats itself (`memory.day`)."""
    day, hours = ("day", "hours") if day_seconds == A_DAY_SECONDS else ("period", "times")
    return text.replace("{day}", day).replace("{hours}", hours)


def settling(watch: GrowthWatch | None) -> str | None:
    """Why nothing can be said of a process that has just begun."""
    left = watch.settling_seconds if watch is not None else None
    return None if left is None else f"its process is still settling, and is judged in {span(left)}"


def not_yet(series: Series, what: str) -> str:
    """Why no window came to anything: by the longest that is near, else by the longest that could be judged."""
    if series.latest is None:
        return f"{what} is not known"
    reasons = series.reasons
    if not reasons:
        return f"no window of {what} is complete"
    seconds = max(reasons, key=lambda window: _telling(window, reasons[window]))
    reason = reasons[seconds]
    why = in_days(reason.why, series.day_seconds)
    if reason.near is not None:
        grew = f"has grown by {reason.near.share * 100:.0f} % in {span(seconds)}"
        return f"{what} {grew}, but {why} (steadiness {reason.near.steadiness:.1f})"
    return f"{what} over the last {span(seconds)}: {why}"


def _telling(window: float, reason: NotYet) -> tuple[bool, bool, float]:
    """What is near says most, what is too early least: of that, the shortest, which is judged first."""
    if reason.early:
        return (False, False, -window)
    return (reason.near is not None, True, window)
