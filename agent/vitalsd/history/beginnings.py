"""When the process of a sample began: as the kernel says, and else by the ticks that tell it from all others."""

from __future__ import annotations

import time

from vitalsd.model import WorkerSample
from vitalsd.ticks import age_seconds

__all__ = ["began_at"]


def began_at(sample: WorkerSample) -> float | None:
    """Unix time; None where nobody sits."""
    if sample.process is not None:
        return sample.process.started_at
    return time.time() - age_seconds(sample.key.start_ticks) if sample.key is not None and sample.up else None
