"""Which sign of life of a worker says most. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd.model import HeartbeatSource, Pulse, WorkerSample, late_seconds

__all__ = ["with_loop"]


def with_loop(sample: WorkerSample, pulse: Pulse | None, now: float) -> Pulse | None:
    """
    The pulse with the sign of life that says most, at unix time `now`: a loop's, where there is one that runs.

    A thread may answer for a loop that does not come back. The probe's own is such a one, so it counts last.
    """
    if pulse is None:
        return None
    late = late_seconds(sample)
    if late is not None:
        source: HeartbeatSource = "probe" if sample.probe is not None else "observer"
        return replace(pulse, heartbeat_at=now - late, heartbeat_source=source)
    if pulse.heartbeat_at is None and sample.probe is not None:
        return replace(pulse, heartbeat_at=sample.probe.heartbeat_at, heartbeat_source="probe")
    return pulse
