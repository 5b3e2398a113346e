"""A rule as data: a recording, an alert, and the group in which Prometheus evaluates them one after the other."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "INSTANCE",
    "RUNBOOK",
    "TARGET",
    "TARGET_ALONE",
    "WORKER",
    "Alert",
    "Group",
    "Level",
    "Recording",
    "value",
]

Level = Literal["critical", "warning"]
"""`critical` pages somebody, `warning` is a ticket."""

BRIDGED = "[1m]"
"""A scrape that fails ends every series, and would begin the time anew for which an alert is held."""
INSTANCE = "{{ $labels.instance }}"
TARGET_ALONE = "{{ $labels.target }}"
TARGET = "`{{ $labels.target }}` on " + INSTANCE
WORKER = "Worker {{ $labels.worker }} of " + TARGET
RUNBOOK = "docs/alerts.md#vitalsd-itself"
"""Of an alert that is no incident."""


def value(form: str = "humanize") -> str:
    """What the expression came to, in one of Prometheus's own forms."""
    return "{{ $value | " + form + " }}"


class Recording(msgspec.Struct, frozen=True):
    """A series that Prometheus computes from ours."""

    record: str
    """Level, metric and operation: which labels are left, of what it is made, and how."""
    expr: str
    meaning: str
    """For the documentation."""


class Alert(msgspec.Struct, frozen=True):
    """What somebody should know."""

    alert: str
    severity: Level
    expr: str
    held: str
    """For how long it must be so before it fires; `0s` where what it asks for has been held already."""
    summary: str
    """One sentence that is the same for everybody it happens to; people read it after whose it is."""
    description: str
    """Who, and by which numbers: a template of Prometheus."""
    advice: str
    """What to do first; ends the description."""
    runbook: str = RUNBOOK
    """The page, and perhaps its section, from the root of the project."""
    keep: str = "5m"
    """For how long it goes on when it is no longer so, since one that comes and goes is several pages."""
    whose: str = ""
    """A template: whom people read about, since a pager shows the summary and perhaps nothing else."""
    more: str = ""
    """A template: what follows the summary there."""

    @property
    def title(self) -> str:
        """The summary as people read it."""
        plain = self.summary
        return (f"{self.whose}: {plain[:1].lower()}{plain[1:]}" if self.whose else plain) + self.more


class Group(msgspec.Struct, frozen=True):
    """Rules that are evaluated together."""

    name: str
    rules: tuple[Recording | Alert, ...]
