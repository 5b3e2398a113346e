"""The metrics port, as a scraper, a kubelet and a person meet it."""

import gzip

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.views import AGENT, SHOP, FixedView

from vitalsd.errors import VitalsdError
from vitalsd_exporters.prometheus.app import metrics_app


def app(lifecycle=True, **view):
    """The app over a view with some fields changed."""
    return metrics_app(FixedView(**view), lifecycle=lifecycle)


def test_metrics_are_prometheus_text_by_default(ask):
    """A scraper that asks for nothing gets what every scraper reads."""
    response = ask(app(), "GET", "/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "vitals_eventloop_delay_seconds" in {family.name for family in parse_text(response.text)}


def test_metrics_are_openmetrics_when_asked(ask):
    """Prometheus asks for OpenMetrics first; the strict parser accepts what it gets."""
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"
    response = ask(app(), "GET", "/metrics", headers={"Accept": accept})
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    types = {family.name: family.type for family in parse_openmetrics(response.text)}
    assert types["vitals_worker"] == "info"
    assert types["vitals_eventloop_stalls"] == "counter"


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values"])
def test_names_are_sent_as_they_are(ask, escaping):
    """Escaping is for names that need some, and the answer claims none."""
    accept = f"application/openmetrics-text;version=1.0.0;escaping={escaping};q=0.6,text/plain;version=0.0.4;q=0.3"
    response = ask(app(), "GET", "/metrics", headers={"Accept": accept})
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert "vitals_worker_up" in {family.name for family in parse_openmetrics(response.text)}


def test_metrics_are_compressed_when_asked(ask):
    """The same text, smaller."""
    plain = ask(app(), "GET", "/metrics", headers={"Accept-Encoding": "identity"})
    packed = ask(app(), "GET", "/metrics", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, 5))


def test_compression_that_is_refused_is_not_used(ask):
    """`q=0` means: not this one."""
    response = ask(app(), "GET", "/metrics", headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in response.headers


DELAY = "vitals_eventloop_delay_seconds"


@pytest.mark.parametrize(
    ("names", "served"),
    [
        (["vitals_worker_up"], {"vitals_worker_up"}),
        ([DELAY], {DELAY + "_bucket", DELAY + "_sum", DELAY + "_count"}),
        ([DELAY + "_count"], {DELAY + "_count"}),
        (["vitals_eventloop_stalls_total"], {"vitals_eventloop_stalls_total"}),
        (["vitals_eventloop_stalls"], {"vitals_eventloop_stalls_total"}),
        (["vitals_worker"], {"vitals_worker_info"}),
        (["vitals_worker_info", "vitals_worker_up"], {"vitals_worker_info", "vitals_worker_up"}),
        (["vitals_nothing"], set()),
    ],
)
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0"])
def test_names_restrict_what_is_served(ask, names, served, accept):
    """`name[]` takes samples as they are named, and metrics with or without the suffix of their type."""
    response = ask(app(), "GET", "/metrics", params={"name[]": names}, headers={"Accept": accept})
    samples = {line.split("{")[0] for line in response.text.splitlines() if not line.startswith("#")}
    assert samples == served


def test_head_asks_for_metrics_without_taking_them(ask):
    """Checks of uptime use HEAD."""
    assert ask(app(), "HEAD", "/metrics").status_code == 200


def test_other_methods_are_refused(ask):
    """Metrics are read, not written."""
    assert ask(app(), "POST", "/metrics").status_code == 405


def test_the_landing_page_links_and_escapes(ask):
    """A person finds the way, whatever a target is called."""
    hostile = replace(SHOP, name='"><script>alert(1)</script>')
    response = ask(app(all_targets=(hostile,), vitals=replace(AGENT, version="<9>")), "GET", "/")
    assert response.status_code == 200
    assert 'href="/metrics"' in response.text
    assert "&lt;9&gt;" in response.text
    assert "<script" not in response.text
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/-/healthy", "/healthz"])
def test_the_agent_is_healthy_while_it_answers(ask, path):
    """Both the name Prometheus uses and the one Kubernetes uses."""
    assert ask(app(is_ready=False), "GET", path).status_code == 200


@pytest.mark.parametrize("path", ["/-/ready", "/readyz"])
@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_the_agent_is_ready_when_it_has_sampled(ask, path, ready, status):
    """Before the first round there is nothing to scrape."""
    assert ask(app(is_ready=ready), "GET", path).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_reload_is_carried_out(ask, method):
    """As Prometheus does it."""
    view = FixedView()
    assert ask(metrics_app(view, lifecycle=True), method, "/-/reload").status_code == 200
    assert view.reloads == 1


def test_a_reload_that_fails_tells_no_details(ask):
    """This port is open to anybody: what is wrong with the file is in the log."""
    response = ask(app(reload_error=VitalsdError("vitalsd.yaml:3:1: no such key.")), "POST", "/-/reload")
    assert (response.status_code, "see the log" in response.text) == (500, True)
    assert "vitalsd.yaml" not in response.text


def test_a_reload_is_refused_when_lifecycle_is_off(ask):
    """Nothing is reloaded, and the answer names another way."""
    view = FixedView()
    response = ask(metrics_app(view, lifecycle=False), "POST", "/-/reload")
    assert (response.status_code, view.reloads) == (403, 0)
    assert "SIGHUP" in response.text


def test_a_reload_is_not_a_link(ask):
    """A crawler or a preview that follows links reloads nothing."""
    view = FixedView()
    assert ask(metrics_app(view, lifecycle=True), "GET", "/-/reload").status_code == 405
    assert view.reloads == 0
