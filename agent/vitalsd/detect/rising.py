"""How fast something rises, where it rises along a line and goes on: the line of least squares. Pure."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["rising"]

LEAST_POINTS = 4
FITS = 0.6
"""Of the variance, explained by the line."""
STILL_GROWS = 0.5
"""The slope of the later half, in that of the whole."""


def rising(points: Sequence[tuple[float, int]]) -> float | None:
    """By how much more there is each second; None where no line that goes on leads up."""
    if len(points) < LEAST_POINTS:
        return None
    slope, fit = _line(points)
    later, _ = _line(points[len(points) // 2 :])
    return slope if slope > 0 and fit >= FITS and later >= STILL_GROWS * slope else None


def _line(points: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """The slope of the line of least squares, and the share of the variance that it explains."""
    middle = sum(at for at, _ in points) / len(points)
    mean = sum(count for _, count in points) / len(points)
    spread = sum((at - middle) ** 2 for at, _ in points)
    together = sum((at - middle) * (count - mean) for at, count in points)
    variance = sum((count - mean) ** 2 for _, count in points)
    slope = together / spread if spread else 0.0
    return slope, slope * together / variance if variance else 0.0
