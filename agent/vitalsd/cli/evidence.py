"""
The evidence of an incident as `vitalsd incidents ID` prints it: each figure with its unit, each list as a table.

Names are those of the JSON, since docs/incidents explains them by these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitalsd.cli.captured import TABLES
from vitalsd.cli.ends import ENDS, end, ends
from vitalsd.cli.figures import (
    EARLIEST,
    INDENT,
    cut,
    facts,
    figure,
    filled,
    is_moment,
    is_table,
    placed,
    plain,
    seconds,
    table,
    wide,
)
from vitalsd.cli.growing import ABOUT, growing
from vitalsd.cli.moments import when
from vitalsd.detect.growth.words import rate, size
from vitalsd.times import rfc3339

__all__ = ["evidence"]

MOST_FRAMES = 20
SHOWN_APART = ("stacks", "stacks_of", "no_stack_reason", *ENDS, *ABOUT)
FIRST = ("reason",)
"""What is told in words comes before the figures that it was told by."""
IN_BYTES = ("leak", "growth", "fragmentation")
"""Kinds whose `grew` and `floors` are of memory, unless it is proven by a number of blocks."""
STATES = {
    "R": "runs",
    "S": "sleeps",
    "D": "waits in the kernel",
    "T": "stopped by a signal",
    "t": "held by a debugger",
    "Z": "has ended",
    "X": "has ended",
    "I": "is idle",
}
"""The kernel's letters."""
PIDS = ("pid", "pids", "parent_pid", "supervisor_pid", "replaced_by")


def evidence(incident: Mapping[str, Any], in_captures: Mapping[str, Any], now: float) -> str:
    """All of it, but for what stands below with the captures that it is from."""
    kind, told = incident["kind"], incident["evidence"]
    apart = (*SHOWN_APART, "stalls", "count") if "stalls" in told else SHOWN_APART
    others = {
        name: value
        for name, value in told.items()
        if name not in apart and not (value is not None and in_captures.get(name) == value)
    }
    tables = {name: value for name, value in others.items() if is_table(value)}
    in_bytes = kind in IN_BYTES and told.get("proven_by") != "blocks"
    words = _Words(now, in_bytes=in_bytes, over=incident["state"] == "resolved")
    named = (*(name for name in FIRST if name in others), *(name for name in others if name not in FIRST))
    figures = {plain(name): words.of(name, others[name]) for name in named if name not in tables}
    parts = [
        "\n".join(["evidence", facts(figures, INDENT)]) if figures else "",
        *("\n".join([_heading(name), *ends(told[name])]) for name in ENDS if is_table(told.get(name))),
        *("\n".join([_heading(name), *table(rows)]) for name, rows in tables.items()),
        growing({name: value for name, value in told.items() if in_captures.get(name) != value}),
        _stalls(told),
        _whose(told.get("stacks_of")),
        *(_stack(stack) for stack in told.get("stacks", ())),
        filled(f"no stack: {plain(told['no_stack_reason'])}", others=INDENT)
        if told.get("no_stack_reason")
        else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(name: str) -> str:
    return cut(TABLES.get(name, plain(name).replace("_", " ")))


class _Words:
    """Figures of one incident in words."""

    def __init__(self, now: float, *, in_bytes: bool, over: bool) -> None:
        self._now, self._in_bytes, self._over = now, in_bytes, over

    def of(self, name: str, value: object) -> str:
        """One figure, or several of a kind; empty for what is not known."""
        if value is None or value == "":
            return ""
        if name == "exit" and isinstance(value, dict):
            return end(value, self._now)
        if isinstance(value, dict):
            inner = {str(each): self._inner(name, str(each), what) for each, what in value.items()}
            return ", ".join(f"{plain(each)}: {text}" for each, text in inner.items())
        if isinstance(value, list):
            return ", ".join(self.of(_one_of(name), each) for each in value) + self._then(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._word(name, value)
        if name.endswith("bytes_per_second"):
            return rate(value)
        if is_moment(name) and value > EARLIEST:
            return str(when(rfc3339(value), self._now))
        if name in ("grew", "floors"):
            return size(value) if self._in_bytes else f"{value:,}"
        return figure(name, value) + self._then(name)

    def _word(self, name: str, value: object) -> str:
        if is_moment(name):
            told = when(value, self._now) if isinstance(value, str) else None
            return told if told is not None else figure(name, value)
        if name in ("state", "parent_state") and value in STATES:
            return f"{value} ({STATES[str(value)]})"
        return figure(name, value)

    def _inner(self, outer: str, name: str, value: object) -> str:
        """A figure in a group has the unit of its own name, else that of the group's."""
        text = self.of(name, value) if not isinstance(value, int | float) else ""
        if text:
            return text
        unit = name if name.endswith(("seconds", "bytes", "share")) else _one_of(outer)
        return self.of(unit, value) or "-"

    def _then(self, name: str) -> str:
        """A number that somebody else may have by now."""
        return " (then)" if self._over and name in PIDS else ""


def _one_of(name: str) -> str:
    """What each in a list or a group is a figure of."""
    for ending, one in (("_by_generation", ""), ("_before", ""), ("shares", "share")):
        if name.endswith(ending):
            name = name.removesuffix(ending) + one
    return name


def _stalls(told: Mapping[str, Any]) -> str:
    stalls = [stall for stall in told.get("stalls", ()) if isinstance(stall, dict)]
    if not stalls:
        return ""
    lines = [f"stalls, the latest {len(stalls)} of {told.get('count', len(stalls))}"]
    for stall in stalls:
        duration = seconds(_number(stall.get("duration_seconds")))
        lines.append(f"{INDENT}{stall.get('started_at')}  {duration:>8}  {stall.get('cause')}")
    return "\n".join(lines)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whose(stall: object) -> str:
    """Which stall the first stacks are of."""
    if not isinstance(stall, dict):
        return ""
    seconds = plain(str(stall.get("duration_seconds")))
    return f"stacks, first those of the stall of {seconds} s at {plain(str(stall.get('started_at')))}"


def _stack(stack: Mapping[str, Any]) -> str:
    frames = stack.get("frames", [])
    lines = [f"stack, seen {stack.get('samples')} times, innermost first"]
    lines += [INDENT + placed(each, wide() - len(INDENT)) for each in frames[:MOST_FRAMES]]
    lines += [f"{INDENT}and {len(frames) - MOST_FRAMES} more: --json"] if len(frames) > MOST_FRAMES else []
    return "\n".join(lines)
