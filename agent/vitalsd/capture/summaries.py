"""
What a capture's summary may weigh: cut down before it is kept, since the ledger has hundreds in memory. Pure.

Whatever is cut is in the files of the capture, whole; `shortened` says that something was. The longest list goes
first, from its end, where engines put what matters least; then whatever is largest.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from vitalsd.capture.engines.registry import Made

__all__ = ["MOST_BYTES", "bounded", "shortened"]

MOST_BYTES = 16 << 10
"""As JSON. A profile with twenty functions and as many threads has 6 KB."""
MOST_LETTERS = 500
MOST_DEPTH = 6
MARK = "shortened"


def bounded(made: Made, instead: str | None) -> Made:
    """With a summary that can be kept, and why it was not a better engine."""
    summary = made.summary if instead is None else {"instead": instead, **made.summary}
    return replace(made, summary=shortened(summary))


def shortened(summary: dict[str, object], most_bytes: int = MOST_BYTES) -> dict[str, object]:
    """The same, or as much of it as there is room for."""
    cut = {name: _plain(value, MOST_DEPTH) for name, value in summary.items()}
    if _weight(cut) <= most_bytes:
        return cut
    cut[MARK] = True
    while _weight(cut) > most_bytes:
        lists = {name: value for name, value in cut.items() if isinstance(value, list) and len(value) > 1}
        if lists:
            name = max(lists, key=lambda each: _weight(lists[each]))
            cut[name] = lists[name][: len(lists[name]) // 2]
        else:
            del cut[max(cut.keys() - {MARK}, key=lambda each: (_weight(cut[each]), each))]
    return cut


def _plain(value: object, depth: int) -> object:
    """As JSON has it, with texts and nesting of a bounded length."""
    if isinstance(value, str):
        return value if len(value) <= MOST_LETTERS else value[: MOST_LETTERS - 1] + "…"
    if isinstance(value, dict | list | tuple) and not depth:
        return "…"
    if isinstance(value, dict):
        return {str(name)[:MOST_LETTERS]: _plain(each, depth - 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, depth - 1) for each in value]
    return value


def _weight(value: object) -> int:
    return len(msgspec.json.encode(value))
