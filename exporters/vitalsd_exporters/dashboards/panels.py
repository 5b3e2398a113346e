"""How each shape of panel looks in Grafana: its type, options, colors, columns. Nothing here asks anything."""

from __future__ import annotations

from typing import Any

from vitalsd_exporters.dashboards.model import Column, Link, Panel, Step

__all__ = ["DATASOURCE", "look", "transformations"]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
REDUCED = {"calcs": ["lastNotNull"], "fields": "", "values": False}
TYPES = {"lines": "timeseries", "bars": "timeseries", "stat": "stat", "table": "table", "heatmap": "heatmap"}


def look(panel: Panel) -> dict[str, Any]:
    """Type, options, and how its fields are drawn."""
    options = {"lines": _graph, "bars": _graph, "stat": _stat, "table": _table, "heatmap": _heatmap}[panel.shape]
    return {
        "type": TYPES[panel.shape],
        "options": options(panel),
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
    }


def transformations(panel: Panel) -> list[dict[str, Any]]:
    """A table has a row for each set of labels, one column for each query, and those that are named."""
    if panel.shape != "table":
        return []
    names = [_field(panel, column) for column in panel.columns]
    return [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {
            "id": "organize",
            "options": {
                "indexByName": {name: number for number, name in enumerate(names)},
                "renameByName": {
                    name: column.title
                    for name, column in zip(names, panel.columns, strict=True)
                    if name != column.title
                },
            },
        },
    ]


def _field(panel: Panel, column: Column) -> str:
    """What Grafana calls it: the value of the only query has no letter."""
    if not column.of.isupper():
        return column.of
    return f"Value #{column.of}" if len(panel.queries) > 1 else "Value"


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "color": {"mode": "palette-classic"}, "custom": _custom(panel)}
    if panel.shape == "stat":
        defaults["color"] = {"mode": "thresholds"}
    if panel.unit == "percentunit":
        defaults["min"] = 0
    defaults["thresholds"] = _thresholds(panel.steps)
    if panel.links:
        defaults["links"] = _links(panel.links)
    if panel.empty:
        defaults["noValue"] = panel.empty
    return defaults


def _custom(panel: Panel) -> dict[str, Any]:
    if panel.shape not in ("lines", "bars"):
        return {}
    bars = panel.shape == "bars"
    return {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 80 if bars else 0,
        "showPoints": "never",
        "stacking": {"mode": "normal" if bars else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
    }


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    dashed = [
        {
            "matcher": {"id": "byFrameRefID", "options": chr(ord("A") + number)},
            "properties": [{"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}}],
        }
        for number, query in enumerate(panel.queries)
        if query.dashed
    ]
    return [
        *dashed,
        *(_column(each) for each in panel.columns if each.unit != "short" or each.links or each.steps),
    ]


def _column(column: Column) -> dict[str, Any]:
    properties: list[dict[str, Any]] = [{"id": "unit", "value": column.unit}]
    if column.links:
        properties = [{"id": "links", "value": _links(column.links)}]
    if column.steps:
        properties.append({"id": "thresholds", "value": _thresholds(column.steps)})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
        properties.append({"id": "color", "value": {"mode": "thresholds"}})
    return {"matcher": {"id": "byName", "options": column.title}, "properties": properties}


def _thresholds(steps: tuple[Step, ...]) -> dict[str, Any]:
    """The first holds from below."""
    first = steps[0].color if steps else "green"
    rest = [{"color": step.color, "value": step.value} for step in steps[1:]]
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, *rest]}


def _links(links: tuple[Link, ...]) -> list[dict[str, Any]]:
    return [
        {"title": link.title, "url": link.url, "targetBlank": not link.url.startswith("/d/")} for link in links
    ]


def _graph(_panel: Panel) -> dict[str, Any]:
    return {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _stat(_panel: Panel) -> dict[str, Any]:
    return {"reduceOptions": REDUCED, "colorMode": "value", "graphMode": "none", "textMode": "value"}


def _table(panel: Panel) -> dict[str, Any]:
    """The most of what its last column counts comes first."""
    last = panel.columns[-1]
    order = [{"displayName": last.title, "desc": True}] if last.of.isupper() else []
    return {"showHeader": True, "cellHeight": "sm", "sortBy": order}


def _heatmap(panel: Panel) -> dict[str, Any]:
    return {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "scale": "exponential", "exponent": 0.4, "steps": 64},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"unit": panel.unit, "axisPlacement": "left"},
    }
