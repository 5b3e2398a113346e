"""Captures as text: a list, one in full, and what is in one, as small tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vitalsd.cli.figures import INDENT, cut, facts, figure, filled, is_table, plain, seconds, table
from vitalsd.cli.moments import moment, unix
from vitalsd.cli.refused import advice
from vitalsd.detect.growth.words import size

__all__ = ["TABLES", "brief", "described", "files", "held_for", "listed", "sentence", "summary", "where"]

HEADER = ("ID", "ASKED", "KIND", "WORKER", "STATE", "TOOK", "HELD", "BY")
TABLES = {
    "top_sites": "allocated and still there, most first",
    "top_functions": "where the time went, library calls charged to who called them",
    "growing_types": "types that grow",
}
"""Field of a summary -> the heading above its rows, where its name does not say enough."""
LABELS = {
    "counted": "looked at",
    "rate": "samples a second",
    "seconds": "watched for",
    "unseen_share": "time in no sample",
    "idle_share": "idle",
    "profiler_cpu_share": "cost of the profiler, of a core",
    "cpu_seconds": "processor time",
    "loop_late_seconds": "its loop was late by",
    "tracked_seconds": "tracked for",
    "leaked_bytes": "allocated and kept",
    "leaked_allocations": "allocations kept",
    "thread_count": "threads",
    "lock_holder": "has the interpreter lock",
    "held_type": "type that is kept",
    "holders_cut": "search for holders",
    "census_at": "taken",
    "census_share": "of the memory looked at",
    "census_seconds": "since the one before",
    "no_tasks_reason": "tasks",
    "no_samples_reason": "no samples",
}
"""Field of a summary -> what it is called; others by their name. The page says the same (labels.js)."""
COUNTED = {
    "interpreter_lock": "the thread that has the interpreter lock",
    "running_threads": "every thread that runs",
    "main_thread": "the main thread",
}
SAID = ("instead",)
"""What the sentence says already."""


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
                seconds(_took(capture)),
                seconds(capture["pause_seconds"]),
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


def described(capture: Mapping[str, Any], now: float) -> str:
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
        "known to hold": seconds(capture.get("holds_seconds"), None),
        "held": seconds(capture["pause_seconds"], None),
        "harm": capture["harm"],
        "pinned": "yes" if capture["pinned"] else None,
        "uploaded": capture["uploaded_at"],
        "not uploaded": capture["upload_problem"],
    }
    return "\n\n".join(part for part in (filled(sentence(capture, now)), facts(told), summary(capture)) if part)


def brief(capture: Mapping[str, Any]) -> str:
    """What became of one, and what is in it, among others."""
    said = filled(f"capture {capture['id']}: {sentence(capture)}", others=INDENT)
    return f"{said}\n\n{summary(capture)}".rstrip()


def sentence(capture: Mapping[str, Any], now: float | None = None, at_once: str = "with --force") -> str:
    """
    What has become of it, for somebody who reads one line.

    Of what was refused, with the time of now, also when to ask again, and how one is had at once.
    """
    what = f"{capture['kind']} capture of {where(capture)}"
    problem = plain(capture["problem"] or "it does not say why").rstrip(".")
    state = capture["state"]
    if state == "done":
        held, took, engine = capture["pause_seconds"], _took(capture), capture["engine"]
        said = f"Took a {what}" + (f" by {engine}" if engine else "") + (f" in {seconds(took)}" if took else "")
        if held == 0:
            said += "; the service was not held"
        elif held is not None:
            said += f"; it held the service for at most {seconds(held)} at a time"
        instead = capture["summary"].get("instead")
        said += f". Nothing better could be used: {plain(instead).rstrip('.')}" if instead else ""
        return f"{said}." + (f" It did harm: {plain(capture['harm'])}" if capture["harm"] else "")
    if state == "refused":
        again = advice(capture, now, at_once) if now is not None else ""
        return f"No {what}: {problem}" + (f": {again}." if again else ".")
    if state == "failed":
        return f"The {what} failed: {problem}."
    if state == "cancelled":
        return f"The {what} was cancelled, and nothing of it is kept."
    return f"The {what} is {state}."


def held_for(capture: Mapping[str, Any]) -> str | None:
    """What it costs the service, for who has just asked for it; None where that is nothing to speak of."""
    holds = capture.get("holds_seconds")
    if holds is None:
        return None
    what = f"{capture['kind']} capture of {where(capture)} by {capture['engine']}"
    return (
        f"The {what} will hold the service for about {seconds(holds)}: "
        "less where few large objects live in it, longer on a host that is busy."
    )


def summary(capture: Mapping[str, Any]) -> str:
    """What is in it: the tables that it has, and each figure beside them."""
    told, parts = capture["summary"], []
    for name in (*(name for name in TABLES if name in told), *(name for name in told if name not in TABLES)):
        if is_table(told[name]):
            heading = TABLES.get(name, plain(name).replace("_", " "))
            parts.append("\n".join([cut(heading), *table(told[name])]))
    others = {
        LABELS.get(name, plain(name).replace("_", " ")): (
            COUNTED.get(str(value), figure(name, value)) if name == "counted" else figure(name, value)
        )
        for name, value in told.items()
        if name not in SAID and isinstance(value, int | float | str)
    }
    if others:
        parts.append(facts(others))
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


def _state(capture: Mapping[str, Any]) -> str:
    share = capture.get("progress")
    state = str(capture["state"])
    state = f"{state} {plain(capture['waits_for'])}" if capture.get("waits_for") else state
    return state if share is None else f"{state}, {share:.0%} done"


def _took(capture: Mapping[str, Any]) -> float | None:
    started, ended = unix(capture["started_at"]), unix(capture["ended_at"])
    return None if started is None or ended is None else max(0.0, ended - started)
