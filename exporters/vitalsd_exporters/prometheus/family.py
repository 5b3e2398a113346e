"""A metric family with what is told of it, and what is left of it where a scrape asks for some names alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.series import Told, samples_of

__all__ = ["Family", "only"]


class Family(NamedTuple):
    """One of them, by the name that OpenMetrics has for it."""

    name: str
    type: str
    help: str
    told: list[Told]


def only(families: Iterable[Family], names: Iterable[str]) -> Iterator[Family]:
    """What `name[]` asks for: samples as they are named, and all samples of a metric or of its family."""
    wanted = set(names)
    for descriptor in CATALOGUE:
        if wanted & {descriptor.name, descriptor.family}:
            wanted.update(descriptor.samples)
    for family in families:
        told: list[Told] = [each for each in samples_of(family.told) if each.name in wanted]
        if told:
            yield family._replace(told=told)
