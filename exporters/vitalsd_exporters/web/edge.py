"""
The model as it leaves through the API: the same fields, with times that people and other programs can read.

Unix times become RFC 3339 in UTC with milliseconds, under names that end in `_at`. Costs a walk over the
structs per answer, about 0.1 ms per worker.
"""

from __future__ import annotations

import msgspec

from vitalsd.times import rfc3339

__all__ = ["as_json", "is_time", "told_name"]

TIMES = {
    ("WorkerSample", "at"): "sampled_at",
    ("Pulse", "at"): "looked_at",
    ("Pulse", "state_since"): "state_since_at",
    ("Exit", "at"): "ended_at",
    ("Zombie", "since"): "seen_at",
}
"""Struct and field of unix times, and what they are called outside. `since` of a stall is the monotonic clock."""


def as_json(value: object) -> object:
    """`value` with every struct as a dict, and every unix time in one as text."""
    if isinstance(value, msgspec.Struct):
        kind = type(value).__name__
        return {told_name(kind, name): _told(kind, name, getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {name: _told("", name, item) for name, item in value.items()}
    return value


def told_name(kind: str, name: str) -> str:
    """What a field of a struct is called outside."""
    return TIMES.get((kind, name), name)


def is_time(kind: str, name: str) -> bool:
    """Whether it is a time: `at` in a timeline, `started_at` in evidence."""
    return name == "at" or name.endswith("_at") or (kind, name) in TIMES


def _told(kind: str, name: object, value: object) -> object:
    """`value`, as text where its name says that it is a time."""
    if isinstance(value, float) and isinstance(name, str) and is_time(kind, name):
        return rfc3339(value)
    return as_json(value)
