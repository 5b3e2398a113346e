"""What there is to draw on a panel: figures with their units, lines, bars and heat over time."""

from __future__ import annotations

import html
import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from support.dashboards import filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.prometheus import Prometheus

__all__ = ["CELL", "PALETTE", "ROW", "Answers", "Box", "drawn", "shade", "text"]

CELL, ROW = 50, 28
"""Pixels of a column and of a row of the grid."""
PALETTE = (
    "#73bf69",
    "#f2cc0c",
    "#ff780a",
    "#5794f2",
    "#f2495c",
    "#b877d9",
    "#8ab8ff",
    "#fade2a",
    "#96d98d",
    "#ffa6b0",
)
AXIS = 52
LEGEND_LINE, LEGEND_LINES = 14, 2
Series = list[tuple[dict[str, str], list[tuple[float, float]]]]


class Box(NamedTuple):
    """A place on the page."""

    x: float
    y: float
    w: float
    h: float


class Answers(NamedTuple):
    """A Prometheus, the time that is looked at, and what is chosen."""

    prometheus: Prometheus
    begin: float
    end: float
    chosen: dict[str, str]
    step: int

    def _filled(self, expr: str) -> str:
        """With Grafana's interval for rates: that of the points, and one scrape more."""
        return filled(expr, self.chosen, f"{self.step + 1}s", f"{self.end - self.begin:.0f}s")

    def now(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """At the end of that time."""
        _, body = self.prometheus.get("/api/v1/query", query=self._filled(expr), time=f"{self.end}")
        rows = [(row["metric"], float(row["value"][1])) for row in json.loads(body)["data"]["result"]]
        return [row for row in rows if math.isfinite(row[1])]

    def over(self, expr: str) -> Series:
        """All through it."""
        asked = {
            "query": self._filled(expr),
            "start": f"{self.begin}",
            "end": f"{self.end}",
            "step": f"{self.step}",
        }
        _, body = self.prometheus.get("/api/v1/query_range", **asked)
        rows = [
            (row["metric"], [(float(at), float(value)) for at, value in row["values"]])
            for row in json.loads(body)["data"]["result"]
        ]
        return [(labels, [point for point in points if math.isfinite(point[1])]) for labels, points in rows]


def text(x: float, y: float, said: str, size: int = 0, color: str = "#9d9da8", anchor: str = "") -> str:
    """A line of it; what is said is plain text or escaped already."""
    more = (f' font-size="{size}"' if size else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}"{more}>{said}</text>'


def shade(value: float, unit: str) -> str:
    """A figure as Grafana writes it, more or less."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    steps = {
        "s": ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")),
        "bytes": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
        "Bps": ((1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s")),
        "cps": ((1e3, "k/s"), (1, "/s"), (1e-3, "m/s")),
    }.get(unit, ((1e6, "M"), (1e3, "k"), (1, "")))
    for size, name in steps:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}".strip()
    return f"{value:.3g}"


def drawn(panel: Mapping[str, Any], box: Box, answers: Answers) -> str:
    """Anything over time."""
    if panel["type"] == "heatmap":
        return _heat(panel, box, answers)
    found = [(target, row) for target in panel["targets"] for row in answers.over(target["expr"])]
    found = [(target, row) for target, row in found if row[1]]
    defaults = panel["fieldConfig"]["defaults"]
    if not found:
        said = defaults.get("noValue", "No data")
        return text(box.x + box.w / 2, box.y + box.h / 2, said, color="#8e8e99", anchor="middle")
    bars = defaults["custom"]["drawStyle"] == "bars"
    dashed = {rule["matcher"]["options"] for rule in panel["fieldConfig"]["overrides"]}
    plot = Box(box.x + AXIS, box.y, box.w - AXIS, box.h - LEGEND_LINE * LEGEND_LINES - 16)
    heights: dict[float, float] = {}
    for _, (_, points) in found:
        for at, value in points:
            heights[at] = heights.get(at, 0.0) + value if bars else max(heights.get(at, 0.0), value)
    low = min(0.0, *(value for _, (_, points) in found for _, value in points))
    high = max(heights.values())
    scale = _Scale(plot, answers, low, high * 1.05 if high > low else low + 1)
    parts = [scale.axes(defaults["unit"])]
    names = []
    base: dict[float, float] = {}
    for number, (target, (labels, points)) in enumerate(found):
        color = PALETTE[number % len(PALETTE)]
        if bars:
            parts.append(_bars(points, base, scale, color, answers.step))
        else:
            dash = ' stroke-dasharray="6 4"' if target["refId"] in dashed else ""
            parts.append(f'<path d="{_path(points, scale, answers.step)}" fill="none" stroke="{color}"{dash}/>')
        names.append((color, _legend(target["legendFormat"], labels)))
    return "\n".join([*parts, _names(names, box)])


class _Scale:
    """From time and value to the page."""

    def __init__(self, plot: Box, answers: Answers, low: float, high: float) -> None:
        self.plot, self._low, self._high = plot, low, high
        self._begin, self._end = answers.begin, answers.end

    def x(self, at: float) -> float:
        return self.plot.x + self.plot.w * (at - self._begin) / (self._end - self._begin)

    def y(self, value: float) -> float:
        return self.plot.y + self.plot.h * (1 - (value - self._low) / (self._high - self._low))

    def axes(self, unit: str) -> str:
        parts = []
        for part in range(4):
            value = self._low + (self._high - self._low) * part / 3
            y = self.y(value)
            parts.append(f'<path d="M{self.plot.x:.0f} {y:.0f}h{self.plot.w:.0f}" stroke="#2c3034"/>')
            parts.append(text(self.plot.x - 5, y + 4, shade(value, unit), anchor="end"))
        return "\n".join([*parts, self.times()])

    def times(self) -> str:
        minutes = (self._end - self._begin) / 60
        y = self.plot.y + self.plot.h + 13
        return "\n".join(
            text(self.x(self._end - 60 * ago), y, "now" if not ago else f"-{ago:.0f} min", anchor="middle")
            for ago in (minutes * 2 // 3, minutes // 3, 0)
        ).replace(f'x="{self.x(self._end):.0f}"', f'x="{self.x(self._end) - 12:.0f}"')


def _path(points: list[tuple[float, float]], scale: _Scale, step: int) -> str:
    """A line that breaks where there was nothing."""
    said, last = [], -math.inf
    for at, value in points:
        said.append(f"{'L' if at - last < 1.5 * step else 'M'}{scale.x(at):.0f} {scale.y(value):.1f}")
        last = at
    return "".join(said)


def _bars(
    points: list[tuple[float, float]], base: dict[float, float], scale: _Scale, color: str, step: int
) -> str:
    """On top of those before."""
    width = max(1.0, scale.x(step) - scale.x(0) - 1)
    said = []
    for at, value in points:
        bottom = base.get(at, 0.0)
        base[at] = bottom + value
        if height := round(scale.y(bottom) - scale.y(base[at]), 1):
            said.append(f"M{scale.x(at) - width:.1f} {scale.y(bottom):.1f}h{width:.1f}v{-height}h{-width:.1f}z")
    return f'<path d="{"".join(said)}" fill="{color}"/>' if said else ""


def _heat(panel: Mapping[str, Any], box: Box, answers: Answers) -> str:
    """Of a histogram's buckets: how much fell into each, the more the hotter."""
    (target,) = panel["targets"]
    rows = {float(labels["le"]): dict(points) for labels, points in answers.over(target["expr"])}
    bounds = sorted(rows)
    scale = _Scale(Box(box.x + AXIS, box.y, box.w - AXIS, box.h - 16), answers, 0, len(bounds))
    times = sorted({at for points in rows.values() for at in points})
    parts, paths = [], dict[str, list[str]]()
    width, height = max(1.0, scale.x(answers.step) - scale.x(0) - 1), scale.plot.h / len(bounds) - 1
    for number, bound in enumerate(bounds):
        if number % 2:
            named = "+Inf" if math.isinf(bound) else shade(bound, panel["options"]["yAxis"]["unit"])
            parts.append(text(scale.plot.x - 5, scale.y(number + 0.5) + 4, named, anchor="end"))
        for at in times:
            below = rows[bounds[number - 1]].get(at, 0.0) if number else 0.0
            share = (rows[bound].get(at, 0.0) - below) / (rows[math.inf].get(at, 0.0) or 1.0)
            if share > 1e-4:
                paths.setdefault(_heat_color(share), []).append(
                    f"M{scale.x(at) - width:.1f} {scale.y(number + 1):.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"
                )
    parts += [f'<path d="{"".join(said)}" fill="{color}"/>' for color, said in sorted(paths.items())]
    return "\n".join([*parts, scale.times()])


def _heat_color(share: float) -> str:
    """One of eight, from dark to bright."""
    level = math.ceil(share**0.4 * 8) / 8
    return f"rgb({80 + 175 * level:.0f},{30 + 150 * level:.0f},{20 + 60 * level:.0f})"


def _legend(form: str, labels: Mapping[str, str]) -> str:
    return html.escape(re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), form))


def _names(names: list[tuple[str, str]], box: Box) -> str:
    """As many as there is room for."""
    parts = []
    x, y = box.x, box.y + box.h - LEGEND_LINE * (LEGEND_LINES - 1)
    for number, (color, name) in enumerate(names):
        width = 26 + 6.2 * len(name)
        if x + width > box.x + box.w and x > box.x:
            x, y = box.x, y + LEGEND_LINE
        if y > box.y + box.h + 1:
            parts.append(
                text(box.x + box.w, y - LEGEND_LINE + 11, f"and {len(names) - number} more", anchor="end")
            )
            break
        parts.append(f'<path d="M{x:.0f} {y - 4:.0f}h10" stroke="{color}" stroke-width="3"/>')
        parts.append(text(x + 14, y, name))
        x += width
    return "\n".join(parts)
