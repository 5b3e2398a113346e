"""
A dashboard as one SVG: the panels of its JSON, at their places, drawn from what a Prometheus answers to their
queries.

It is no Grafana, and stands in for one where there is none: colors, legends and tables are simpler.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from support.curves import CELL, PALETTE, ROW, Answers, Box, drawn, shade, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_svg"]

ACROSS = 24
HEAD = 46
FONT = 'font-family="sans-serif" font-size="11"'


def as_svg(dashboard: Mapping[str, Any], answers: Answers) -> str:
    """The whole page."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    width, height = ACROSS * CELL, HEAD + bottom * ROW
    chosen = "   ".join(f"{name}: {'All' if value == '.+' else value}" for name, value in answers.chosen.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {FONT}>',
        f'<rect width="{width}" height="{height}" fill="#111217"/>',
        text(12, 22, dashboard["title"], size=17, color="#fff"),
        text(12, 38, chosen, color="#8e8e99"),
    ]
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        box = Box(at["x"] * CELL, HEAD + at["y"] * ROW, at["w"] * CELL, at["h"] * ROW)
        if panel["type"] == "row":
            parts.append(text(box.x + 10, box.y + 19, "▾ " + panel["title"], size=14, color="#ccccdc"))
            continue
        parts.append(
            f'<rect x="{box.x + 3}" y="{box.y + 3}" width="{box.w - 6}" height="{box.h - 6}" rx="2" '
            'fill="#181b1f" stroke="#2c3034"/>'
        )
        parts.append(text(box.x + 12, box.y + 19, panel["title"], size=12, color="#ccccdc"))
        inner = Box(box.x + 12, box.y + 28, box.w - 24, box.h - 38)
        parts.append({"stat": _stat, "table": _table}.get(panel["type"], drawn)(panel, inner, answers))
    return "\n".join([*(part for part in parts if part), "</svg>"]) + "\n"


def _nothing(panel: Mapping[str, Any], box: Box) -> str:
    said = panel["fieldConfig"]["defaults"].get("noValue", "No data")
    return text(box.x + box.w / 2, box.y + box.h / 2, said, color="#8e8e99", anchor="middle")


def _step_color(thresholds: Mapping[str, Any], value: float) -> str:
    steps = [each for each in thresholds["steps"] if each["value"] is None or value >= each["value"]]
    return {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}[steps[-1]["color"]]


def _stat(panel: Mapping[str, Any], box: Box, answers: Answers) -> str:
    """Each of its figures; names where there are several."""
    parts = []
    defaults = panel["fieldConfig"]["defaults"]
    figures = [(target, rows[0][1]) for target in panel["targets"] if (rows := answers.now(target["expr"]))]
    if not figures:
        return _nothing(panel, box)
    for number, (target, value) in enumerate(figures):
        x = box.x + box.w * (number + 0.5) / len(figures)
        color = _step_color(defaults["thresholds"], value)
        parts.append(
            text(x, box.y + box.h / 2 + 8, shade(value, defaults["unit"]), size=24, color=color, anchor="middle")
        )
        if len(figures) > 1:
            parts.append(text(x, box.y + box.h - 2, target["legendFormat"], color="#8e8e99", anchor="middle"))
    return "\n".join(parts)


def _table(panel: Mapping[str, Any], box: Box, answers: Answers) -> str:
    """What its transformations make of its queries: one row for each set of labels."""
    (organized,) = (each["options"] for each in panel["transformations"] if each["id"] == "organize")
    columns = sorted(organized["indexByName"], key=organized["indexByName"].__getitem__)
    rows: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for target in panel["targets"]:
        name = f"Value #{target['refId']}" if len(panel["targets"]) > 1 else "Value"
        for labels, value in answers.now(target["expr"]):
            rows.setdefault(tuple(sorted(labels.items())), {})[name] = value
    if not rows:
        return _nothing(panel, box)
    titles = {name: organized["renameByName"].get(name, name) for name in columns}
    looks = {rule["matcher"]["options"]: {each["id"]: each["value"] for each in rule["properties"]}
             for rule in panel["fieldConfig"]["overrides"]}  # fmt: skip
    ordered = sorted(rows.items(), key=lambda row: (-row[1].get(columns[-1], 0.0), row[0]))
    parts = []
    for place, name in enumerate(columns):
        x, look = box.x + box.w * place / len(columns), looks.get(titles[name], {})
        parts.append(text(x, box.y + 12, titles[name], color="#6e9fff"))
        for number, (labels, values) in enumerate(ordered[: int((box.h - 20) / 18)]):
            y = box.y + 32 + 18 * number
            if name.startswith("Value"):
                value = values.get(name, math.nan)
                color = _step_color(look["thresholds"], value) if "thresholds" in look else "#ccccdc"
                said = "" if math.isnan(value) else shade(value, look.get("unit", "short"))
            else:
                said, color = dict(labels).get(name, ""), PALETTE[3] if "links" in look else "#ccccdc"
            parts.append(text(x, y, html.escape(said), color=color))
    return "\n".join(parts)
