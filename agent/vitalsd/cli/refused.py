"""What a refusal is worth at this moment: whether it still holds, when to ask again, how one is had at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vitalsd.cli.figures import plain
from vitalsd.cli.moments import unix
from vitalsd.settings.units import format_duration

__all__ = ["advice", "is_forcible", "rest_seconds"]

SET_ASIDE = ("cooldown", "budget")
"""Refusals that `force` sets aside."""


def is_forcible(capture: Mapping[str, Any]) -> bool:
    """Whether it was refused for what a person may set aside; `capture.per_hour` of 0 nobody does."""
    return (
        capture["state"] == "refused"
        and capture["refusal"] in SET_ASIDE
        and capture["retry_after_seconds"] is not None
    )


def rest_seconds(capture: Mapping[str, Any], now: float) -> float | None:
    """For how long it holds from now on, 0 where that is over; None where nobody has said for how long it does."""
    refused_at, seconds = unix(capture["ended_at"] or capture["asked_at"]), capture["retry_after_seconds"]
    if refused_at is None or seconds is None:
        return None
    return float(max(0.0, seconds - abs(now - refused_at)))


def advice(capture: Mapping[str, Any], now: float, at_once: str = "with --force") -> str:
    """
    `ask again in 9m48s, or now with --force`, which a colon can stand before; empty where there is nothing to say.

    `at_once` is how whoever shows it has a person set cooldown and budget aside.
    """
    rest = rest_seconds(capture, now) if capture["state"] == "refused" else None
    if not rest:
        return ""
    whole = format_duration(math.ceil(rest))
    if capture["asked_by"] != "person":
        whom = plain(f"{capture['target']}/{capture['worker']}")
        one = f"; `vitalsd capture {capture['kind']} {whom} --force` takes one now" if is_forcible(capture) else ""
        return f"the next by itself is due in {whole} at the earliest{one}"
    return f"ask again in {whole}" + (f", or now {at_once}" if is_forcible(capture) else "")
