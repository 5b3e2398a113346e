"""
Which page of docs an alert leads to, by a rule of Prometheus or pushed: one place, so that both say the same.

Where people read the pages nobody here can know. Until `runbooks` says so, in the thresholds of the rules or in
`exporters.alertmanager`, a link is the path of the page in the repository.
"""

from __future__ import annotations

from typing import get_args

from vitalsd.model import Cause

__all__ = ["page_of", "runbook_url"]

CAUSES: frozenset[str] = frozenset(get_args(Cause))


def page_of(kind: str, cause: str | None = None) -> str:
    """Of an incident, from the root of the repository; of a stall its cause has a section there."""
    section = f"#{cause}" if kind == "stall" and cause in CAUSES else ""
    return f"docs/incidents/{kind}.md{section}"


def runbook_url(runbooks: str | None, page: str) -> str:
    """The page where it is read."""
    return page if runbooks is None else f"{runbooks.removesuffix('/')}/{page}"
