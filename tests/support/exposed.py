"""Our metrics as Prometheus's own library takes them, to hold what it makes of them against what we make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Metric

from vitalsd_exporters.prometheus.collector import VitalsCollector
from vitalsd_exporters.prometheus.series import samples_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalsd_exporters.prometheus.family import Family
    from vitalsd_exporters.state import View


class Families:
    """A registry of these."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        """Collect them."""
        return self._families


def metric_of(family: Family) -> Metric:
    """The same, sample by sample."""
    metric = Metric(family.name, family.help, family.type)
    metric.samples = list(samples_of(family.told))
    return metric


def registry_of(view: View) -> CollectorRegistry:
    """One of its own: the library's global one brings collectors for this process along."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(VitalsCollector(view))
    return registry
