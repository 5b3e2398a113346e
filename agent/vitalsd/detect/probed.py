"""What every detector of what a probe tells asks first: whether there is one, and why not."""

from __future__ import annotations

from vitalsd.detect.registry import Seen

__all__ = ["no_probe_reason"]


def no_probe_reason(seen: Seen, what: str) -> str | None:
    """Why `what` is not known of a worker; None where its probe tells."""
    latest = seen.samples[-1] if seen.samples else None
    if latest is None or seen.past is None:
        return "this worker has not been sampled yet"
    if not latest.up:
        return "this worker is not up"
    if latest.probe is not None:
        return None
    why = latest.missing.get("probe")
    return f"only a probe tells of {what}" + (f": {why}" if why is not None else "")
