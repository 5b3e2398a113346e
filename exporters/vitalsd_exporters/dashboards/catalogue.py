"""All dashboards, from the many to the one."""

from __future__ import annotations

from vitalsd_exporters.dashboards.fleet import FLEET
from vitalsd_exporters.dashboards.service import SERVICE
from vitalsd_exporters.dashboards.worker import WORKER_PAGE

__all__ = ["DASHBOARDS"]

DASHBOARDS = (FLEET, SERVICE, WORKER_PAGE)
