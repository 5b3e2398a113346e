"""Who tells of the event loops of a worker: its probe, or whoever looks from outside. Pure."""

from __future__ import annotations

from vitalsd.model.samples import WorkerSample

__all__ = ["tells_loops"]


def tells_loops(sample: WorkerSample) -> bool:
    """
    Whether its probe tells of event loops.

    In a service on gevent or trio it has none to tell: such a loop is seen from outside, as without a probe.
    """
    return sample.probe is not None and bool(sample.probe.loops)
