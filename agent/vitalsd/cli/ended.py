"""What `vitalsd status` says of workers that are gone: how many were replaced and why, and who ended lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from vitalsd.model import IN_ORDER, SUPERVISOR

__all__ = ["end_lines", "gone_note", "restart_lines"]

TOGETHER_SECONDS = 5.0
"""Workers that end so shortly before their supervisor end with it."""
MOST_ENDS = 5
"""Of each target, the latest; in order they are only counted."""


def restart_lines(targets: Iterable[dict[str, Any]]) -> Iterable[str]:
    """`restarts: shop: 12 graceful, 2 signal`, of targets that have had some."""
    for target in targets:
        counts: Counter[str] = Counter()
        for reasons in target["restarts"].values():
            counts.update(reasons)
        told = [f"{count} {reason}" for reason, count in counts.most_common() if count]
        if told:
            yield f"restarts: {target['name']}: {', '.join(told)}"


def end_lines(targets: Iterable[dict[str, Any]], now: float) -> Iterable[str]:
    """`ended: shop/1: pid 12 after 3 h, 20 s ago: SIGKILL; ...`, of those that were not asked to."""
    for target in targets:
        ends = [end for end in target["exits"] if end["reason"] not in IN_ORDER]
        for end in ends[-MOST_ENDS:]:
            place = f"{target['name']}/{end['slot']}" if end["slot"] else f"{target['name']}, its supervisor"
            yield f"ended: {place}: {_told(end, now)}"
        if len(ends) > MOST_ENDS:
            yield f"and {len(ends) - MOST_ENDS} more of {target['name']} in ten minutes: vitalsd status --json"


def gone_note(target: dict[str, Any], slot: str, now: float) -> str | None:
    """Why nobody sits in a slot, if its worker's end was watched."""
    own, above = _last(target, slot), _last(target, SUPERVISOR)
    supervisor = target["supervisor"]
    gone = above is not None and (supervisor is None or supervisor["key"] == above["key"])
    if above is not None and gone and (own is None or _at(own) > _at(above) - TOGETHER_SECONDS):
        return f"its supervisor has ended, and it with it: {_told(above, now)}"
    return f"nothing has taken its place: {_told(own, now)}" if own is not None else None


def _last(target: dict[str, Any], slot: str) -> dict[str, Any] | None:
    """The last end in this place, if nobody was seen there since."""
    ends: list[dict[str, Any]] = [end for end in target["exits"] if end["slot"] == slot]
    return ends[-1] if ends and ends[-1]["followed_by"] is None else None


def _at(end: dict[str, Any]) -> float:
    return datetime.fromisoformat(end["ended_at"]).timestamp()


def _told(end: dict[str, Any], now: float) -> str:
    ago = max(0.0, now - _at(end))
    lived = f" after {_long(end['lived_seconds'])}" if end["lived_seconds"] is not None else ""
    return f"pid {end['key']['pid']} ended {_long(ago)} ago{lived}, {end['reason']}: {end['evidence']}"


def _long(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
