"""How processes have ended, as `vitalsd incidents ID` prints it: in one line, whatever of it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitalsd.cli.figures import INDENT, filled, plain
from vitalsd.cli.moments import lasting, when

__all__ = ["ENDS", "end", "ends"]

ENDS = ("exits", "perhaps")
"""Evidence that is a list of ends."""
TOLD_BY = {
    "kernel": "told by the kernel",
    "parent": "told by /proc, before its parent had fetched it",
}
PLAIN = ("signal", "error", "unknown")
"""Reasons that say no more than signal or exit code do."""


def end(told: Mapping[str, Any], now: float) -> str:
    """`worker 1 (pid 11) ended by SIGSEGV after 1 h; 2026-07-01 13:00:00 UTC, 20 s ago; told by the kernel`."""
    said = f"{_who(told)} (pid {told.get('pid')}) ended {_how(told)}{_lived(told)}"
    at, by = when(told.get("ended_at"), now), TOLD_BY.get(str(told.get("told_by")))
    return "; ".join(part for part in (said, at, by) if part)


def ends(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line each, in columns, the latest last."""
    rows = [(str(each.get("ended_at")), _who(each), f"pid {each.get('pid')}", _how(each)) for each in told]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, each in zip(rows, told, strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(filled(f"{cells} {_lived(each)}".rstrip(), INDENT, INDENT * 2))
    return lines


def _who(told: Mapping[str, Any]) -> str:
    return f"worker {plain(told['slot'])}" if told.get("slot") else "supervisor"


def _how(told: Mapping[str, Any]) -> str:
    reason = str(told.get("reason"))
    more = f" ({plain(reason)})" if reason not in PLAIN else ""
    if told.get("signal"):
        return f"by {plain(told['signal'])}{more}"
    if told.get("code") is not None:
        return f"with exit code {told['code']}{more}"
    return f"nobody knows how{more}"


def _lived(told: Mapping[str, Any]) -> str:
    lived = told.get("lived_seconds")
    return f" after {lasting(lived)}" if isinstance(lived, int | float) else ""
