"""
What the model says, as samples: pure functions from structs to the rows of one or more metrics.

Cut as `catalogue` is, but that what a probe says of a process, its loops aside, is one part: it fails as a whole.
"""

from __future__ import annotations

from vitalsd_exporters.prometheus.series.agent import agent_rows, source_rows
from vitalsd_exporters.prometheus.series.captures import capture_rows, remedy_rows
from vitalsd_exporters.prometheus.series.incidents import INCIDENT_SORTS, incident_rows
from vitalsd_exporters.prometheus.series.loops import NEVER, loop_rows, stall_rows
from vitalsd_exporters.prometheus.series.probe import probe_rows
from vitalsd_exporters.prometheus.series.process import cpu_rows, memory_rows, process_rows, trend_rows
from vitalsd_exporters.prometheus.series.rows import (
    Breakdown,
    Row,
    Told,
    WholeHistogram,
    bounds_as_text,
    samples_of,
)
from vitalsd_exporters.prometheus.series.workers import target_rows, worker_rows

__all__ = [
    "INCIDENT_SORTS",
    "NEVER",
    "Breakdown",
    "Row",
    "Told",
    "WholeHistogram",
    "agent_rows",
    "bounds_as_text",
    "capture_rows",
    "cpu_rows",
    "incident_rows",
    "loop_rows",
    "memory_rows",
    "probe_rows",
    "process_rows",
    "remedy_rows",
    "samples_of",
    "source_rows",
    "stall_rows",
    "target_rows",
    "trend_rows",
    "worker_rows",
]
