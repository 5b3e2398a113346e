"""A real Prometheus scrapes the agent of a real service, and PromQL gives the answers that are known beforehand.

Uses app_blocks.py of tests/targets: with blocks of 0.8 s in every 3.7 s a callback that is due at a random
moment waits longer than x with a probability of (0.8 - x) / 3.7. The period is no multiple of the scrape interval.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from bench.harness import free_ports
from support.agent import Agent, running
from support.probed import TARGETS
from support.prometheus import Prometheus, scraping, tool
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW = "[16s]"
"""Four blocks, or five."""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """The agent of a service that blocks, once it knows the loop."""
    agent = Agent(tmp_path_factory.mktemp("agent"), {"BLOCK_SECONDS": "0.8", "EVERY_SECONDS": "3.7"})
    port = str(free_ports(1)[0])
    command = ["uvicorn", "--app-dir", str(TARGETS), "--log-level", "warning", "--port", port, "app_blocks:app"]
    with running(agent, command, "--name", "shop"):
        agent.wait_scrape(
            "the loop", lambda scrape: bool(scrape.all("vitals_eventloop_delay_seconds_count", target="shop"))
        )
        yield agent


@pytest.fixture(scope="module")
def prometheus(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped for longer than the window."""
    with scraping(agent.metrics_port, tmp_path_factory.mktemp("prometheus") / "server") as server:
        # A series that begins inside the window has a rate that is too low.
        count = 'count_over_time(vitals_eventloop_busy_seconds_total{target="shop"}[20s])'
        wait_for("more than a window of scrapes", lambda: any(value >= 18 for _, value in server.ask(count)), 120)
        yield server


def _quantile(prometheus: Prometheus, q: float) -> float:
    rate = f'rate(vitals_eventloop_delay_seconds_bucket{{target="shop"}}{WINDOW})'
    return prometheus.one(f"histogram_quantile({q}, sum by (le) ({rate}))")


def test_quantiles_of_the_delay_are_what_a_callback_waits(prometheus: Prometheus) -> None:
    """p99 is 0.76 s, in the bucket up to 1 s; p88 is 0.36 s, in that up to 0.5 s; p50 is in that up to 1 ms."""
    assert 0.5 < _quantile(prometheus, 0.99) <= 1.0
    assert 0.25 < _quantile(prometheus, 0.88) <= 0.5
    assert _quantile(prometheus, 0.5) <= 0.001


def test_busy_and_idle_share_the_time(prometheus: Prometheus) -> None:
    """
    The loop is busy for 0.8 s in every 3.7 s, and busy and idle make a second a second.

    Where other tests have the processors, its ten ticks a second wait for one, and are busy as long.
    """
    busy = prometheus.one(f'rate(vitals_eventloop_busy_seconds_total{{target="shop"}}{WINDOW})')
    idle = prometheus.one(f'rate(vitals_eventloop_idle_seconds_total{{target="shop"}}{WINDOW})')
    stalls = prometheus.one(f'sum(increase(vitals_eventloop_stalls_total{{target="shop"}}{WINDOW}))')
    stalled = prometheus.one(f'sum(increase(vitals_eventloop_stall_seconds_total{{target="shop"}}{WINDOW}))')

    assert 0.8 / 3.7 - 0.07 <= busy <= 2 * 0.8 / 3.7
    assert busy + idle == pytest.approx(1.0, abs=0.07)
    assert stalled / stalls == pytest.approx(0.8, rel=0.15)


def test_prometheus_has_nothing_to_complain_about(prometheus: Prometheus) -> None:
    """Every scrape was a success, no sample was refused, and each family came with type and help."""
    assert prometheus.problems() == []
    assert prometheus.one(f"min_over_time(up{WINDOW})") == 1
    lost = "scrape_samples_scraped - scrape_samples_post_metric_relabeling"
    assert prometheus.one(lost) == 0
    status, body = prometheus.get("/api/v1/metadata", metric="vitals_eventloop_delay_seconds")
    assert status == 200
    assert b'"type":"histogram"' in body


def test_a_stall_in_progress_is_scraped(prometheus: Prometheus) -> None:
    """Some scrape of the window fell into a block and saw how long it had lasted; none saw more than that."""
    longest = prometheus.one(f'max_over_time(vitals_eventloop_stall_current_seconds{{target="shop"}}{WINDOW})')

    assert 0.1 <= longest < 1.2


def test_exemplars_lead_from_the_histogram_to_the_incident(agent: Agent, prometheus: Prometheus) -> None:
    """The bucket up to 1 s, and no other, names the incident of the blocks, with how long one was and when."""
    bucket = 'vitals_eventloop_delay_seconds_bucket{target="shop"}'
    wait_for("an exemplar", lambda: prometheus.exemplars(bucket, 0), 60)
    told = {labels["le"]: exemplars for labels, exemplars in prometheus.exemplars(bucket, 0)}
    listed = agent.command("incidents", f"--control=127.0.0.1:{agent.control_port}", "--json", "--target=shop")
    incidents = {each["id"]: each for each in json.loads(listed.stdout)["incidents"]}

    for exemplar in told["1.0"]:
        (name,) = exemplar["labels"].values()
        assert exemplar["labels"] == {"incident_id": name}
        assert incidents[name]["kind"] == "stall"
        assert 0.5 < float(exemplar["value"]) <= 1.0
        assert abs(exemplar["timestamp"] - time.time()) < 600
    ends = [exemplar["timestamp"] for exemplar in told["1.0"]]
    assert ends == sorted(set(ends))
    of_itself = prometheus.get("/metrics")[1].decode().splitlines()
    assert "prometheus_target_scrapes_exemplar_out_of_order_total 0" in of_itself


def test_promtool_finds_nothing_to_say(agent: Agent) -> None:
    """Names, types and help texts of everything that is really served."""
    exposition = agent.get("/metrics")[1]
    check = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=exposition, capture_output=True, text=True
    )

    assert len(exposition) > 5000
    assert (check.returncode, check.stdout + check.stderr) == (0, "")


def test_names_select_families(agent: Agent) -> None:
    """`name[]` serves the families that were asked for and nothing else; HEAD has no body."""
    some = agent.scrape("?name[]=vitals_target_up&name[]=vitals_eventloop_delay_seconds_bucket")
    whole = agent.scrape()

    assert some.samples.keys() == {"vitals_target_up", "vitals_eventloop_delay_seconds_bucket"}
    assert len(some.all("vitals_eventloop_delay_seconds_bucket", target="shop")) == 15
    assert some.samples.keys() < whole.samples.keys()
    assert some.all("vitals_target_up", target="shop") == whole.all("vitals_target_up", target="shop")
    assert agent.get("/metrics", method="HEAD") == (200, "")
