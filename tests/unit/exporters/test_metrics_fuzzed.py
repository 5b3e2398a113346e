"""The metrics port is open to whoever reaches it: any request is answered, and none brings about a fault."""

import asyncio
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.views import FixedView

from vitalsd_exporters.prometheus.app import metrics_app

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/health", "/health/shop", "/health/shop/0", "/nothing")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(["Accept", "Accept-Encoding", "Host", "If-None-Match", "Range", "Content-Type"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
    | st.sampled_from(["application/openmetrics-text; version=1.0.0", "gzip;q=9e9", "text/plain;q=nan"]),
)


@pytest.fixture(scope="module")
def app():
    """The port's app."""
    return metrics_app(FixedView(), lifecycle=False)


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(
    path=st.sampled_from(PATHS) | st.builds(lambda one, two: f"/health/{quote(one)}/{quote(two)}", NAMES, NAMES),
    method=st.sampled_from(METHODS),
    query=st.lists(st.tuples(st.sampled_from(["name[]", "x"]), NAMES), max_size=3),
    headers=HEADERS,
)
def test_any_request(app, path, method, query, headers):
    """A service that is not well is a 503, and that is told in the body."""

    async def asked():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.request(method, path, params=query, headers=headers)

    answer = asyncio.run(asked())
    assert answer.status_code < 500 or (answer.status_code == 503 and path.startswith(("/health", "/-/")))
    answer.text.encode()
