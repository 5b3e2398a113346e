"""
The segment of a worker's probe: event loops, stalls, heap, garbage collection, tasks, executors, errors.

Reads memory that the probe shares, about 30 us; needs the right to read the segment's file.
"""

from __future__ import annotations

import time

from vitalsd.model import ProbeVitals
from vitalsd.segment.vitals import ProbeDisabled, read_vitals
from vitalsd.sources.registry import NoData, Worker, register

__all__ = ["ProbeSource"]

LOOPLESS = "it runs no event loop, so no delay and no stalls are told; whether it hangs, its signs of life tell"


@register
class ProbeSource:
    """What a probe publishes about its process."""

    name = "probe"
    fills = "probe"

    def read(self, worker: Worker, missing: dict[str, str]) -> ProbeVitals:
        """Read the segment, brought up to this instant."""
        if worker.segment is None:
            missing["probe"] = worker.refusal or "this worker publishes no segment"
            raise NoData
        try:
            vitals = read_vitals(worker.segment, time.monotonic(), time.time())
        except ProbeDisabled as error:
            missing["probe"] = str(error)
            raise
        if vitals is None:
            raise NoData
        for line in vitals.lost:
            instrument, _, reason = line.partition(": ")
            missing[f"probe.{instrument}"] = f"the probe goes on without it: {reason}"
        if not vitals.loops:
            missing["probe.loops"] = LOOPLESS
        return vitals
