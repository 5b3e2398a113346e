"""
One sample, and how all the parts write theirs.

A value that is not known makes no row, so a graph has a gap there and not a zero. Costs a tuple and, for
histogram buckets, a dict per sample; all samples of a worker share their labels otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from prometheus_client.samples import Sample

from vitalsd.model import Histogram, WorkerSample

__all__ = ["Labels", "Row", "histogram_rows", "known_rows", "labels_of", "row", "runtime_of"]

Row = tuple[str, Sample]
"""The name of a metric in the catalogue, and one sample of it."""
Labels = dict[str, str]


def labels_of(worker: WorkerSample) -> Labels:
    """Those that everything of a worker has."""
    return {"target": worker.target, "worker": worker.slot}


def runtime_of(worker: WorkerSample) -> str:
    """What it runs on, by its probe or as it is seen from outside."""
    if worker.probe is not None:
        return worker.probe.runtime
    return worker.observed.runtime if worker.observed is not None else "unknown"


def row(name: str, labels: Labels, value: float) -> Row:
    """One sample of a metric that has one for these labels."""
    return name, Sample(name, labels, value)


def known_rows(labels: Labels, values: Mapping[str, float | None]) -> Iterator[Row]:
    """One of each metric whose value is known."""
    for name, value in values.items():
        if value is not None:
            yield row(name, labels, value)


def histogram_rows(name: str, labels: Labels, histogram: Histogram) -> Iterator[Row]:
    """Its buckets, how many there are in all, and their sum."""
    bucket = name + "_bucket"
    for bound, count in zip(_bounds(histogram.bounds), histogram.buckets, strict=True):
        yield name, Sample(bucket, {**labels, "le": bound}, count)
    yield name, Sample(name + "_count", labels, histogram.buckets[-1])
    yield name, Sample(name + "_sum", labels, histogram.sum)


@lru_cache(maxsize=4)
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(repr(float(bound)) for bound in bounds), "+Inf")
