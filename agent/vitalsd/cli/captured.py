"""Captures as text: a list, one in full, and what is in one, as small tables that fit a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from vitalsd.cli.incidents import cut, facts, moment, unix
from vitalsd.detect.growth.words import size

__all__ = ["described", "files", "listed", "sentence", "summary", "where"]

HEADER = ("ID", "ASKED", "KIND", "WORKER", "STATE", "TOOK", "HELD", "BY")
WIDTH = 80
INDENT = "  "
MOST_ROWS = 10
TABLES = {
    "top_sites": "allocated and still there, most first",
    "top_functions": "where the time went, most first",
    "growing_types": "types that grow",
}
"""Field of a summary -> the heading above its rows, where its name does not say enough."""
SAID = ("instead",)
"""What the sentence says already."""
NAMES = ("function", "type", "name", "chain")
"""The field of a row that says what it is of, the first that it has."""
NO_FIGURES = (*NAMES, "file", "line", "id")
FIGURES_WIDTH = 42
"""What a table has for figures, of what a terminal has."""


def listed(captures: Iterable[Mapping[str, Any]], now: float) -> str:
    """The captures as an aligned table of two lines each, the second with why, or what was in the way."""
    rows, reasons = [HEADER], [""]
    for capture in captures:
        rows.append(
            (
                capture["id"],
                moment(capture["asked_at"], now),
                capture["kind"],
                where(capture),
                capture["state"],
                _seconds(_took(capture)),
                _seconds(capture["pause_seconds"]),
                capture["asked_by"],
            )
        )
        reasons.append(plain(capture["problem"] or capture["reason"]))
    if len(rows) == 1:
        return "No capture: none was asked for, or the filters leave none."
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = []
    for row, reason in zip(rows, reasons, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += [cut(INDENT + reason)] if reason else []
    return "\n".join(lines)


def described(capture: Mapping[str, Any]) -> str:
    """One capture in full, without where its files lie."""
    told = {
        "capture": capture["id"],
        "kind": capture["kind"],
        "worker": f"{where(capture)}, pid {capture['pid']}",
        "state": _state(capture),
        "engine": capture["engine"],
        "reason": plain(capture["reason"]),
        "asked by": f"{capture['asked_by']} {plain(capture['who'])}",
        "incident": capture["incident"],
        "asked": capture["asked_at"],
        "started": capture["started_at"],
        "ended": capture["ended_at"],
        "held": _seconds(capture["pause_seconds"], None),
        "harm": capture["harm"],
        "pinned": "yes" if capture["pinned"] else None,
        "uploaded": capture["uploaded_at"],
        "not uploaded": capture["upload_problem"],
    }
    return "\n\n".join(part for part in (sentence(capture), facts(told), summary(capture)) if part)


def sentence(capture: Mapping[str, Any]) -> str:
    """What has become of it, for somebody who reads one line."""
    what = f"{capture['kind']} capture of {where(capture)}"
    problem = plain(capture["problem"] or "it does not say why").rstrip(".")
    state = capture["state"]
    if state == "done":
        held, took, engine = capture["pause_seconds"], _took(capture), capture["engine"]
        said = f"Took a {what}" + (f" by {engine}" if engine else "") + (f" in {_seconds(took)}" if took else "")
        if held is not None:
            said += f"; it held the service for at most {_seconds(held)} at a time"
        instead = capture["summary"].get("instead")
        said += f". Nothing better could be used: {plain(instead).rstrip('.')}" if instead else ""
        return f"{said}." + (f" It did harm: {plain(capture['harm'])}" if capture["harm"] else "")
    if state == "refused":
        return f"No {what}: {problem}."
    if state == "failed":
        return f"The {what} failed: {problem}."
    if state == "cancelled":
        return f"The {what} was cancelled, and nothing of it is kept."
    return f"The {what} is {state}."


def summary(capture: Mapping[str, Any]) -> str:
    """What is in it: the tables that it has, and each figure beside them."""
    told = capture["summary"]
    parts = []
    for name in (*(name for name in TABLES if name in told), *(name for name in told if name not in TABLES)):
        rows = [row for row in told[name] if isinstance(row, dict)] if isinstance(told[name], list) else []
        if rows:
            parts.append("\n".join([cut(TABLES.get(name, plain(name).replace("_", " "))), *_table(rows)]))
    others = {
        plain(name).replace("_", " "): _figure(name, value)
        for name, value in told.items()
        if name not in SAID and isinstance(value, int | float | str)
    }
    if others:
        width = max(map(len, others))
        parts.append("\n".join(_wrapped(name, value, width) for name, value in others.items()))
    return "\n\n".join(parts)


def files(capture: Mapping[str, Any], lie: str | None) -> str:
    """Its files, and where they are."""
    rows = [
        (plain(each["name"]), size(each["size_bytes"]), plain(each["media_type"])) for each in capture["artifacts"]
    ]
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        INDENT + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([f"files in {lie}" if lie is not None else "files", *lines])


def where(capture: Mapping[str, Any]) -> str:
    """`shop/0`."""
    return plain(f"{capture['target']}/{capture['worker']}" if capture["worker"] else capture["target"])


def plain(text: object) -> str:
    """A text that a service, or somebody else, has chosen: without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def _state(capture: Mapping[str, Any]) -> str:
    share = capture.get("progress")
    state = str(capture["state"])
    return state if share is None else f"{state}, {share:.0%} done"


