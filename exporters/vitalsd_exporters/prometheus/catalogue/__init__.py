"""
Every metric as data: its name, type, help with its source, and labels. Nothing is exported that is not here.

Families are made by this table, and a test holds docs/metrics.md against it. Adding a metric is a row in the
file of its subject, its reading in `series`, and a row there. Costs nothing after import.
"""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.agent import AGENT
from vitalsd_exporters.prometheus.catalogue.captures import CAPTURES
from vitalsd_exporters.prometheus.catalogue.descriptor import Descriptor
from vitalsd_exporters.prometheus.catalogue.heap import HEAP
from vitalsd_exporters.prometheus.catalogue.incidents import INCIDENTS
from vitalsd_exporters.prometheus.catalogue.loops import LOOPS
from vitalsd_exporters.prometheus.catalogue.process import PROCESS
from vitalsd_exporters.prometheus.catalogue.workers import WORKERS

__all__ = ["CATALOGUE", "Descriptor"]

CATALOGUE: tuple[Descriptor, ...] = (*WORKERS, *LOOPS, *INCIDENTS, *HEAP, *PROCESS, *AGENT, *CAPTURES)
