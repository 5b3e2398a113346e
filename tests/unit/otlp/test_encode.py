"""One export, decoded: what the scrape says, under whose name, counting since when."""

import gzip
from functools import partial

import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from support.otlp import as_prometheus, partly, points_of
from support.views import NOW, OBSERVED, SHOP, WATCHED, WEB, FixedView

from vitalsd_exporters.otlp.encode import Moment, encode, rejected
from vitalsd_exporters.otlp.names import INSTRUMENTS
from vitalsd_exporters.otlp.starts import Starts
from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.collector import VitalsCollector

about = partial(pytest.approx, rel=0, abs=0.001)
AGENT = "node-7:18780"
AGENT_STARTED = NOW - 100.0
MOMENT = Moment(NOW, 5000.0, AGENT_STARTED, "node-7", AGENT)


def exported(view=None, starts=None, moment=MOMENT):
    """The points of one export of this view."""
    view = view or FixedView(all_targets=(*FixedView().all_targets, WEB))
    made = encode(VitalsCollector(view, "3.12.4").collect(), starts or Starts(), moment)
    request = ExportMetricsServiceRequest.FromString(gzip.decompress(made.body))
    points = points_of(request)
    assert len(points) == made.points
    return points


def whose(sample):
    """The two labels that a Prometheus makes of a resource."""
    return {"job": sample.labels.get("target", "vitalsd"), "instance": AGENT}


def test_everything_that_a_scrape_says_is_there_and_nothing_else():
    """A Prometheus has the names and labels of a scrape, and another `job`: rules and dashboards go by them."""
    view = FixedView(all_targets=(*FixedView().all_targets, WEB))
    scraped = {
        (sample.name, tuple(sorted((sample.labels | whose(sample)).items()))): float(sample.value)
        for family in VitalsCollector(view, "3.12.4").collect()
        for sample in family.samples
    }
    assert as_prometheus(exported(view)) == scraped


def test_the_view_shows_every_metric():
    """So the test above speaks for all of them."""
    assert {point.name for point in exported()} == {told.name for told in INSTRUMENTS.values()}
    assert {point.unit for point in exported()} == {told.unit for told in INSTRUMENTS.values()}
    assert len(INSTRUMENTS) == len(CATALOGUE)


def test_a_resource_is_a_target_as_one_agent_sees_it():
    """No pid and no slot, so what is of a pool as a whole has the `instance` of its workers, as in a scrape."""
    points = exported()
    assert {tuple(point.resource.items()) for point in points} == {
        (("service.name", target), ("service.instance.id", AGENT), ("host.name", "node-7"))
        for target in ("shop", "legacy", "web", "vitalsd")
    }
    assert {point.who for point in points if point.name == "vitals.target.up"} == {
        ("shop", None),
        ("legacy", None),
        ("web", None),
    }
    assert {point.who for point in points if point.name == "vitalsd.build_info"} == {("vitalsd", None)}
    assert ("shop", "0") in {point.who for point in points if point.name == "vitals.process.cpu"}


def test_two_agents_are_never_one_series():
    """Of one target on two hosts, or of two services on one."""
    there = MOMENT._replace(host="node-8", agent="node-8:18780")
    beside = MOMENT._replace(agent="node-7:18790")
    assert as_prometheus(exported() + exported(moment=there) + exported(moment=beside))


def one(points, name, who, **attributes):
    """The only such point."""
    (found,) = [
        point
        for point in points
        if (point.name, point.who) == (name, who) and attributes.items() <= point.attributes.items()
    ]
    return found


def test_counters_of_a_worker_begin_with_its_process():
    """What outlives it, and what its group counts, where it was first told; gauges have no beginning."""
    points = exported()
    started = WATCHED.process.started_at
    shop = "shop", "0"
    for name in ("vitals.process.cpu", "vitals.eventloop.iterations"):
        assert one(points, name, shop).start == about(started)
    assert one(points, "vitals.gc.pause", shop, generation="2").start == about(started)
    assert one(points, "vitals.worker.restarts", shop, reason="error").start == about(NOW)
    assert one(points, "vitals.cpu.throttled", shop).start == about(NOW)
    assert one(points, "vitals.heap.used", shop).start == 0
    assert all(point.time == about(NOW) for point in points)


def test_what_is_seen_from_outside_does_not_begin_before_the_agent():
    """Its causes do: those are kept over restarts of the agent."""
    points = exported()
    who = OBSERVED.target, OBSERVED.slot
    for name in ("vitals.eventloop.delay", "vitals.eventloop.busy", "vitals.eventloop.idle"):
        assert one(points, name, who).start == about(max(AGENT_STARTED, OBSERVED.process.started_at))
    stalls = one(points, "vitals.eventloop.stalls", who, cause="cpu_throttled")
    assert stalls.start == about(OBSERVED.process.started_at)


def test_counters_of_the_agent_begin_with_it():
    """And those of incidents where they were first told, for they outlive it."""
    points = exported()
    assert one(points, "vitalsd.cpu", ("vitalsd", None)).start == about(AGENT_STARTED)
    incidents = one(points, "vitals.incidents", ("shop", None), kind="stall", severity="warning")
    assert incidents.start == about(NOW)


def test_a_worker_that_was_replaced_is_a_reset():
    """Its slot goes on, its counters begin with the new process; what belongs to the slot goes on too."""
    starts = Starts()
    exported(starts=starts)
    process = replace(WATCHED.process, started_at=NOW + 30.0, cpu_seconds=0.5)
    replaced = replace(WATCHED, key=replace(WATCHED.key, pid=5000, start_ticks=9_999_999), process=process)
    view = FixedView(all_targets=(replace(SHOP, workers=(replaced, *SHOP.workers[1:])),))
    after = exported(view, starts, MOMENT._replace(now=NOW + 60, steady=5060.0))
    shop = "shop", "0"
    assert one(after, "vitals.process.cpu", shop).start == about(NOW + 30)
    assert one(after, "vitals.eventloop.delay", shop, loop="main").start == about(NOW + 30)
    assert one(after, "vitals.worker.restarts", shop, reason="error").start == about(NOW)


def test_seconds_are_never_whole_numbers_and_counts_always_are():
    """A stream whose points change their type is two to some."""
    for point in exported():
        if point.kind != "histogram":
            assert point.is_int == (point.unit not in ("s", "By/s"))


def test_what_an_answer_says_of_points_that_were_not_taken():
    """And nothing where somebody answers in words of his own."""
    assert rejected(partly(7, "too many")) == (7, "too many")
    assert rejected(b"") == rejected(b"<html>ok</html>") == (0, "")
