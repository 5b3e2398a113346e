"""A metric family with what is told of it, and what is left of it where a scrape asks for some names alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.metrics_core import Metric

from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.series import Told, samples_of

__all__ = ["Family", "only"]


class Family(NamedTuple):
    """One of them, by the name that OpenMetrics has for it."""

    name: str
    type: str
    help: str
    told: list[Told]

    def metric(self) -> Metric:
        """The same as Prometheus's library has it, sample by sample."""
        metric = Metric(self.name, self.help, self.type)
        metric.samples = list(samples_of(self.told))
        return metric


def only(families: Iterable[Family], names: Iterable[str]) -> Iterator[Family]:
    """What `name[]` asks for: samples as they are named, and all samples of a metric or of its family."""
    asked = set(names)
    wanted, concerned = set(asked), set()
    for descriptor in CATALOGUE:
        if asked & {descriptor.name, descriptor.family}:
            wanted.update(descriptor.samples)
        if wanted & set(descriptor.samples):
            concerned.add(descriptor.family)
    for family in families:
        if family.name not in concerned:
            continue
        told: list[Told] = [each for each in samples_of(family.told) if each.name in wanted]
        if told:
            yield family._replace(told=told)