def _took(capture: Mapping[str, Any]) -> float | None:
    started, ended = unix(capture["started_at"]), unix(capture["ended_at"])
    return None if started is None or ended is None else max(0.0, ended - started)


def _seconds(seconds: float | None, unknown: str | None = "-") -> str:
    if seconds is None:
        return unknown or ""
    return f"{seconds * 1000:.3g}ms" if seconds < 1 else f"{seconds:.1f}s"


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """The figures of each row, as many as there is room for, and then what they are of."""
    shown = rows[:MOST_ROWS]
    columns: list[list[str]] = []
    for name in (name for name in rows[0] if name not in NO_FIGURES and _is_figure(rows[0][name])):
        head = plain(name).removesuffix("_share").replace("_per_second", "/s").replace("_", " ")
        column = [head, *(_figure(name, row.get(name)) for row in shown)]
        width = max(map(len, column))
        if sum(len(each[0]) + 2 for each in columns) + width > FIGURES_WIDTH:
            break
        columns.append([cell.rjust(width) for cell in column])
    lines = [
        cut((INDENT + "  ".join([*figures, of])).rstrip())
        for *figures, of in zip(*columns, ["", *map(_of, shown)], strict=True)
    ]
    lines = lines if columns else lines[1:]
    return lines + ([f"{INDENT}and {len(rows) - MOST_ROWS} more: --json"] if len(rows) > MOST_ROWS else [])


def _of(row: Mapping[str, Any]) -> str:
    """`parse (orders.py:41)`, a type, or a thread and where it is."""
    name = plain(next((row[field] for field in NAMES if row.get(field)), "?"))
    if row.get("file"):
        name += f" ({plain(row['file']).rpartition('/')[2]}:{row.get('line')})"
    at = row.get("at")
    if isinstance(at, dict):
        return f"{name}, in {_of(at)}"
    return f"{name}, in {plain(at)}" if isinstance(at, str) else name


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float)


def _wrapped(name: str, value: str, width: int) -> str:
    """A figure, or a sentence with all its words."""
    first, others = f"{name:{width}}  ", " " * (width + 2)
    return textwrap.fill(value, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False)


def _figure(name: str, value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "-" if value is None else "yes" if value else "no"
    if isinstance(value, int | float):
        if name.endswith("share"):
            return f"{value:.1%}"
        if name.endswith("bytes"):
            return size(value)
        if "bytes_per_second" in name:
            return f"{size(value)}/s"
        if name.endswith("seconds"):
            return _seconds(float(value))
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    return plain(value if isinstance(value, str) else msgspec.json.encode(value).decode())
