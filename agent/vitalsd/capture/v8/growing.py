"""
What has grown between two snapshots of one process, and in which order it is told. Pure.

Strings, arrays and plain objects grow with whatever holds them; so a constructor or a function of which there are
a tenth as many more as of what has grown most comes before them. Else, whatever has taken most bytes.
"""

from __future__ import annotations

from vitalsd.capture.census import Census

__all__ = ["growing_constructors"]

MOST_ROWS = 10
LEAST = 10
LEAST_SHARE = 0.1
TOO_LITTLE_SHARE = 0.01
EVERYWHERE = frozenset(
    {
        *(
            "Object",
            "Array",
            "Function",
            "Map",
            "Set",
            "Promise",
            "ArrayBuffer",
            "Uint8Array",
            "Buffer",
            "Generator",
        ),
        *("Arguments", "WeakRef", "WeakMap", "WeakCell", "Symbol", "BigInt", "Iterator", "AsyncFunction"),
    }
)
"""Constructors of the language's own."""
Row = dict[str, object]


def growing_constructors(before: Census, after: Census) -> list[Row]:
    """Those of which there are more, the most telling first."""
    grown = []
    for name, (now, size) in after.types.items():
        then, then_size = before.types.get(name, (0, 0))
        if now - then >= LEAST:
            grown.append((name, now - then, size - then_size, now))
    most = max((grew for _, grew, _, _ in grown), default=0)
    grown = [row for row in grown if row[1] >= most * TOO_LITTLE_SHARE]
    grown.sort(key=lambda row: (_is_somebodys(row[0]) and row[1] >= most * LEAST_SHARE, row[2]), reverse=True)
    return [{"type": name, "grew": grew, "bytes": size, "now": now} for name, grew, size, now in grown[:MOST_ROWS]]


def _is_somebodys(name: str) -> bool:
    """Whether somebody has written it; `system / Context` and `(array)` are V8's own."""
    return not (name in EVERYWHERE or name.startswith(("(", "system / ", "Node / ", "v8::")))
