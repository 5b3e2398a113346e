"""
A real Prometheus answers every query of every dashboard, over a real agent whose services have their faults.

The shop is the demo's: one worker blocks, collects, fails and crashes, the other leaks; Node's blocks too.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
from support.dashboards import FILES, Asked, asked, filled, load, variables
from support.probed import NODE
from support.showing import Shown, showing
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

AROUND, WHOLE = "1m", "5m"
"""A rate's window is longer than the test, so what has happened once is seen until its end."""
PATIENCE_SECONDS = 60
BOARDS = [load(path) for path in FILES]
QUERIES = [each for board in BOARDS for each in asked(board)]
MAY_BE_EMPTY = {
    "vitals_cpu_throttled_seconds_total": "a group without the controller of processors tells nothing",
    "vitals_memory_oom_kills_total": "a group without the controller of memory tells nothing",
    "vitalsd_captures_refused_total": "has a series only once something was refused",
    "vitalsd_errors_total": "shows what was logged, and mostly nothing was",
    "vitalsd_otlp_": "is there with a collector alone",
    "vitalsd_stacks_refused_total": "shows reasons that there were, and mostly there are none",
}
"""Each with its reason; all else returns data."""
OF_NODE = (
    "vitals_heap_space_used_bytes", "vitals_external_memory_bytes", "vitals_active_resources",
    "vitals_listener_warnings_total", "vitals_heap_limit_bytes",
)  # fmt: skip


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Everything has gone wrong once."""
    with showing(tmp_path_factory.mktemp("shown")) as shown:
        shown.fault(1, "leak", 30)
        shown.fault(1, "executor", 10)
        shown.fault(0, "block", 3)
        shown.fault(0, "error_surge", 3)
        told = 'sum(vitals_eventloop_stalls_total{target="shop"}) > 0'
        wait_for("a stall to be told", lambda: bool(shown.prometheus.ask(told)), 30)
        for worker in (0, 1):  # one of them crashes, and what is alive is known of the other
            shown.fault(worker, "gc_storm", 2)
        full = 'sum(vitals_gc_pause_seconds_count{target="shop", generation="2"}) > 1'
        wait_for("full collections", lambda: bool(shown.prometheus.ask(full)), 30)
        taken = shown.agent.command("capture", "stacks", shown.slot(1), *shown.agent.listens)
        assert taken.returncode == 0, taken.stderr
        shown.fault(0, "crash", 1)
        yield shown


def _answers(shown: Shown, expr: str) -> bool:
    """Whether a number comes back; NaN is what a quantile of nothing is."""
    for target in ("shop", "web"):
        query = filled(expr, {"target": target}, AROUND, WHOLE)
        status, body = shown.prometheus.get("/api/v1/query", query=query)
        answer = json.loads(body)
        assert status == 200, f"{query}: {answer}"
        assert not answer.get("warnings"), f"{query}: {answer}"
        if any(math.isfinite(float(row["value"][1])) for row in answer["data"]["result"]):
            return True
    return False


def test_every_query_returns_data(shown: Shown) -> None:
    """At the latest when a minute is over, but for those that the machine, or luck, leaves empty."""
    left = list(QUERIES)
    assert len(left) > 80
    assert all(any(name in each.expr for each in left) for name in (*MAY_BE_EMPTY, *OF_NODE))

    def look() -> bool:
        left[:] = [each for each in left if not _answers(shown, each.expr)]
        return not [each for each in left if not _excused(each)]

    try:
        wait_for("data", look, PATIENCE_SECONDS)
    except AssertionError:
        pytest.fail("\n".join(f"{each.where}: {each.expr}" for each in left if not _excused(each)))


def _excused(query: Asked) -> bool:
    return any(name in query.expr for name in (*MAY_BE_EMPTY, *(() if NODE else OF_NODE)))


def test_every_variable_has_its_values(shown: Shown) -> None:
    """As Grafana asks for them: the label's values of the series that are chosen so far."""
    found: dict[str, set[str]] = {}
    for board in BOARDS:
        for name, each in variables(board).items():
            series = filled(each["definition"].removeprefix("label_values("), {}, AROUND, WHOLE).rpartition(",")[0]
            status, body = shown.prometheus.get("/api/v1/series", **{"match[]": series})
            assert status == 200, body
            found.setdefault(name, set()).update(row[name] for row in json.loads(body)["data"])
    assert found["job"] == {"vitalsd"}
    assert found["instance"] == {f"127.0.0.1:{shown.agent.metrics_port}"}
    assert {"shop", "vitalsd"} <= found["target"] <= {"shop", "web", "vitalsd"}
    assert {"0", "1"} <= found["worker"]


def test_the_agent_has_the_pages_that_dashboards_lead_to(shown: Shown) -> None:
    """Under the name by which Prometheus scrapes it."""
    assert shown.agent.get("/")[0] == 200
    assert shown.agent.get("/health/shop")[0] in (200, 503)
