"""When metrics are pushed, what is loaded for it, and what a reload changes."""

import asyncio
import contextlib
import subprocess
import sys

import pytest
import structlog
from support.otlp import Collector
from support.views import FixedView

from vitalsd.settings.model import Otlp
from vitalsd_exporters.otlp.exporter import Exporter

SOON = 20.0


def pushed(exporter, *steps):
    """Run it; after each condition is so, its action is done."""

    async def run():
        running = asyncio.create_task(exporter.run())
        async with asyncio.timeout(SOON):
            for so, then in steps:
                while not so():
                    await asyncio.sleep(0.01)
                    assert not running.done(), running.exception()
                then()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(run())


def nothing():
    """Done."""


def test_every_interval_an_export_of_now():
    """Each with the time at which it was gathered, and one connection at a time."""
    with Collector() as collector:
        exporter = Exporter(FixedView(), Otlp(collector.endpoint, interval=0.05), host="node", draw=lambda: 0.0)
        pushed(exporter, (lambda: len(collector.exports) >= 3, nothing))
    times = [export.points[0].time for export in collector.exports[:3]]
    assert times == sorted(set(times))
    assert collector.most_at_once == 1
    assert {point.resource["host.name"] for point in collector.exports[0].points} == {"node"}
    counts = exporter.counts()
    assert counts.sent >= 3
    assert (counts.endpoint, counts.failed, counts.dropped_points) == (collector.endpoint, 0, 0)


def test_a_reload_changes_where_to_and_counts_go_on():
    """And back to nowhere, where there is nothing to tell of it."""
    with Collector() as first, Collector() as second:
        exporter, counts = Exporter(FixedView(), Otlp(first.endpoint, interval=0.05), draw=lambda: 0.0), []
        pushed(
            exporter,
            (lambda: first.exports, lambda: exporter.reconfigure(Otlp(second.endpoint, interval=0.05))),
            (lambda: len(second.exports) >= 3, lambda: counts.append(exporter.counts())),
            (lambda: True, lambda: exporter.reconfigure(Otlp())),
        )
        assert first.exports[-1].at < second.exports[0].at
    assert (counts[0].endpoint, counts[0].sent >= 4) == (second.endpoint, True)
    assert exporter.counts() is None


def test_nothing_is_pushed_before_the_first_round():
    """An agent that has looked at nobody would tell that nobody is there."""
    view = FixedView(is_ready=False)
    with Collector() as collector:
        exporter = Exporter(view, Otlp(collector.endpoint, interval=0.02), draw=lambda: 0.0)

        def begin():
            assert collector.exports == []
            view.is_ready = True

        turns = iter(range(20))
        pushed(exporter, (lambda: next(turns, None) is None, begin), (lambda: collector.exports, nothing))
    assert any(point.name == "vitals.worker.up" for point in collector.exports[0].points)


def test_what_breaks_while_it_is_gathered_is_logged_and_the_next_is_sent(monkeypatch):
    """An agent does not end of what it pushes."""
    with structlog.testing.capture_logs() as logs, Collector() as collector:
        exporter = Exporter(FixedView(), Otlp(collector.endpoint, interval=0.05), draw=lambda: 0.0)
        collect, failing = exporter._collector.collect, [True]

        def broken():
            if failing:
                failing.pop()
                raise RuntimeError("no")
            return collect()

        monkeypatch.setattr(exporter._collector, "collect", broken)
        pushed(exporter, (lambda: collector.exports, nothing))
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["metrics_not_pushed"]


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:9"])
def test_nothing_of_it_is_loaded_without_an_endpoint(endpoint):
    """The agent's own memory is a budget; what is there with one shows that the names are right."""
    program = f"""
import asyncio, sys
sys.path.insert(0, "tests")
import vitalsd.daemon
from support.views import FixedView
from vitalsd.settings.model import Otlp
from vitalsd_exporters.otlp.exporter import Exporter

async def run():
    exporter = Exporter(FixedView(), Otlp({endpoint!r}, interval=0.05), draw=lambda: 0.0)
    running = asyncio.create_task(exporter.run())
    while {endpoint is not None} and not exporter.counts().sent:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    running.cancel()

asyncio.run(run())
ours = ("google", "opentelemetry", "vitalsd_exporters.otlp")
print(*sorted(name for name in sys.modules if name.startswith(ours)))
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(told.stdout.split())
    always = {f"vitalsd_exporters.otlp{part}" for part in ("", ".exporter", ".tally")}
    assert always <= loaded
    assert (loaded == always) == (endpoint is None)
    assert ("opentelemetry.proto.metrics.v1.metrics_pb2" in loaded) == (endpoint is not None)
