"""
The segment of a worker's probe: event loops, stalls, heap, garbage collection, tasks, executors, errors.

Reads memory that the probe shares, about 60 us; needs the right to read the segment's file.
"""

from __future__ import annotations

import time

from vitalsd.model import ProbeVitals
from vitalsd.segment.vitals import read_vitals
from vitalsd.sources.registry import NoData, Worker, register

__all__ = ["ProbeSource"]


@register
class ProbeSource:
    """What a probe publishes about its process."""

    name = "probe"
    fills = "probe"

    def read(self, worker: Worker, missing: dict[str, str]) -> ProbeVitals:
        """Read the segment, brought up to this instant."""
        if worker.segment is None:
            missing["probe"] = worker.refusal or (
                "this worker publishes no segment: start it with `vitalsd run`, or install the probe"
            )
            raise NoData
        vitals = read_vitals(worker.segment, time.monotonic(), time.time())
        if vitals is None:
            raise NoData
        return vitals
