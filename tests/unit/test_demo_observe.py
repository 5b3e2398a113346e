"""How the demo reads an exposition."""

from __future__ import annotations

import math

import pytest

from vitalsd.demo.observe import Metrics, culprit, percentile

EXPOSITION = """\
# TYPE vitals_eventloop_delay_seconds histogram
vitals_eventloop_delay_seconds_bucket{loop="main",worker="0",le="0.5"} 50
vitals_eventloop_delay_seconds_bucket{loop="main",worker="0",le="1.0"} 100
vitals_eventloop_delay_seconds_bucket{loop="main",worker="0",le="+Inf"} 100
vitals_eventloop_delay_seconds_bucket{loop="other",worker="0",le="0.5"} 1
vitals_eventloop_delay_seconds_bucket{loop="other",worker="0",le="1.0"} 1
vitals_eventloop_delay_seconds_bucket{loop="other",worker="0",le="+Inf"} 1
# TYPE vitals_worker_restarts_total counter
vitals_worker_restarts_total{reason="exit",worker="0"} 2
vitals_worker_restarts_total{reason="signal",worker="0"} 1
vitals_worker_restarts_total{reason="exit",worker="1"} 5
"""


def test_samples_are_added_up_over_the_labels_that_are_left_open() -> None:
    """A metric that is not there is unknown, not zero."""
    metrics = Metrics(EXPOSITION)

    assert metrics.value("vitals_worker_restarts_total", worker="0") == 3
    assert metrics.value("vitals_worker_restarts_total", worker="7") is None
    assert metrics.buckets("vitals_eventloop_delay_seconds", worker="0") == {0.5: 51, 1.0: 101, math.inf: 101}


@pytest.mark.parametrize(("share", "seconds"), [(0.25, 0.25), (0.75, 0.75), (1, 1.0)])
def test_a_percentile_is_that_of_promql(share: float, seconds: float) -> None:
    """Linear within a bucket, and of what came after the first scrape alone."""
    after = {0.5: 150.0, 1.0: 200.0, math.inf: 200.0}

    assert percentile(share, {0.5: 100.0, 1.0: 100.0, math.inf: 100.0}, after) == pytest.approx(seconds)


def test_a_percentile_of_nothing_is_unknown() -> None:
    """Two scrapes with nothing between them have no percentile; beyond the last bound its value is that bound."""
    counts = {0.5: 1.0, math.inf: 2.0}

    assert math.isnan(percentile(0.99, counts, counts))
    assert percentile(0.99, {}, counts) == 0.5


def test_the_culprit_is_whom_an_incident_would_blame() -> None:
    """The innermost function of the service's own that most samples share; stacks without frames blame nobody."""
    outer = {"function": "handle", "file": "/srv/shop.js", "line": 3}
    inner = {"function": "parse", "file": "/srv/shop.js", "line": 9}
    native = {"function": "stringify", "file": "native", "line": 0}
    stacks = [
        {"samples": 1, "frames": [outer]},
        {"samples": 9, "frames": [native, inner, outer]},
        {"samples": 1, "frames": []},
    ]

    assert culprit(stacks) == "parse"
    assert culprit([]) is None
