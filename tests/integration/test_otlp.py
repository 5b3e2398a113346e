"""
A real agent pushes to a collector that pretends: what arrives is what a scrape says, through restarts of the
worker and of the collector, and one that is slow or refuses delays nothing.

Uses idles.py of tests/targets.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from bench.harness import free_ports
from support.agent import Agent, watching
from support.otlp import Collector, Export, Point, Series, as_prometheus
from support.probed import probed
from support.waiting import wait_for

from vitalsd_exporters.otlp.starts import SAME_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from support.agent import Scrape

SERVED = "served", "0"

pytestmark = pytest.mark.slow


def agent_for(folder: Path, endpoint: str, **more: str) -> Agent:
    """One that pushes there each second."""
    folder.mkdir()
    settings = {"ENDPOINT": endpoint, "INTERVAL": "1s", "TIMEOUT": "500ms", **more}
    return Agent(folder, {f"VITALSD__EXPORTERS__OTLP__{key}": value for key, value in settings.items()})


def named_here(scrape: Scrape, agent: Agent) -> dict[Series, float]:
    """A scrape as a Prometheus that was told by OTLP has it: with the `job` and `instance` of its resource."""
    instance = f"{socket.gethostname()}:{agent.metrics_port}"
    found = {}
    for name, rows in scrape.samples.items():
        for labels, value in rows.items():
            whose = {"job": dict(labels).get("target", "vitalsd"), "instance": instance}
            found[name, tuple(sorted((dict(labels) | whose).items()))] = value
    return found


def latest(collector: Collector, name: str, **attributes: str) -> Point | None:
    """The last such point of the worker."""
    for export in reversed(collector.taken()):
        for point in export.points:
            if (point.name, point.who) == (name, SERVED) and attributes.items() <= point.attributes.items():
                return point
    return None


def has_loop(collector: Collector) -> Export | None:
    """An export with the loop of the worker in it."""
    return next(
        (each for each in collector.taken() if any(p.name == "vitals.eventloop.delay" for p in each.points)), None
    )


def test_what_arrives_is_what_a_scrape_says(tmp_path: Path) -> None:
    """Every series is there; those that stand still have the same value, counters lie between two scrapes."""
    with Collector() as collector:
        agent = agent_for(tmp_path / "agent", collector.endpoint)
        with (
            probed(["idles.py"], agent.segments) as service,
            watching(agent, "--pid", str(service.pid), "--name", "served"),
        ):
            wait_for("the loop to be told", lambda: has_loop(collector))
            before = agent.scrape()
            seen = len(collector.exports)
            wait_for("the next export", lambda: len(collector.exports) > seen + 1)
            export = collector.exports[seen + 1]
            after = agent.scrape()
        told = as_prometheus(export.points)
        low, high = named_here(before, agent), named_here(after, agent)
        assert told.keys() >= low.keys() & high.keys()
        assert told.keys() <= low.keys() | high.keys()
        for series in low.keys() & high.keys():
            if series[0].endswith(("_total", "_count", "_sum", "_bucket")):
                assert low[series] <= told[series] <= high[series], series
            elif low[series] == high[series]:
                assert told[series] == low[series], series
        delay = latest(collector, "vitals.eventloop.delay", loop="main")
        assert delay is not None
        assert (delay.unit, delay.kind, delay.bounds[:2]) == ("s", "histogram", (0.001, 0.0025))
        started = before.one("vitals_process_start_time_seconds", target="served", worker="0")
        assert started is not None
        assert abs(delay.start - started) < SAME_SECONDS
        cpu = latest(collector, "vitals.process.cpu")
        assert cpu is not None
        assert (cpu.unit, cpu.kind, abs(cpu.start - started) < SAME_SECONDS) == ("s", "counter", True)
        assert {point.resource["host.name"] for point in export.points} == {socket.gethostname()}
        assert export.headers["Content-Encoding"] == "gzip"


def test_a_worker_that_is_restarted_is_told_as_a_reset(tmp_path: Path) -> None:
    """The same instance, counting since its new process began, which is after the old one was last told."""
    with Collector() as collector:
        agent = agent_for(tmp_path / "agent", collector.endpoint)
        # A command that no other test has; it runs for an hour or more.
        marked = ["idles.py", f"9{agent.metrics_port}"]

        def grown() -> Point | None:
            """Once it is old enough for its successor to be told from it by its start."""
            point = latest(collector, "vitals.process.cpu")
            return point if point is not None and point.time > point.start + 2 * SAME_SECONDS else None

        with watching(agent, f"--match=idles.py {marked[1]}$", "--name", "served"):
            with probed(marked, agent.segments):
                first = wait_for("its time", grown)
            with probed(marked, agent.segments):

                def renewed() -> Point | None:
                    point = latest(collector, "vitals.process.cpu")
                    return point if point is not None and point.start > first.start + 0.5 else None

                second = wait_for("its successor's", renewed)
        assert second.resource == first.resource
        assert second.start >= first.time
        assert second.start <= second.time
        restarts = latest(collector, "vitals.worker.restarts")
        assert restarts is not None
        assert restarts.start <= first.time


def test_one_that_does_not_answer_holds_nothing_up(tmp_path: Path) -> None:
    """Rounds and scrapes go on while one message waits for its answer, and no second one is sent beside it."""
    with Collector(delay_seconds=600.0) as slow:
        agent = agent_for(tmp_path / "agent", slow.endpoint, TIMEOUT="600s")

        def sampled(scrape: Scrape) -> float:
            return scrape.one("vitalsd_sample_timestamp_seconds", target="served") or 0.0

        with (
            probed(["idles.py"], agent.segments) as service,
            watching(agent, "--pid", str(service.pid), "--name", "served"),
        ):
            wait_for("it to be asked", lambda: slow.exports or None)
            seen = {sampled(agent.scrape())}
            agent.wait_scrape("three rounds more", lambda scrape: seen.add(sampled(scrape)) or len(seen) > 3)
            assert len(slow.exports) == 1


def test_a_collector_that_is_slow_refuses_or_is_gone_costs_nothing_but_counts(tmp_path: Path) -> None:
    """Each is counted, and tried or dropped as it is to be; when one is back, it is told what is."""
    (port,) = free_ports(1)
    agent = agent_for(tmp_path / "agent", f"http://127.0.0.1:{port}")

    def counts(scrape: Scrape) -> tuple[float, float, float]:
        names = ("requests", "request_failures", "dropped_points")
        return tuple(scrape.one(f"vitalsd_otlp_{name}_total") or 0.0 for name in names)  # type: ignore[return-value]

    def taken_of(scrape: Scrape) -> float:
        requests, failures, _ = counts(scrape)
        return requests - failures

    with (
        probed(["idles.py"], agent.segments) as service,
        watching(agent, "--pid", str(service.pid), "--name", "served"),
    ):
        agent.wait_scrape("failures while nobody is there", lambda scrape: counts(scrape)[1] >= 2)
        with Collector(port=port, delay_seconds=30.0) as slow:
            wait_for("a slow one to be asked", lambda: slow.exports or None)
            failed = counts(agent.scrape())[1]
            agent.wait_scrape("no answer in time", lambda scrape: counts(scrape)[1] > failed + 1)
        with Collector(400, port=port) as picky:
            wait_for("one that refuses to be asked", lambda: len(picky.exports) >= 2)
            requests, _, dropped = counts(agent.scrape())
            agent.wait_scrape("points to be dropped", lambda scrape: counts(scrape)[2] > dropped)
            assert requests
        with Collector(503, b"", {"Retry-After": "1"}, port=port) as busy:
            wait_for("one that is busy to be asked", lambda: len(busy.exports) >= 2)
            assert busy.exports[1].at - busy.exports[0].at >= 0.9
            busy.status = 200
            wait_for("it to take one", lambda: busy.taken() or None)
        with Collector(port=port) as back:
            export = wait_for("one that is back to be told", lambda: has_loop(back))
            assert any(
                point.name == "vitalsd.otlp.request_failures" and point.value > 2 for point in export.points
            )
            taken = taken_of(agent.scrape())
            agent.wait_scrape("two more to be taken", lambda scrape: taken_of(scrape) >= taken + 2)
