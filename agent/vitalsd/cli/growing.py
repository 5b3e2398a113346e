"""What grows, as `vitalsd incidents ID` prints it: a line for each type, coroutine, descriptor and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitalsd.cli.figures import filled, plain
from vitalsd.detect.growth.words import size, span
from vitalsd.detect.words import short

__all__ = ["ABOUT", "growing"]

NOUNS = {
    "growing_types": ("type", "types that grow"),
    "growing_resources": ("resource", "what keeps the loop going and grows in number"),
    "growing_coroutines": ("coroutine", "coroutines whose tasks grow in number"),
    "growing_descriptors": ("kind", "descriptors that grow in number"),
    "growing_threads": ("thread", "threads that grow in number"),
}
"""Key of the evidence -> what each row is named by, and the heading."""
ABOUT = (*NOUNS, "census_at", "census_seconds", "census_share", "no_census_reason")
"""The evidence that is told here."""


def growing(evidence: Mapping[str, Any]) -> str:
    """All that is known of it, or why nothing is."""
    parts = []
    for key, (name, heading) in NOUNS.items():
        rows = [row for row in evidence.get(key, ()) if isinstance(row, dict)]
        if rows:
            parts.append("\n".join([_heading(heading, evidence), *(_row(row, name) for row in rows)]))
    if evidence.get("no_census_reason"):
        parts.append(filled(f"what grows: {plain(evidence['no_census_reason'])}", others="  "))
    return "\n\n".join(parts)


def _heading(heading: str, evidence: Mapping[str, Any]) -> str:
    seconds, share = evidence.get("census_seconds"), evidence.get("census_share", 1)
    within = f", in {span(seconds)}" if isinstance(seconds, int | float) else ""
    sampled = f", estimated from {share * 100:.2g} % of the memory" if share != 1 else ""
    at = f", as of {evidence['census_at']}" if evidence.get("census_at") else ""
    return filled(heading + within + sampled + at, others="  ")


def _row(row: Mapping[str, Any], name: str) -> str:
    grew = f"+{row.get('grew')}"
    told = [f"{row.get('now')} now"]
    if "bytes" in row:
        told.insert(0, f"{size(row['bytes'])} more")
    if row.get("waits_at"):
        told.append(f"one waits in {_place(row['waits_at'])}")
    named = plain(row.get(name))
    if row.get("file"):
        named += f" ({short(row['file'])}:{row.get('line')})"
    return filled(f"{named}, {', '.join(told)}", f"  {grew:>9}  ", " " * 15)


def _place(frame: Mapping[str, Any]) -> str:
    return plain(f"{frame.get('function')} ({str(frame.get('file')).rpartition('/')[2]}:{frame.get('line')})")
