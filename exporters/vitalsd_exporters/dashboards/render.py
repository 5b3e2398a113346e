"""
A dashboard as Grafana's JSON: the classic model, which every Grafana from 10 on imports, by hand and by
provisioning.

Nothing in it depends on where it is imported: the data source is a variable, and ids count from 1.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from vitalsd_exporters.dashboards.catalogue import DASHBOARDS
from vitalsd_exporters.dashboards.model import Dashboard, Panel, Query, Variable
from vitalsd_exporters.dashboards.panels import DATASOURCE, look, transformations

__all__ = ["CONFIG_MAPS", "FILES", "config_maps", "dashboard_json"]

SCHEMA_VERSION = 39
"""Of Grafana 10.4; newer ones raise it when they open the file."""
ACROSS = 24
ALPHABETICAL, NUMERICAL = 1, 3
TAG = "vitalsd"


def dashboard_json(dashboard: Dashboard, runbooks: str = "") -> str:
    """The text of its file; `runbooks` is what links to its pages begin with."""
    begin = f"{runbooks.removesuffix('/')}/" if runbooks else ""
    return json.dumps(_dashboard(dashboard, begin), indent=2, ensure_ascii=False) + "\n"


FILES = {f"grafana/{dashboard.uid}.json": dashboard for dashboard in DASHBOARDS}
"""Path below the folder of deployment -> what is written there."""
CONFIG_MAPS = "kubernetes/dashboards.yaml"
"""Path of all of them as objects of Kubernetes."""


def config_maps(runbooks: str = "") -> str:
    """
    A ConfigMap for each dashboard, with the label that the sidecar of Grafana's chart goes by.

    Each is alone, since `kubectl apply` writes the whole of it into an annotation, which holds 256 KiB.
    """
    begin = f"{runbooks.removesuffix('/')}/" if runbooks else ""
    head = "# Written by `scripts/grafana-dashboards`: change the dashboards there, not here.\n"
    made = (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": dashboard.uid,
                "labels": {
                    "app.kubernetes.io/name": "vitalsd",
                    "app.kubernetes.io/component": "monitoring",
                    "grafana_dashboard": "1",
                },
            },
            "data": {f"{dashboard.uid}.json": json.dumps(_dashboard(dashboard, begin), ensure_ascii=False)},
        }
        for dashboard in DASHBOARDS
    )
    return head + yaml.safe_dump_all(made, sort_keys=False, width=1000, allow_unicode=True)


def _dashboard(dashboard: Dashboard, runbooks: str) -> dict[str, Any]:
    return {
        "id": None,
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "1m",
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "title": "vitalsd",
                "tags": [TAG],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {
            "list": [_datasource(), *(_variable(each) for each in dashboard.variables), _runbooks(runbooks)]
        },
        "annotations": {"list": []},
        "panels": _placed(dashboard),
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(variable: Variable) -> dict[str, Any]:
    everything = {"includeAll": True, "allValue": ".+", "current": {"text": ["All"], "value": ["$__all"]}}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": variable.query, "refId": "variable"},
        "definition": variable.query,
        "refresh": 2,
        "sort": NUMERICAL if variable.name == "worker" else ALPHABETICAL,
        "multi": variable.many,
        **(everything if variable.many else {"includeAll": False}),
        "hide": 0,
    }


def _runbooks(begin: str) -> dict[str, Any]:
    """Where people read the documentation, which a generated file cannot know."""
    return {
        "name": "runbooks",
        "label": "Runbooks below",
        "type": "textbox",
        "query": begin,
        "current": {"text": begin, "value": begin},
        "hide": 0,
    }


def _placed(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Rows under each other, and in each its panels from left to right."""
    placed: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        at = {"x": 0, "y": top, "w": ACROSS, "h": 1}
        placed.append({"id": len(placed) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": at,
                       "panels": []})  # fmt: skip
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > ACROSS:
                top, left, height = top + height, 0, 0
            at = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            placed.append({"id": len(placed) + 1, **_panel(panel), "gridPos": at})
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [_target(panel, number, query) for number, query in enumerate(panel.queries)],
        **look(panel),
        "transformations": transformations(panel),
    }


def _target(panel: Panel, number: int, query: Query) -> dict[str, Any]:
    at_once = panel.shape in ("stat", "table")
    form = {"table": "table", "heatmap": "heatmap"}.get(panel.shape, "time_series")
    return {
        "refId": chr(ord("A") + number),
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "format": form,
        "instant": at_once,
        "range": not at_once,
        "editorMode": "code",
    }
