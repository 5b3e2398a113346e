"""Of incidents: how many are open, and how often there was one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from vitalsd.incidents.query import TotalOf
from vitalsd.model import Incident, Severity
from vitalsd_exporters.prometheus.series.rows import Row, row

__all__ = ["INCIDENT_SORTS", "incident_rows"]

WARNING_OR_WORSE: tuple[Severity, ...] = ("warning", "critical")
WITH_WORSE = (
    *("stall", "starvation", "leak", "exhaustion", "fd_exhaustion", "heap_exhaustion"),
    *("gc_pressure", "error_surge", "pool_saturation"),
)
INCIDENT_SORTS: tuple[tuple[str, Severity], ...] = (
    *((kind, severity) for kind in WITH_WORSE for severity in WARNING_OR_WORSE),
    *((kind, severity) for kind in ("worker_hung", "worker_down", "oom_kill") for severity in WARNING_OR_WORSE),
    ("crash_loop", "critical"),
    *((kind, "warning") for kind in ("fragmentation", "fd_leak", "thread_leak", "task_leak")),
    ("growth", "info"),
    ("stall", "info"),
    ("zombie", "warning"),
    ("imbalance", "warning"),
    ("imbalance", "info"),
    ("capture_harmful", "warning"),
)
"""Of which every target has a series from the beginning: what the rules open."""


def incident_rows(
    incidents: tuple[Incident, ...], totals: Mapping[TotalOf, int], targets: Collection[str]
) -> Iterator[Row]:
    """How many incidents are open and how often there was one; of targets that are there, and with their zeros."""
    still_open = Counter((each.target, each.kind, each.severity) for each in incidents if each.state == "open")
    nothing: dict[TotalOf, int] = {(target, *sort): 0 for target in sorted(targets) for sort in INCIDENT_SORTS}
    for target, kind, severity in {**nothing, **totals, **still_open}:
        if target not in targets:
            continue
        labels = {"target": target, "kind": kind, "severity": severity}
        yield row("vitals_incidents_open", labels, still_open[target, kind, severity])
        yield row("vitals_incidents_total", labels, totals.get((target, kind, severity), 0))
