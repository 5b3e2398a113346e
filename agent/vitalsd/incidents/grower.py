"""
Names what grows, as the end of an incident's sentence: from evidence that comes after the finding, by and by.

A census tells types, coroutines, kinds of descriptors and names of threads; a heap capture who holds a type; a
memory capture where it is allocated. Only what the evidence has is named. Pure text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vitalsd.detect.growth.words import number, span
from vitalsd.detect.words import short

__all__ = ["grower", "with_grower", "without_grower"]

LEAD = "; what grows most is "
NAMED = re.compile(re.escape(LEAD) + r".*?(?=\.?$)")
TOPICS = {
    "leak": ("growing_types", "type", ""),
    "growth": ("growing_types", "type", ""),
    "heap_exhaustion": ("growing_types", "type", ""),
    "task_leak": ("growing_coroutines", "coroutine", "tasks of "),
    "fd_leak": ("growing_descriptors", "kind", "descriptors of kind "),
    "fd_exhaustion": ("growing_descriptors", "kind", "descriptors of kind "),
    "thread_leak": ("growing_threads", "thread", "threads named "),
}
"""Kind of incident -> the evidence, what its rows are named by, and what they are."""
MANY = 100
NAME = 80
"""Letters: a sentence is to be read."""


def with_grower(kind: str, summary: str, evidence: Mapping[str, Any]) -> str:
    """The summary, and what grows, as far as that is known by now."""
    if kind not in TOPICS:
        return summary
    named, bare = grower(kind, evidence), without_grower(summary)
    if named is None:
        return bare
    return f"{bare.removesuffix('.')}{LEAD}{named}{'.' if bare.endswith('.') else ''}"


def without_grower(summary: str) -> str:
    """A summary without what `with_grower` has added to it."""
    return NAMED.sub("", summary)


def grower(kind: str, evidence: Mapping[str, Any]) -> str | None:
    """`` `shop.Session` (51,200 more in 10 min), held by `app.SESSIONS` ``; None where nothing is known of it."""
    if kind not in TOPICS:
        return None
    key, name, noun = TOPICS[kind]
    row = _first(evidence, key)
    if row is None:
        return _without_types(evidence) if key == "growing_types" else None
    told = f"{noun}`{_cut(row.get(name))}`{_more(row, evidence)}"
    if key == "growing_coroutines" and isinstance(row.get("waits_at"), Mapping):
        told += f", waiting in {_place(row['waits_at'])}"
    if key == "growing_types":
        holder, site = _holder(evidence, str(row.get(name))), _site(evidence)
        told += f", held by `{holder}`" if holder is not None else ""
        told += f", and {site} allocates most of what is kept" if site is not None else ""
    return told


def _without_types(evidence: Mapping[str, Any]) -> str | None:
    """Of a heap that is not counted: who allocates what is kept, and of what keeps a loop going there is more."""
    site, row = _site(evidence), _first(evidence, "growing_resources")
    resources = None
    if row is not None and _is_many(row):
        resources = f"active resources of type `{_cut(row.get('resource'))}`{_more(row, evidence)}"
    if site is None:
        return resources
    return f"what {site} allocates" + (f", with {resources}" if resources is not None else "")


def _is_many(row: Mapping[str, Any]) -> bool:
    """Whether there are so many more that they tell of a leak, and not of a busy hour."""
    grew, now = row.get("grew"), row.get("now")
    return isinstance(grew, int) and isinstance(now, int) and grew >= max(MANY, now / 2)


def _first(evidence: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    rows = evidence.get(key)
    return rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], Mapping) else None


def _more(row: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    grew, seconds = row.get("grew"), evidence.get("census_seconds")
    if not isinstance(grew, int | float):
        return ""
    within = f" in {span(seconds)}" if isinstance(seconds, int | float) else ""
    return f" ({number(grew)} more{within})"


def _holder(evidence: Mapping[str, Any], kind: str) -> str | None:
    """Where the chain to an object of this type begins, if that is where it is held for good."""
    for row in evidence.get("holders") or ():
        chain = row.get("chain") if isinstance(row, Mapping) and row.get("rooted") else None
        links = chain.split(" -> ") if isinstance(chain, str) else []
        if len(links) > 1 and links[-1] == kind:
            return _cut(links[0])
    return None


def _site(evidence: Mapping[str, Any]) -> str | None:
    row = _first(evidence, "top_sites")
    return _place(row) if row is not None else None


def _place(frame: Mapping[str, Any]) -> str:
    return f"`{_cut(frame.get('function'))}` ({short(str(frame.get('file')))}:{frame.get('line')})"


def _cut(name: object) -> str:
    text = str(name)
    return text if len(text) <= NAME else text[: NAME - 1] + "…"
