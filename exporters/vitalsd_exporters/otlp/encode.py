"""
Families of a scrape as one message of OTLP, compressed.

Runs beside the loop, in a thread, on what the loop has gathered. Costs some 9 us for each point and, once, 4 MiB
for protobuf: nothing is loaded of it before there is something to push. A resource is a target as one agent sees
it, all labels of a scrape are attributes. A worker's counters begin with its process; what is seen from outside,
not before the agent.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from vitalsd import __version__
from vitalsd.model import OWN_TARGET
from vitalsd_exporters.otlp.names import INSTRUMENTS, Instrument
from vitalsd_exporters.otlp.starts import Starts

__all__ = ["Made", "Moment", "encode", "rejected"]

GZIP_LEVEL = 5
UNKNOWN_START = ("vitals_worker_restarts", "vitals_memory_oom_kills", "vitals_cpu_throttled_seconds")
"""Of a worker's: what outlives it, and what its control group has counted."""
SEEN_FROM_OUTSIDE = (
    "vitals_eventloop_delay_seconds",
    "vitals_eventloop_busy_seconds",
    "vitals_eventloop_idle_seconds",
)
"""What the observer counts where there is no probe, since it found the loop."""
Place = tuple[str, str]
"""Target and slot; the slot is empty for what is the target's, or the agent's."""


class Moment(NamedTuple):
    """When an export was gathered, and by whom."""

    now: float
    """Unix time."""
    steady: float
    """A clock that is never set."""
    agent_started_at: float
    host: str
    agent: str
    """Which one it is: the host, and the port that is its own."""


class Made(NamedTuple):
    """What is to be sent."""

    body: bytes
    points: int


def encode(families: Iterable[Family], starts: Starts, moment: Moment) -> Made:
    """All of `families`; those that nobody knows here are left out."""
    families = list(families)
    message = Message(starts, moment, _births(families, moment.agent_started_at))
    for family in families:
        told = INSTRUMENTS.get(family.name)
        if told is not None:
            message.add(family, told)
    request = ExportMetricsServiceRequest(resource_metrics=message.resources.values())
    return Made(gzip.compress(request.SerializeToString(), GZIP_LEVEL), message.points)


def rejected(body: bytes) -> tuple[int, str]:
    """
    Of an answer to a message that was taken: how many of its points were not, and why.

    Whoever answers otherwise than the protocol has it says nothing of it.
    """
    answer = ExportMetricsServiceResponse()
    try:
        answer.ParseFromString(body)
    except DecodeError:
        return 0, ""
    return answer.partial_success.rejected_data_points, answer.partial_success.error_message


def _births(families: list[Family], agent_started_at: float) -> dict[tuple[Place, bool], float]:
    """Place, and whether it is about what is seen from outside -> when its counters began."""
    births: dict[tuple[Place, bool], float] = {}
    for family in families:
        if family.name == "vitals_process_start_time_seconds":
            for sample in family.samples:
                births[_place(sample), False] = births[_place(sample), True] = sample.value
    for family in families:
        if family.name == "vitals_worker":
            for sample in family.samples:
                place = _place(sample)
                if sample.labels["lag_source"] == "observer" and (place, True) in births:
                    births[place, True] = max(agent_started_at, births[place, True])
    return births


def _place(sample: Sample) -> Place:
    return sample.labels.get("target", OWN_TARGET), sample.labels.get("worker", "")


class Message:
    """One export while it is made."""

    def __init__(self, starts: Starts, moment: Moment, births: dict[tuple[Place, bool], float]) -> None:
        self._starts = starts
        self._moment = moment
        self._births = births
        self._now_ns = _ns(moment.now)
        self.resources: dict[str, ResourceMetrics] = {}
        """By the target."""
        self.points = 0
        starts.begin(moment.now, moment.steady)

    def add(self, family: Family, told: Instrument) -> None:
        """All samples of one metric."""
        metrics: dict[str, Metric] = {}
        buckets: list[Sample] = []
        for sample in family.samples:
            target, _ = _place(sample)
            if target not in metrics:
                metrics[target] = self._metric(target, family, told)
            if told.kind != "histogram":
                self._number(metrics[target], family.name, told, sample)
            elif sample.name.endswith("_sum"):
                self._histogram(metrics[target], family.name, buckets, sample)
                buckets = []
            elif sample.name.endswith("_bucket"):
                buckets.append(sample)

    def _metric(self, target: str, family: Family, told: Instrument) -> Metric:
        if target not in self.resources:
            self.resources[target] = self._resource(target)
        metric: Metric = (
            self.resources[target]
            .scope_metrics[0]
            .metrics.add(name=told.name, description=family.documentation, unit=told.unit)
        )
        if told.kind == "counter":
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        elif told.kind == "histogram":
            metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        return metric

    def _resource(self, target: str) -> ResourceMetrics:
        moment = self._moment
        who = {"service.name": target, "service.instance.id": moment.agent, "host.name": moment.host}
        scope = ScopeMetrics()
        scope.scope.name, scope.scope.version = "vitalsd", __version__
        return ResourceMetrics(resource=Resource(attributes=_attributes(who)), scope_metrics=[scope])

    def _number(self, metric: Metric, family: str, told: Instrument, sample: Sample) -> None:
        point = NumberDataPoint(time_unix_nano=self._now_ns, attributes=_attributes(sample.labels))
        if told.unit in ("s", "By/s") or not float(sample.value).is_integer():
            point.as_double = sample.value
        else:
            point.as_int = int(sample.value)
        if told.kind == "gauge":
            metric.gauge.data_points.append(point)
        else:
            point.start_time_unix_nano = self._start_ns(family, sample, sample.value)
            metric.sum.data_points.append(point)
        self.points += 1

    def _histogram(self, metric: Metric, family: str, buckets: list[Sample], total: Sample) -> None:
        """Buckets of Prometheus count everything below; here each counts its own."""
        upto = [int(bucket.value) for bucket in buckets]
        metric.histogram.data_points.append(
            HistogramDataPoint(
                start_time_unix_nano=self._start_ns(family, total, upto[-1]),
                time_unix_nano=self._now_ns,
                attributes=_attributes(total.labels),
                count=upto[-1],
                sum=total.value,
                bucket_counts=[upto[0], *(after - before for before, after in pairwise(upto))],
                explicit_bounds=[float(bucket.labels["le"]) for bucket in buckets[:-1]],
            )
        )
        self.points += 1

    def _start_ns(self, family: str, sample: Sample, value: float) -> int:
        series = (family, *sample.labels.values())
        return _ns(self._starts.of(series, value, self._born(family, _place(sample))))

    def _born(self, family: str, place: Place) -> float | None:
        if place[1]:
            return None if family in UNKNOWN_START else self._births.get((place, family in SEEN_FROM_OUTSIDE))
        return self._moment.agent_started_at if family.startswith("vitalsd_") else None


def _attributes(labels: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in labels.items()]


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
