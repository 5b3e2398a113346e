"""A collector of OTLP that pretends: it answers as it is told to, and decodes what it was sent."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

if TYPE_CHECKING:
    import ssl

CUMULATIVE = 2


@dataclass(frozen=True)
class Point:
    """One data point, with what it stands below."""

    resource: dict[str, str]
    name: str
    unit: str
    kind: str
    """`gauge`, `counter` or `histogram`."""
    attributes: dict[str, str]
    start: float
    """Unix time; 0 where there is none."""
    time: float
    value: float
    """Of a histogram, its sum."""
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    is_int: bool = False

    @property
    def who(self) -> tuple[str, str | None]:
        """Target and slot."""
        return self.resource["service.name"], self.attributes.get("worker")


def points_of(request: ExportMetricsServiceRequest) -> list[Point]:
    """All of one message, whatever has another temporality than it should failing."""
    return [
        _point(_texts(each.resource.attributes), metric, data)
        for each in request.resource_metrics
        for scope in each.scope_metrics
        for metric in scope.metrics
        for data in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def _point(resource: dict[str, str], metric: Any, data: Any) -> Point:
    kind = metric.WhichOneof("data")
    if kind != "gauge":
        assert getattr(metric, kind).aggregation_temporality == CUMULATIVE
    if kind == "sum":
        assert metric.sum.is_monotonic
        kind = "counter"
    common = {
        "resource": resource,
        "name": metric.name,
        "unit": metric.unit,
        "kind": kind,
        "attributes": _texts(data.attributes),
        "start": data.start_time_unix_nano / 1e9,
        "time": data.time_unix_nano / 1e9,
    }
    if kind == "histogram":
        assert data.count == sum(data.bucket_counts)
        assert len(data.bucket_counts) == len(data.explicit_bounds) + 1
        return Point(
            **common, value=data.sum, bounds=tuple(data.explicit_bounds), buckets=tuple(data.bucket_counts)
        )
    which = data.WhichOneof("value")
    return Point(**common, value=getattr(data, which), is_int=which == "as_int")


def _texts(attributes: Any) -> dict[str, str]:
    found = {each.key: each.value.string_value for each in attributes}
    assert len(found) == len(attributes)
    return found


def partly(rejected: int, why: str) -> bytes:
    """The answer of one that has not taken everything."""
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points, answer.partial_success.error_message = rejected, why
    return answer.SerializeToString()


@dataclass
class Export:
    """One request as it came."""

    points: list[Point]
    headers: dict[str, str]
    path: str
    at: float
    """CLOCK_MONOTONIC."""
    answered: int


@dataclass
class Collector:
    """The server; what it answers may be changed while it runs."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    port: int = 0
    tls: ssl.SSLContext | None = None
    exports: list[Export] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        """What the configuration has."""
        return f"http{'s' if self.tls else ''}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}"

    def taken(self) -> list[Export]:
        """Those that it has said it has taken."""
        return [each for each in list(self.exports) if each.answered == 200]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector._answer(self)

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self._turn:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        request = ExportMetricsServiceRequest.FromString(gzip.decompress(body))
        status = self.status
        headers = dict(handler.headers.items())
        self.exports.append(Export(points_of(request), headers, handler.path, time.monotonic(), status))
        time.sleep(self.delay_seconds)
        with self._turn:
            self._now -= 1
        with contextlib.suppress(OSError):  # who asked has not waited
            handler.send_response(status)
            for name, value in self.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(self.body)))
            handler.end_headers()
            handler.wfile.write(self.body)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


UNITS = {"s": "_seconds", "By": "_bytes", "By/s": "_bytes_per_second"}


Series = tuple[str, tuple[tuple[str, str], ...]]


def as_prometheus(points: list[Point]) -> dict[Series, float]:
    """
    As a Prometheus has what it takes by OTLP, beside its `target_info`: sample and sorted labels -> value.

    Of a resource it keeps two attributes, as `job` and `instance`; labels are those of the points.
    """
    samples: dict[Series, float] = {}
    for point in points:
        name = (
            point.name.replace(".", "_")
            + UNITS.get(point.unit, "")
            + ("_total" if point.kind == "counter" else "")
        )
        whose = {"job": point.resource["service.name"], "instance": point.resource["service.instance.id"]}
        labels = {name.replace(".", "_"): value for name, value in point.attributes.items()} | whose
        if point.kind != "histogram":
            series = name, tuple(sorted(labels.items()))
            assert series not in samples, "two points are one series there"
            samples[series] = point.value
            continue
        upto = 0
        for bound, count in zip((*map(str, point.bounds), "+Inf"), point.buckets, strict=True):
            upto += count
            samples[f"{name}_bucket", tuple(sorted((labels | {"le": bound}).items()))] = upto
        samples[f"{name}_count", tuple(sorted(labels.items()))] = upto
        samples[f"{name}_sum", tuple(sorted(labels.items()))] = point.value
    return samples
