"""One collector as bad as they come: what is tried again and when, what is dropped, and who is told of it."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import threading

import pytest
import structlog
from bench.harness import free_ports
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from support.otlp import Collector, partly
from support.views import FixedView

from vitalsd.settings.model import Otlp
from vitalsd_exporters.otlp.encode import Moment, encode
from vitalsd_exporters.otlp.sender import Sender, seconds_asked_for
from vitalsd_exporters.otlp.starts import Starts
from vitalsd_exporters.otlp.tally import Tally
from vitalsd_exporters.prometheus.collector import VitalsCollector
from vitalsd_exporters.push import pauses

MADE = encode(VitalsCollector(FixedView()).collect(), Starts(), Moment(1e9, 1.0, 1e9, "node", "node:18780"))


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch):
    """Nobody waits for a second here."""
    monkeypatch.setattr(pauses, "FIRST_RETRY_SECONDS", 0.05)


def delivered(endpoint, seconds=30.0, times=1, meanwhile=lambda _tally: None, **settings):
    """What became of so many deliveries to this endpoint, each for at most so long."""

    async def deliver():
        tally = Tally()
        sender = Sender(Otlp(endpoint, **settings), tally, draw=lambda: 1.0)
        meanwhile(tally)
        for _ in range(times):
            await sender.deliver(MADE, sender._steady() + seconds)
        return tally

    return asyncio.run(deliver())


def test_an_export_is_posted_as_the_protocol_has_it():
    """Protobuf, compressed, at the path for metrics below what the endpoint has."""
    with Collector() as collector:
        tally = delivered(f"{collector.endpoint}/otel")
    (export,) = collector.exports
    assert export.path == "/otel/v1/metrics"
    assert export.headers["Content-Type"] == "application/x-protobuf"
    assert export.headers["Content-Encoding"] == "gzip"
    assert len(export.points) == MADE.points
    assert tally == Tally(sent=1)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(status):
    """The same message, until it is taken."""
    with Collector(status) as collector:

        def relent(tally):
            threading.Thread(target=lambda: _when(lambda: tally.failed >= 2, collector, 200), daemon=True).start()

        tally = delivered(collector.endpoint, meanwhile=relent)
    assert collector.exports[-1].answered == 200
    assert (tally.sent, tally.dropped_points, tally.trouble.problem) == (tally.failed + 1, 0, None)


def _when(so, collector, status):
    while not so():
        threading.Event().wait(0.005)
    collector.status = status


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 302])
def test_what_is_wrong_is_dropped_at_once(status):
    """It would be refused again; it is counted, and what was said is told."""
    with Collector(status, b"no \x08\x01 such thing") as collector:
        tally = delivered(collector.endpoint)
    assert (tally.sent, tally.failed, tally.dropped_points) == (1, 1, MADE.points)
    assert tally.trouble.problem == f"it answers {status} no such thing"


def test_a_collector_that_wants_a_pause_gets_it():
    """Retry-After takes the place of our own; what is due earlier is dropped, and nobody is asked meanwhile."""
    with Collector(503, headers={"Retry-After": "1"}) as collector:
        tally = delivered(collector.endpoint, seconds=1.5)
        assert [export.answered for export in collector.exports] == [503, 503]
        assert collector.exports[1].at - collector.exports[0].at >= 1.0
        collector.headers = {"Retry-After": "600"}
        tally = delivered(collector.endpoint, seconds=1.0, times=3)
    assert (tally.sent, tally.failed, tally.dropped_points) == (1, 1, 3 * MADE.points)


def test_pauses_grow_up_to_the_interval_and_are_never_quite_the_same():
    """Over one export and the next: a collector that is dead for hours is asked once an interval."""
    now, pauses = [0.0], []
    draws = iter([0.0, 1.0] * 4)
    sender = Sender(Otlp("http://127.0.0.1:1", interval=4.0), Tally(), lambda: next(draws), lambda: now[0])
    sender._pauses._seconds = 1.0
    for _ in range(8):
        sender._put_off("no")
        pauses.append(sender._not_before - now[0])
    assert pauses == [0.5, 2.0, 2.0, 4.0, 2.0, 4.0, 2.0, 4.0]


def test_a_slow_collector_is_waited_for_no_longer_than_allowed():
    """And then it is as good as not there."""
    with Collector(delay_seconds=5) as collector:
        tally = delivered(collector.endpoint, seconds=0.5, timeout=0.2)
    assert tally.trouble.problem == "it has not answered within 0.2 s"
    assert (tally.sent == tally.failed >= 1, tally.dropped_points) == (True, MADE.points)


def test_nobody_there():
    """Refused connections are failures that may pass."""
    (port,) = free_ports(1)
    tally = delivered(f"http://127.0.0.1:{port}", seconds=0.3)
    assert tally.sent == tally.failed >= 2
    assert str(port) in tally.trouble.problem


def test_points_that_were_not_taken_are_counted():
    """A collector may take a message and not all that is in it; that is no failure, and not tried again."""
    with Collector(body=partly(7, "too old")) as collector:
        tally = delivered(collector.endpoint)
    assert (tally.sent, tally.failed, tally.dropped_points) == (1, 0, 7)
    assert tally.trouble.problem == "it has not taken 7 points: too old"


def test_it_is_logged_once_until_it_is_well():
    """A collector that is away for a day is two lines in the log."""
    with structlog.testing.capture_logs() as logs, Collector(400) as collector:

        async def deliver():
            sender = Sender(Otlp(collector.endpoint), Tally())
            for status in (400, 400, 200, 200, 400):
                collector.status = status
                await sender.deliver(MADE, sender._steady() + 10)

        asyncio.run(deliver())
    assert [line["event"] for line in logs] == ["metrics_not_taken", "metrics_taken_again", "metrics_not_taken"]
    assert logs[0]["reason"] == "it answers 400"


def test_headers_of_a_file(tmp_path):
    """Read for each request, so that a token may be changed."""
    file = tmp_path / "headers"
    file.write_text("# ours\nAuthorization = Bearer a=b\n\nX-Scope-OrgID=shop\n")
    with Collector() as collector:
        delivered(collector.endpoint, headers_file=str(file))
    assert collector.exports[0].headers["Authorization"] == "Bearer a=b"
    assert collector.exports[0].headers["X-Scope-OrgID"] == "shop"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("secret", "line 1 is not NAME=VALUE"),
        ("a=b\nna me=secret", "line 2 is not NAME=VALUE"),
        ("a=sécret", "line 1 is not NAME=VALUE"),
        ("Content-Type=secret", "line 1 names a header that every request has already"),
        ("", "is empty"),
    ],
)
def test_a_file_of_headers_that_is_wrong_is_told_without_what_is_in_it(tmp_path, text, problem):
    """Nothing is sent; it may be mended while the agent runs."""
    file = tmp_path / "headers"
    file.write_text(text)
    with Collector() as collector:
        tally = delivered(collector.endpoint, seconds=0.02, headers_file=str(file))
    assert tally.trouble.problem.endswith(problem)
    assert "cret" not in tally.trouble.problem
    assert collector.exports == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_by_the_authorities_of_the_configuration(tmp_path):
    """One whose certificate they know is told; another is not, and that may pass."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    named = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *named], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Collector(tls=context) as collector:
        assert delivered(collector.endpoint, ca_file=str(certificate)).trouble.problem is None
        with contextlib.redirect_stderr(None):  # the server's, of a handshake that fails
            assert "verif" in delivered(collector.endpoint, seconds=0.02).trouble.problem
    assert len(collector.exports) == 1


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("-7", 0.0),
        ("999999", 900.0),
        ("9" * 400, 900.0),
        ("-" + "9" * 400, 0.0),
        ("9" * 5000, None),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:17:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_what_retry_after_says(said, seconds):
    """Seconds or a date, within reason; anything else is as if nothing were said."""
    assert seconds_asked_for(said, 1000.0) == seconds


def test_the_message_is_one_that_the_protocol_knows():
    """Every field is where another implementation looks for it."""
    import gzip

    request = ExportMetricsServiceRequest.FromString(gzip.decompress(MADE.body))
    assert {scope.scope.name for each in request.resource_metrics for scope in each.scope_metrics} == {"vitalsd"}
