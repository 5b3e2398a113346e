"""Times of the API as people read them: the hour of a list, a moment with its age, how long something lasted."""

from __future__ import annotations

from datetime import UTC, datetime

from vitalsd.times import unix

__all__ = ["lasting", "moment", "short", "stamp", "unix", "when"]


def moment(text: str | None, now: float) -> str:
    """In local time: the time of today, the date of another day."""
    at = unix(text)
    if at is None:
        return "-"
    here = datetime.fromtimestamp(at, UTC).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%b %d %H:%M")


def when(text: str | None, now: float) -> str | None:
    """`2026-07-01 12:00:00 UTC, 3 min 5 s ago`, to be compared with logs; None for what is no time."""
    at = unix(text)
    if at is None:
        return None
    age = f"{lasting(now - at)} ago" if now >= at else f"in {lasting(at - now)}"
    return f"{stamp(at)}, {age}"


def stamp(at: float) -> str:
    """`2026-07-01 12:00:00 UTC`, of unix time."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def lasting(seconds: float) -> str:
    """`0.25 s`, `12 s`, `3 min 5 s`, `4 h 50 min`, `3 d 4 h`."""
    if seconds < 0:
        return f"-{lasting(-seconds)}"
    if seconds < 10:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    whole = round(seconds)
    for name, unit, part, smaller in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit} {name}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def short(seconds: float) -> str:
    """In a column of a list: `45s`, `12m00s`, `3h05m`, `2d04h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"
