"""Who tells of the event loops of a worker: its probe, or whoever looks from outside. Pure."""

from __future__ import annotations

from vitalsd.model.samples import WorkerSample

__all__ = ["LOOPLESS_SECONDS", "tells_loops"]

LOOPLESS_SECONDS = 10.0
"""A probe that knows of no loop in a process so old is in a service that has none of asyncio's."""


def tells_loops(sample: WorkerSample) -> bool:
    """
    Whether its probe tells of event loops, or may do so soon.

    In a service on gevent or trio it has none to tell: such a loop is seen from outside, as without a probe.
    """
    if sample.probe is None:
        return False
    started_at = sample.process.started_at if sample.process is not None else None
    return bool(sample.probe.loops) or started_at is None or sample.at - started_at < LOOPLESS_SECONDS
