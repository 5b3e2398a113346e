"""
How others tell a leak from memory alone, each written anew from what is published of it.

All get medians of five minutes and are asked every half hour, but for the rule of the guides, which gets a reading
a minute. They know nothing of restarts. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

__all__ = ["BASELINES", "FIXED_RATES", "fixed_rate", "medians", "stretches"]

PER_HOUR = 12
FIXED_MB_PER_MINUTE = 10.0
ASKED_EVERY = 6
"""Half an hour, in medians."""
Rule = Callable[[Sequence[float], float], Iterator[int]]
"""Medians and the limit -> the numbers of the medians at which it alarms."""


def medians(values: Sequence[float], each: int = 5) -> list[float]:
    """Of every five readings."""
    return [median(values[begin : begin + each]) for begin in range(0, len(values) - each + 1, each)]


def fixed_rate(values: Sequence[float], minutes: int) -> Iterator[int]:
    """More than 10 MB a minute from the first to the last of the readings that are kept, as guides show it."""
    for end in range(minutes, len(values)):
        if values[end] - values[end - minutes] > FIXED_MB_PER_MINUTE * minutes:
            yield end


def _asked(count: int, window: int) -> range:
    """The numbers of medians at which a rule of this window is asked."""
    return range(window, count + 1, ASKED_EVERY)


def _held(asked: Iterator[tuple[int, bool]], need: int) -> Iterator[int]:
    """Where a rule has held for so many askings in a row."""
    row = 0
    for end, holds in asked:
        row = row + 1 if holds else 0
        if row >= need:
            yield end


def predict_linear(hours: int, ahead_hours: int) -> Rule:
    """Prometheus' `predict_linear(memory[6h], 24 * 3600) > limit`, for half an hour."""
    window = hours * PER_HOUR

    def holds(values: Sequence[float], limit: float) -> Iterator[tuple[int, bool]]:
        for end in _asked(len(values), window):
            slope, fitted = _line(values[end - window : end])
            yield end, slope > 0 and fitted + slope * ahead_hours * PER_HOUR > limit

    return lambda values, limit: _held(holds(values, limit), 2)


def coroot(values: Sequence[float], limit: float) -> Iterator[int]:
    """The line of an hour, still rising in its last quarter, by a twentieth of the limit and a tenth of itself."""
    window, quarter = PER_HOUR, 5
    for end in _asked(len(values), window):
        hour = values[end - window : end]
        slope, fitted = _line(hour)
        if slope <= 0:
            continue
        last = _line(hour[-quarter:])[0]
        grew, first = slope * PER_HOUR, fitted - slope * (window - 1)
        if last > 0 and last >= 0.3 * slope and grew >= 0.05 * limit and grew > 0.1 * first:
            yield end


def mann_kendall(values: Sequence[float], _limit: float) -> Iterator[int]:
    """A rise over 24 h that chance makes once in a hundred: means of 15 min, z > 2.326, Theil and Sen above 0."""
    means = [sum(values[begin : begin + 3]) / 3 for begin in range(0, len(values) - 2, 3)]
    window, ups, downs = 24 * 4, 0, 0
    for index, mean in enumerate(means):
        for other in means[max(0, index - window + 1) : index]:
            ups += mean > other
            downs += mean < other
        if index >= window:
            gone = means[index - window]
            for other in means[index - window + 1 : index]:
                ups -= other > gone
                downs -= other < gone
        end = index + 1
        if end >= window and end % 2 == 0:
            spread = math.sqrt(window * (window - 1) * (2 * window + 5) / 18)
            if (ups - downs - 1) / spread > 2.326 and ups > window * (window - 1) / 4:
                yield end * 3


def _line(values: Sequence[float]) -> tuple[float, float]:
    """Slope per step of the line of least squares, and where it ends."""
    count = len(values)
    middle, mean, spread = (count - 1) / 2, sum(values) / count, count * (count * count - 1) / 12
    slope = sum((index - middle) * value for index, value in enumerate(values)) / spread
    return slope, mean + slope * middle


BASELINES: dict[str, Rule] = {
    "`predict_linear` 6 h": predict_linear(6, 24),
    "`predict_linear` 1 h": predict_linear(1, 4),
    "Coroot 1 h": coroot,
    "Mann-Kendall 24 h": mann_kendall,
}
FIXED_RATES = {"10 MB/min over 30 min": 30, "10 MB/min over 5 min": 5}
"""Minutes from the first of the readings that a guide keeps to the last."""


def stretches(hours: Iterable[float], apart: float = 24.0) -> list[float]:
    """Where alarms begin that come more than a day after the one before."""
    begins, last = [], -math.inf
    for hour in hours:
        if hour - last > apart:
            begins.append(hour)
        last = hour
    return begins
