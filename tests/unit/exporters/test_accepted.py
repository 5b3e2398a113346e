"""Which format is sent for which `Accept`: what Prometheus's own library decides, of those that we write."""

import pytest
from prometheus_client.exposition import choose_encoder

from vitalsd_exporters.prometheus.accepted import OLDER, OPENMETRICS, content_type

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS,
        PROMETHEUS.partition(",")[2],
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
        "application/openmetrics-text",
        "application/openmetrics-text; version=0.0.1",
        "text/plain;version=0.0.4, application/openmetrics-text; charset=utf-8; version=1.0.0",
        "text/plain; version=1.0.0",
        "text/plain",
        "text/html,*/*;q=0.1",
        ";;,=,",
        "",
    ],
)
def test_as_the_library_decides(accept):
    """What Prometheus of several ages, browsers and others send."""
    assert content_type(accept) == choose_encoder(accept)[1].partition("; escaping=")[0]


def test_what_is_written_is_what_is_said():
    """Another version is answered with the one that we write, and nothing of a request is sent back."""
    assert content_type("application/openmetrics-text;version=2.0.0-evil") == OPENMETRICS
    assert content_type("application/openmetrics-text;version=x") == OPENMETRICS
    assert content_type("text/plain;version=x") == OLDER
    assert content_type(f"text/plain;version={'1' * 5000}") == OLDER
