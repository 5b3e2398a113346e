"""
What has grown between two censuses, and in which order it is told. Pure.

Strings, dicts and lists grow with whatever holds them, so a class that has grown by a tenth of what has grown most
comes before them; else, whatever has taken most bytes. What was not listed at first had at most as many as the
rarest that was, and is not said to have grown by more than beyond that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from vitalsd.capture.census import Census, TaskList

__all__ = [
    "growing_coroutines",
    "growing_counts",
    "growing_types",
    "largest_own",
    "standing_out",
    "without_numbers",
]

MOST_ROWS = 10
LEAST_SEEN = 10
"""Objects of a sample: fewer may be chance."""
LEAST_SHARE = 0.1
"""Of what has grown most, for a class to come before what is Python's own; and for anything small to be told."""
SAMPLED_SHARE = 0.01
OTHER_STRIDE_SHARE, OTHER_STRIDE_SEEN = 0.2, 3000
"""Of what there is, and objects of a sample: two samples of different parts differ by as many as ten parts have
room for, whether anything has grown or not."""
TOO_LITTLE_SHARE = 0.01
"""Of what has grown most: beside it this is nothing."""
MANY = 100
OUTSTANDING_SHARE = 0.1
"""Of the bytes of all classes, for the largest to be more than one of many."""
NEW_SHARE = 0.3
"""Of the objects of a type: if fewer are new, a few taken by chance tell of those that were there before."""
OF_EVERY_CALL = frozenset({"async_generator", "cell", "code", "coroutine", "frame", "generator", "traceback"})
"""Types of Python's own that come with a call or a closure; `function` and `method` are what somebody keeps."""
MACHINERY = frozenset(
    {"_asyncio", "_contextvars", "_weakref", "_weakrefset", "asyncio", "contextvars", "uvloop", "weakref"}
)
"""Modules whose objects come with every task, whoever has made it."""

Row = dict[str, object]


def growing_types(before: Census, after: Census) -> list[Row]:
    """Types of which there are more, by name, the most telling first."""
    rarest = min((count for count, _ in before.types.values()), default=0) if before.untold else 0
    rarest_bytes = min((size for _, size in before.types.values()), default=0) if before.untold else 0
    grown = []
    for name, (now, size) in after.types.items():
        then, then_size = before.types.get(name, (rarest, rarest_bytes))
        if now - then >= _least(now, before.stride, after.stride):
            grown.append((name, now - then, size - then_size, now))
    most = max((grew for _, grew, _, _ in grown), default=0)
    grown = [row for row in grown if row[1] >= most * TOO_LITTLE_SHARE]
    grown.sort(key=lambda row: ("." in row[0] and row[1] >= most * LEAST_SHARE, row[2]), reverse=True)
    return [{"type": name, "grew": grew, "bytes": size, "now": now} for name, grew, size, now in grown[:MOST_ROWS]]


def standing_out(grown: Sequence[Row], census: Census) -> str | None:
    """The type whose holders tell something: of those that grow, the first with enough that are new."""
    for row in grown:
        name, grew, now = str(row["type"]), row["grew"], census.types[str(row["type"])][0]
        if _is_telling(name) and isinstance(grew, int) and grew >= NEW_SHARE * now:
            return name
    return None


def largest_own(census: Census) -> str | None:
    """
    Without a census to compare with: the class of the service's own, or of a library, that has most bytes.

    Of those with many instances, since a loop or a pool is large, and there is one. None where it is one of many.
    Classes themselves, a kilobyte each, come with the code: of a service that has just begun they have most.
    """
    telling = {name for name in census.types if "." in name and _is_telling(name)} - census.metaclasses
    own = {name: census.types[name] for name in telling}
    largest = max((name for name in own if own[name][0] >= MANY), key=lambda name: own[name][1], default=None)
    everything = sum(size for _, size in own.values())
    return largest if largest is not None and own[largest][1] >= OUTSTANDING_SHARE * everything else None


def _is_telling(name: str) -> bool:
    """Whether somebody has made it on purpose, and not Python for every call and task."""
    return name.partition(".")[0] not in MACHINERY if "." in name else name not in OF_EVERY_CALL


def _least(now: int, stride_before: int, stride: int) -> float:
    """How many more are no chance, of so many."""
    if stride_before != stride:
        return max(OTHER_STRIDE_SEEN * max(stride_before, stride), now * OTHER_STRIDE_SHARE)
    return max(LEAST_SEEN * stride, now * SAMPLED_SHARE if stride > 1 else 0.0)


def growing_coroutines(before: TaskList, after: TaskList) -> list[Row]:
    """Coroutines of which more tasks wait, those with the most first, and where one of them does."""
    rows = []
    for coroutine, waiting in after.coroutines.items():
        then = before.coroutines.get(coroutine)
        grew = waiting.count - (then.count if then is not None else 0)
        if grew > 0:
            rows.append((grew, coroutine, waiting))
    rows.sort(key=lambda row: row[0], reverse=True)
    least = rows[0][0] * LEAST_SHARE if rows else 0
    return [
        {
            "coroutine": coroutine.function,
            "file": coroutine.file,
            "line": coroutine.line,
            "grew": grew,
            "now": waiting.count,
            "waits_at": waiting.at,
        }
        for grew, coroutine, waiting in rows[:MOST_ROWS]
        if grew >= least
    ]


def growing_counts(name: str, before: Mapping[str, int], after: Mapping[str, int]) -> list[Row]:
    """Things of a kind, each `name`d, of which there are more, the most first."""
    grown = [(now - before.get(kind, 0), kind, now) for kind, now in after.items()]
    grown.sort(key=lambda row: row[0], reverse=True)
    return [{name: kind, "grew": grew, "now": now} for grew, kind, now in grown[:MOST_ROWS] if grew > 0]


def without_numbers(counts: Mapping[str, int]) -> dict[str, int]:
    """Names that differ by their numbers alone as one, as threads of one pool have them: `worker-#`."""
    together: Counter[str] = Counter()
    for name, count in counts.items():
        together[re.sub(r"\d+", "#", name)] += count
    return dict(together)
