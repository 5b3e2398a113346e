"""A dashboard as data: rows of panels, each of which asks Prometheus something and says what the answer means."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Column", "Dashboard", "Link", "Panel", "Query", "Row", "Shape", "Step", "Variable"]

Shape = Literal["lines", "bars", "stat", "table", "heatmap"]
Unit = Literal["s", "short", "bytes", "Bps", "percentunit", "cps", "bool_yes_no"]
"""Those of Grafana that we use; seconds and bytes are told in whatever is readable."""


class Query(msgspec.Struct, frozen=True):
    """One question."""

    expr: str
    legend: str
    dashed: bool = False
    """A bound or a forecast, drawn as such."""


class Step(msgspec.Struct, frozen=True):
    """From this value on it has another color."""

    value: float
    color: Literal["green", "orange", "red"]


class Link(msgspec.Struct, frozen=True):
    """From what was clicked on to somewhere else."""

    title: str
    url: str


class Column(msgspec.Struct, frozen=True):
    """Of a table: a label, or the value of one of its queries (`A`, `B`, in their order)."""

    of: str
    title: str
    unit: Unit = "short"
    links: tuple[Link, ...] = ()
    steps: tuple[Step, ...] = ()


class Panel(msgspec.Struct, frozen=True):
    """One picture."""

    title: str
    description: str
    """What it says, and what would be bad."""
    unit: Unit
    queries: tuple[Query, ...]
    shape: Shape = "lines"
    width: int = 8
    """Of 24."""
    height: int = 7
    steps: tuple[Step, ...] = ()
    links: tuple[Link, ...] = ()
    columns: tuple[Column, ...] = ()
    """Of a table."""
    empty: str = ""
    """What stands there when there is nothing, which is mostly good."""


class Row(msgspec.Struct, frozen=True):
    """Panels that answer one question."""

    title: str
    panels: tuple[Panel, ...]


class Variable(msgspec.Struct, frozen=True):
    """What a reader chooses at the top, from the values of a label."""

    name: str
    label: str
    query: str
    many: bool = True
    """Several, or all of them, which is what it begins with."""


class Dashboard(msgspec.Struct, frozen=True):
    """One page."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
