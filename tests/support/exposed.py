"""Our metrics as Prometheus's own library takes them, to hold what it makes of them against what we make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from vitalsd_exporters.prometheus.collector import VitalsCollector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Metric

    from vitalsd_exporters.state import View


__all__ = ["Families", "registry_of"]


class Families:
    """A registry of these."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        """Collect them."""
        return self._families


def registry_of(view: View) -> CollectorRegistry:
    """One of its own: the library's global one brings collectors for this process along."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(VitalsCollector(view))
    return registry
