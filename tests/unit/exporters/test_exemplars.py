"""Exemplars: a bucket of the delay names the incident of the latest stall of its length, in OpenMetrics alone."""

import math

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from support.views import BLOCKING, MAIN_LOOP, NOW, SHOP, WATCHED, FixedView

from vitalsd.ids import new_id
from vitalsd.model import EndedStall, Histogram
from vitalsd_exporters.prometheus.app import metrics_app

BUCKET = "vitals_eventloop_delay_seconds_bucket"
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"
AGES = {0.1: 0.08, 0.25: 0.25, 0.5: 0.251, 1.0: 0.75}
"""Of buckets that have grown -> the length of a stall that falls into them, their bounds included."""


def latest(lengths, worker="0", incident=BLOCKING.id):
    """The latest stalls of the loop, one of each length."""
    stalls = {bound: (incident, EndedStall(worker, "main", NOW - 9, each)) for bound, each in lengths.items()}
    return {("shop", worker, "main"): stalls}


@pytest.fixture
def scraped(ask):
    """What a scrape of OpenMetrics has: (worker, bucket) -> exemplar; the strict parser must accept it."""

    def scrape(params=None, **view):
        app = metrics_app(FixedView(**view), lifecycle=False)
        text = ask(app, "GET", "/metrics", params=params, headers={"Accept": OPENMETRICS}).text
        samples = [sample for family in parse_openmetrics(text) for sample in family.samples]
        assert text.count(" # {") == len([sample for sample in samples if sample.exemplar is not None])
        assert {sample.name for sample in samples if sample.exemplar is not None} <= {BUCKET}
        return {
            (sample.labels["worker"], float(sample.labels["le"])): sample.exemplar
            for sample in samples
            if sample.exemplar is not None
        }

    return scrape


def test_a_bucket_names_the_incident_of_its_latest_stall(scraped):
    """With the length of the stall and the time of its end."""
    [(place, exemplar)] = scraped().items()
    assert place == ("0", 1.0)
    assert exemplar.labels == {"incident_id": BLOCKING.id}
    assert (exemplar.value, float(exemplar.timestamp)) == (0.75, NOW - 29.25)


def test_each_bucket_has_its_own(scraped):
    """And the length lies within it, which ends at its bound."""
    found = scraped(latest=latest(AGES))
    assert {bound: exemplar.value for (_, bound), exemplar in found.items()} == AGES
    below = dict(zip(MAIN_LOOP.delay.bounds, (0.0, *MAIN_LOOP.delay.bounds), strict=False))
    assert all(below[bound] < exemplar.value <= bound for (_, bound), exemplar in found.items())


def test_one_of_more_than_every_bound_has_a_bucket_too(scraped):
    """`+Inf` is a bucket as any other."""
    counts = (*(0 for _ in MAIN_LOOP.delay.bounds), 5)
    loop = replace(MAIN_LOOP, delay=Histogram(MAIN_LOOP.delay.bounds, counts, 99.0))
    worker = replace(WATCHED, probe=replace(WATCHED.probe, loops=(loop,)))
    target = replace(SHOP, workers=(worker,))
    found = scraped(all_targets=(target,), latest=latest({math.inf: 45.5, 30.0: 20.0}))
    assert {place: exemplar.value for place, exemplar in found.items()} == {("0", math.inf): 45.5}


def test_a_bucket_that_has_not_grown_tells_of_nothing(scraped):
    """A process that took over the slot has not measured what the one before did."""
    assert scraped(latest=latest({2.5: 1.2})) == {}


def test_it_is_of_its_own_worker_and_loop(scraped):
    """What another one did is told there, if it has a loop at all."""
    assert scraped(latest=latest({1.0: 0.75}, worker="7")) == {}


def test_names_that_restrict_a_scrape_leave_them(scraped):
    """`name[]` of the histogram has them, that of another metric has not."""
    assert len(scraped({"name[]": BUCKET})) == 1
    assert scraped({"name[]": "vitals_worker_up"}) == {}


@pytest.mark.parametrize("accept", ["*/*", "text/plain;version=0.0.4"])
def test_the_older_format_has_none_and_does_not_look_for_any(ask, accept):
    """It cannot carry them, so it pays nothing for them."""
    view = FixedView()
    view.latest_stalls = None
    answer = ask(metrics_app(view, lifecycle=False), "GET", "/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    assert (BUCKET in answer.text, " # {" in answer.text) == (True, False)


def test_the_label_is_as_short_as_it_must_be():
    """Name and value of all labels have at most 128 characters between them."""
    assert len("incident_id") + len(new_id(NOW)) <= 128
