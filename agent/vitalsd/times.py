"""Times as people and other programs read them: RFC 3339 in UTC with milliseconds, and back."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["rfc3339", "unix"]


def rfc3339(unix: float) -> str | None:
    """`2026-07-01T12:00:00.250Z`, or None for what no calendar holds: a damaged segment can say anything."""
    try:
        moment = datetime.fromtimestamp(unix, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def unix(text: object) -> float | None:
    """The unix time of such a text; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
