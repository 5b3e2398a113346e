"""
The evidence of an incident as `vitalsd incidents ID` prints it: each figure with its unit, each list as a table.

Names are those of the JSON, since docs/incidents.md explains them by these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitalsd.cli.captured import TABLES
from vitalsd.cli.figures import INDENT, cut, facts, figure, filled, is_table, placed, plain, table
from vitalsd.cli.growing import ABOUT, growing
from vitalsd.detect.growth.words import rate, size, span

__all__ = ["evidence"]

WIDE = 78
MOST_FRAMES = 20
SHOWN_APART = ("stacks", "no_stack_reason", *ABOUT)
IN_BYTES = ("leak", "growth", "fragmentation")
"""Kinds whose `grew` and `floors` are of memory, unless it is proven by a number of blocks."""


def evidence(kind: str, told: Mapping[str, Any], in_captures: Mapping[str, Any]) -> str:
    """All of it, but for what stands below with the captures that it is from."""
    apart = (*SHOWN_APART, "stalls", "count") if "stalls" in told else SHOWN_APART
    others = {
        name: value
        for name, value in told.items()
        if name not in apart and not (value is not None and in_captures.get(name) == value)
    }
    tables = {name: value for name, value in others.items() if is_table(value)}
    in_bytes = kind in IN_BYTES and told.get("proven_by") != "blocks"
    figures = {plain(name): _text(name, value, in_bytes) for name, value in others.items() if name not in tables}
    parts = [
        "\n".join(["evidence", facts(figures, INDENT)]) if figures else "",
        *("\n".join([_heading(name), *table(rows)]) for name, rows in tables.items()),
        growing({name: value for name, value in told.items() if in_captures.get(name) != value}),
        _stalls(told),
        *(_stack(stack) for stack in told.get("stacks", ())),
        filled(f"no stack: {plain(told['no_stack_reason'])}", others=INDENT)
        if told.get("no_stack_reason")
        else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(name: str) -> str:
    return cut(TABLES.get(name, plain(name).replace("_", " ")))


def _text(name: str, value: object, in_bytes: bool) -> str:
    """One figure, or several of a kind."""
    if isinstance(value, dict):
        return ", ".join(f"{plain(each)} {_text(f'{each}', what, in_bytes)}" for each, what in value.items())
    if isinstance(value, list):
        unit = name.removesuffix("_by_generation")
        return ", ".join(_text(unit, each, in_bytes) for each in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else figure(name, value)
    if name.endswith("bytes_per_second"):
        return rate(value)
    if name in ("grew", "floors"):
        return size(value) if in_bytes else f"{value:,}"
    if name.endswith("seconds") and value >= 100:
        return span(value)
    return figure(name, value)


def _stalls(told: Mapping[str, Any]) -> str:
    stalls = [stall for stall in told.get("stalls", ()) if isinstance(stall, dict)]
    if not stalls:
        return ""
    lines = [f"stalls, the latest {len(stalls)} of {told.get('count', len(stalls))}"]
    lines += [
        f"{INDENT}{stall.get('started_at')}  {stall.get('duration_seconds'):>8}s  {stall.get('cause')}"
        for stall in stalls
    ]
    return "\n".join(lines)


def _stack(stack: Mapping[str, Any]) -> str:
    frames = stack.get("frames", [])
    lines = [f"stack, seen {stack.get('samples')} times, innermost first"]
    lines += [INDENT + placed(each, WIDE) for each in frames[:MOST_FRAMES]]
    lines += [f"{INDENT}and {len(frames) - MOST_FRAMES} more: --json"] if len(frames) > MOST_FRAMES else []
    return "\n".join(lines)
