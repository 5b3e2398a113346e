"""The dashboards as Grafana reads them: the files of deploy/grafana, their panels, and queries with values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILES", "Asked", "asked", "filled", "load", "panels", "variables"]

FILES = sorted((Path(__file__).parents[2] / "deploy" / "grafana").glob("*.json"))
EVERYTHING = {"job": ".+", "instance": ".+", "worker": ".+", "target": ".+"}
"""What Grafana puts in where a reader has chosen nothing."""


class Asked(NamedTuple):
    """One query of one panel."""

    where: str
    """Dashboard, panel and letter, for people."""
    expr: str


def load(path: Path) -> dict[str, Any]:
    """One file."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that ask something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those that are asked of Prometheus, by name."""
    return {each["name"]: each for each in dashboard["templating"]["list"] if each["type"] == "query"}


def asked(dashboard: Mapping[str, Any]) -> list[Asked]:
    """Every query, as it stands there."""
    return [
        Asked(f"{dashboard['uid']}: {panel['title']} {target['refId']}", target["expr"])
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def filled(expr: str, chosen: Mapping[str, str], around: str, whole: str) -> str:
    """The query that Grafana sends: `around` for a rate's interval, `whole` for the time looked at."""
    values = {**EVERYTHING, **chosen, "__rate_interval": around, "__range": whole}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expr)
