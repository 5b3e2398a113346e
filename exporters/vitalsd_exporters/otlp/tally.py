"""What became of all that was pushed since the agent began, for metrics and people."""

from __future__ import annotations

from dataclasses import dataclass, field

from vitalsd_exporters.push.trouble import Trouble

__all__ = ["Tally"]


@dataclass
class Tally:
    """Counts that go on over changes of the configuration."""

    sent: int = 0
    """Requests, tried ones included."""
    failed: int = 0
    """Those of them that were not taken."""
    dropped_points: int = 0
    trouble: Trouble = field(default_factory=Trouble)
