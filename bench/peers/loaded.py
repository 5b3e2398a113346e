"""
The small ASGI service with a peer in it, which BENCH_PEER names, loaded the way its own documentation says.

`uvicorn loaded:app`, from `bench/services`, in the environment that `scripts/bench-packages` makes. What a peer
sends goes to a port of the loopback where nobody listens, or nowhere.
"""

import os
from pathlib import Path
from time import perf_counter

import web
from web import app as bare


def aiodebug():
    """Callbacks that take long, the lag of the loop as for StatsD, and stacks of hangs."""
    from aiodebug import hang_inspection, log_slow_callbacks, monitor_loop_lag

    class Nobody:
        def timing(self, metric, value):
            """Throw it away."""

    def start():
        log_slow_callbacks.enable(0.1)
        monitor_loop_lag.enable(Nobody())
        hang_inspection.start(os.environ["BENCH_FOLDER"])

    web.STARTING.append(start)
    return bare


def ddtrace_metrics():
    """Runtime metrics, each 10 s."""
    from ddtrace.runtime import RuntimeMetrics

    RuntimeMetrics.enable()
    return bare


def ddtrace_profiler():
    """The continuous profiler, with what it does by default."""
    import ddtrace.profiling.auto  # noqa: F401 - that starts it

    return bare


def opentelemetry():
    """Instrumentation of asyncio and of the system's metrics, exported each minute."""
    from opentelemetry import metrics
    from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor
    from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

    nowhere = ConsoleMetricExporter(out=Path(os.devnull).open("w"))  # noqa: SIM115 - as long as the service lives
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(nowhere)]))
    AsyncioInstrumentor().instrument()
    SystemMetricsInstrumentor().instrument()
    return bare


def prometheus():
    """What its ASGI middlewares do: requests counted and timed, in the files of several processes."""
    from prometheus_client import Counter, Histogram

    requests = Counter("http_requests", "Requests.", ["method", "path", "status"])
    took = Histogram("http_request_duration_seconds", "What they took.", ["method", "path"])

    async def measured(scope, receive, send):
        if scope["type"] != "http":
            await bare(scope, receive, send)
            return
        began, status = perf_counter(), 500

        async def noting(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await bare(scope, receive, noting)
        finally:
            requests.labels(scope["method"], scope["path"], status).inc()
            took.labels(scope["method"], scope["path"]).observe(perf_counter() - began)

    return measured


PEERS = {one.__name__: one for one in (aiodebug, ddtrace_metrics, ddtrace_profiler, opentelemetry, prometheus)}
peer = os.environ.get("BENCH_PEER")
app = PEERS[peer]() if peer else bare
