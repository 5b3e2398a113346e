"""
What a bench reports, and the few statistics behind it. Pure.

Figures of a shared machine are medians over many short paired rounds with a bootstrap interval. Rounds within
one start of the processes share their memory layout, which alone moves Python by a percent, so starts are
resampled first and rounds within them second.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = [
    "Bar",
    "Figure",
    "Interval",
    "aligned",
    "bootstrap",
    "estimate",
    "paired",
    "quantile",
    "share",
    "table",
    "wilson",
]

RESAMPLES = 2000
CONFIDENCE = 0.95
NORMAL = 1.96
Interval = tuple[float, float]


@dataclass(frozen=True)
class Bar:
    """What a figure must reach."""

    limit: float
    unit: str = ""
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Whether `value` is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Figure:
    """One result; without a bar it is a reference, to compare others with."""

    name: str
    value: float
    unit: str
    bar: Bar | None = None
    interval: Interval | None = None

    @property
    def verdict(self) -> str:
        """`met`, `NOT MET`, or nothing for a reference."""
        if self.bar is None:
            return ""
        return "met" if self.bar.met_by(self.value) else "NOT MET"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def paired(a: Sequence[float], b: Sequence[float], how: Callable[[float, float], float]) -> list[float]:
    """`how(a, b)` of each pair of rounds that ran side by side."""
    return [how(*pair) for pair in zip(a, b, strict=True)]


def bootstrap(starts: Sequence[Sequence[float]], seed: int = 1) -> Interval:
    """The interval of the median that resampling starts, and rounds within them, gives."""
    chance = random.Random(seed)
    medians = []
    for _ in range(RESAMPLES):
        rounds = [chance.choices(start, k=len(start)) for start in chance.choices(starts, k=len(starts))]
        medians.append(median(value for one in rounds for value in one))
    tail = (1 - CONFIDENCE) / 2
    return quantile(medians, tail), quantile(medians, 1 - tail)


def estimate(name: str, starts: Sequence[Sequence[float]], unit: str, bar: Bar | None = None) -> Figure:
    """The median over all rounds of all starts, with its interval."""
    return Figure(name, median(value for start in starts for value in start), unit, bar, bootstrap(starts))


def wilson(hits: int, of: int) -> Interval:
    """The 95 % interval of a share, in per cent, after Wilson: it says something of none in so many, too."""
    middle, spread = hits / of, NORMAL * NORMAL / of
    centre = (middle + spread / 2) / (1 + spread)
    half = math.sqrt(middle * (1 - middle) * spread + spread * spread / 4) / (1 + spread)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def share(name: str, hits: int, of: int, bar: Bar | None = None) -> Figure:
    """So many of so many, in per cent."""
    return Figure(name, 100 * hits / of, "%", bar, wilson(hits, of))


def table(figures: Sequence[Figure]) -> str:
    """Figures as aligned text: figure, value, 95 % interval, bar, whether it is met."""
    rows = [("figure", "value", "95 % interval", "bar", "")]
    for figure in figures:
        value = f"{figure.value:.4g} {figure.unit}".strip()
        interval = "{:.4g} .. {:.4g}".format(*figure.interval) if figure.interval is not None else ""
        bar = str(figure.bar) if figure.bar is not None else ""
        rows.append((figure.name, value, interval, bar, figure.verdict))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
