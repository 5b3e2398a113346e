"""
What an exporter may ask of the daemon: the one door between the two packages.

Exporters render what they are given and keep nothing, so a restarted exporter, or a second Prometheus, sees
the same numbers. Asking costs no reading of `/proc`: everything but a loop's live words was read before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from vitalsd.model import SourceReading, TargetSnapshot

__all__ = ["AgentVitals", "View"]


class AgentVitals(msgspec.Struct, frozen=True):
    """How the daemon itself is doing and what it costs."""

    cpu_seconds: float
    resident_bytes: int
    effective_interval_seconds: float
    """The interval between samples that is really kept; longer than the configured one under load."""
    sampled_at: dict[str, float]
    """Target -> unix time of its latest sample."""
    reload_successful: bool
    reload_succeeded_at: float
    """Unix time of the latest configuration that was taken over; the first one counts."""
    version: str


class View(Protocol):
    """The daemon as the exporters see it."""

    @property
    def health_max_delay_seconds(self) -> float:
        """A loop that has been stuck for longer makes its worker unavailable (`health.max_delay`)."""

    def targets(self) -> tuple[TargetSnapshot, ...]:
        """Every target; stalls in progress and loop counters are read at this very call."""

    def sources(self) -> tuple[SourceReading, ...]:
        """How the latest reading of each source of each target went."""

    def ready(self) -> bool:
        """Whether a first round of sampling is done."""

    def agent(self) -> AgentVitals:
        """The daemon's own vitals."""

    async def reload(self) -> None:
        """Take over the configuration as it is now; raises VitalsdError, changing nothing, if it is wrong."""
