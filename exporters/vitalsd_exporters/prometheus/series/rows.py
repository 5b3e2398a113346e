"""
One sample, and how all the parts write theirs.

A value that is not known makes no row, so a graph has a gap there and not a zero. All samples of a worker share
their labels. A histogram is one row, and so is what differs in one label alone: a row becomes samples
where somebody wants these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from prometheus_client.samples import Sample

from vitalsd.model import Histogram, WorkerSample
from vitalsd_exporters.prometheus.labels import worker_labels

__all__ = [
    "Breakdown",
    "Labels",
    "Row",
    "Told",
    "WholeHistogram",
    "bounds_as_text",
    "breakdown_rows",
    "histogram_row",
    "known_rows",
    "labels_of",
    "row",
    "runtime_of",
    "samples_of",
]

Labels = dict[str, str]


class WholeHistogram(NamedTuple):
    """All samples of a histogram for these labels."""

    name: str
    labels: Labels
    histogram: Histogram

    def samples(self) -> Iterator[Sample]:
        """Its buckets, how many there are in all, and their sum."""
        name, labels, histogram = self
        bucket = name + "_bucket"
        for bound, count in zip(bounds_as_text(histogram.bounds), histogram.buckets, strict=True):
            yield Sample(bucket, {**labels, "le": bound}, count)
        yield Sample(name + "_count", labels, histogram.buckets[-1])
        yield Sample(name + "_sum", labels, histogram.sum)


class Breakdown(NamedTuple):
    """Samples that differ in one label alone, and in what they count."""

    name: str
    labels: Labels
    by: str
    values: Mapping[str, float]

    def samples(self) -> Iterator[Sample]:
        """One for each value of that label."""
        for of, value in self.values.items():
            yield Sample(self.name, {**self.labels, self.by: of}, value)


Told = tuple[str, Labels, float] | Sample | WholeHistogram | Breakdown
"""Name, labels and value of one sample, that with an exemplar, or several in one."""
Row = tuple[str, Told]
"""The name of a metric in the catalogue, and what is told of it."""


def labels_of(worker: WorkerSample) -> Labels:
    """Those that everything of a worker has."""
    return worker_labels(worker.target, worker.slot)


def runtime_of(worker: WorkerSample) -> str:
    """What it runs on, by its probe or as it is seen from outside."""
    if worker.probe is not None:
        return worker.probe.runtime
    return worker.observed.runtime if worker.observed is not None else "unknown"


def row(name: str, labels: Labels, value: float) -> Row:
    """One sample of a metric that has one for these labels."""
    return name, (name, labels, value)


def known_rows(labels: Labels, values: Mapping[str, float | None]) -> Iterator[Row]:
    """One of each metric whose value is known."""
    for name, value in values.items():
        if value is not None:
            yield name, (name, labels, value)


def histogram_row(name: str, labels: Labels, histogram: Histogram) -> Row:
    """A whole histogram; one that is none fails here, as a part of its worker, and not later with all others."""
    if len(histogram.buckets) != len(histogram.bounds) + 1:
        raise ValueError(f"{name}: {len(histogram.buckets)} buckets for {len(histogram.bounds)} bounds")
    return name, WholeHistogram(name, labels, histogram)


def breakdown_rows(
    name: str, labels: Labels, by: str, values: Iterable[tuple[str, float | None]]
) -> Iterator[Row]:
    """One sample of a metric for each value of a label, as far as it is known."""
    known = {of: value for of, value in values if value is not None}
    if known:
        yield name, Breakdown(name, labels, by, known)


def samples_of(told: Iterable[Told]) -> Iterator[Sample]:
    """Each by itself."""
    for each in told:
        if isinstance(each, WholeHistogram | Breakdown):
            yield from each.samples()
        else:
            yield each if isinstance(each, Sample) else Sample(*each)


@lru_cache(maxsize=4)
def bounds_as_text(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """The value of the label `le` of each bucket."""
    return (*(repr(float(bound)) for bound in bounds), "+Inf")
