"""Which sign of life of a worker says most. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd.model import OBSERVED_LOOP, HeartbeatSource, LoopVitals, Pulse, WorkerSample

__all__ = ["latest_loop", "with_loop"]


def with_loop(sample: WorkerSample, pulse: Pulse | None, now: float) -> Pulse | None:
    """
    The pulse with the sign of life that says most, at unix time `now`: a loop's, where there is one that runs.

    A thread may answer for a loop that does not come back. The probe's own is such a one, so it counts last.
    """
    if pulse is None:
        return None
    late = latest_loop(sample)
    if late is not None:
        source: HeartbeatSource = "probe" if sample.probe is not None else "observer"
        return replace(pulse, heartbeat_at=now - late[1], heartbeat_source=source)
    if pulse.heartbeat_at is None and sample.probe is not None:
        return replace(pulse, heartbeat_at=sample.probe.heartbeat_at, heartbeat_source="probe")
    return pulse


def latest_loop(sample: WorkerSample) -> tuple[str, float] | None:
    """The loop of a worker that is late most, and by how much; None where none is known to run."""
    if sample.probe is not None:
        late = [(_late_seconds(loop), loop.name) for loop in sample.probe.loops if loop.running]
        seconds, name = max(late, default=(0.0, ""))
        return (name, seconds) if late else None
    if sample.observed is not None:
        stall = sample.observed.current_stall
        return OBSERVED_LOOP, stall.seconds if stall is not None else 0.0
    return None


def _late_seconds(loop: LoopVitals) -> float:
    return max(loop.late_seconds, loop.current_stall.seconds if loop.current_stall is not None else 0.0)
