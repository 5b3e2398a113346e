"""One Alertmanager as bad as they come: what is tried again, what is not, and who is told what is wrong."""

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading

import pytest
import structlog
from bench.harness import free_ports
from support.alertmanager import Pretender
from support.alerts import NOW, incident

from vitalsd.settings.model import AlertmanagerPeer
from vitalsd_exporters.alertmanager.alert import Alert, Wording, labels_of
from vitalsd_exporters.alertmanager.contact import alerts_of
from vitalsd_exporters.alertmanager.peer import MOST_HALVED, MOST_IN_ONE, Peer
from vitalsd_exporters.push import pauses, reach

SOON = 10.0


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch):
    """Nobody waits for a second here."""
    monkeypatch.setattr(pauses, "FIRST_RETRY_SECONDS", 0.05)


def alert(target="shop", ends_at=None):
    """The alert of one target."""
    one = incident(target=target)
    return Alert(labels_of(one), one, (one.id,), NOW, ends_at)


def shown(*alerts):
    """What there is."""
    return {each.labels: each for each in alerts}


def told(until, *alerts, url, timeout=5.0, interval=60.0, **settings):
    """The peer at `url` after it was shown these alerts, and until `until(peer)` is so."""

    async def tell():
        taken = []
        peer = Peer(AlertmanagerPeer(url, **settings), taken.append, clock=lambda: NOW)
        peer.taken = taken
        peer.pace(interval, timeout, Wording("http://agent"))
        peer.show(shown(*alerts))
        running = asyncio.create_task(peer.run())
        async with asyncio.timeout(SOON):
            while not until(peer):  # noqa: ASYNC110 - what is waited for is in another thread
                await asyncio.sleep(0.01)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return peer

    return asyncio.run(tell())


def test_alerts_are_posted_as_the_api_has_them():
    """Version 2, below the prefix of the URL; what fires ends four intervals later unless it is told again."""
    with Pretender() as server:
        peer = told(lambda peer: peer.taken, alert(), url=f"{server.url}/am")
    assert server.headers[0]["path"] == "/am/api/v2/alerts"
    assert server.headers[0]["Host"] == f"127.0.0.1:{server.port}"
    assert "Authorization" not in server.headers[0]
    (sent,) = server.sent()
    assert sent["labels"] == dict(labels_of(incident()))
    assert (sent["startsAt"], sent["endsAt"]) == ("2026-07-01T12:00:00.250Z", "2026-07-01T12:04:00.250Z")
    assert (peer.sent, peer.failed) == (1, 0)


@pytest.mark.parametrize("status", [500, 503, 429, 401, 404, 302])
def test_what_may_pass_is_tried_again(status):
    """And nobody is told that it was taken."""
    with Pretender(status) as server:
        peer = told(lambda peer: peer.failed >= 2, alert(), url=server.url)
    assert peer.taken == []
    assert peer.problem == f"it answers {status} no"


def test_what_is_wrong_is_not_tried_again_and_was_not_told():
    """Until the next interval; nobody may believe that it was taken."""
    with Pretender(400) as server:
        peer = told(lambda peer: peer._outbox.wait_seconds(peer._alerts, 0), alert(), url=server.url)
    assert (peer.sent, peer.failed, peer.problem, peer.taken) == (1, 1, "it answers 400 no", [])


def test_of_a_message_with_something_wrong_in_it_the_rest_was_told():
    """One that it refuses keeps no other from being told, nor from being known as told; it is logged once."""
    many = [alert(f"t{at}") for at in range(MOST_IN_ONE)]
    with structlog.testing.capture_logs() as logs, Pretender() as server:
        server.refuses = lambda body: any(each["labels"]["target"] == "t7" for each in body)
        peer = told(lambda peer: len(peer.taken) == len(many) - 1, *many, url=server.url)
        assert {dict(each.labels)["target"] for each in many} - {
            dict(each.labels)["target"] for each in peer.taken
        } == {"t7"}
        assert (peer.problem, peer.failed) == ("it answers 400 no", 7)
    assert [each["event"] for each in logs if each["log_level"] != "debug"] == ["notification_failed"]


def test_one_that_refuses_everything_is_not_flooded():
    """By halves it would be asked two times for each alert."""
    many = [alert(f"t{at}") for at in range(4 * MOST_IN_ONE)]
    with Pretender(400) as server:
        peer = told(lambda peer: peer._outbox.wait_seconds(peer._alerts, 0), *many, url=server.url)
    assert peer.taken == []
    assert peer.sent <= 4 + 2 * MOST_HALVED


def test_nobody_there():
    """Refused connections are failures like others."""
    (port,) = free_ports(1)
    peer = told(lambda peer: peer.failed >= 2, alert(), url=f"http://127.0.0.1:{port}")
    assert (peer.sent, peer.taken) == (peer.failed, [])
    assert str(port) in peer.problem


def test_slow_is_not_waited_for():
    """And there is never a second connection beside the first."""
    with Pretender(delay_seconds=1.0) as server:
        peer = told(lambda peer: peer.failed >= 2, alert(), url=server.url, timeout=0.1)
    assert peer.problem == "it has not answered within 0.1 s"
    assert peer.taken == []


def test_what_is_no_http_is_a_failure():
    """Something else has its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        peer = told(lambda peer: peer.failed, alert(), url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(SOON)
    assert peer.problem


def test_logged_once_until_it_is_well_again():
    """An Alertmanager that is away for a night is a line in the log and a number in a metric."""
    with structlog.testing.capture_logs() as logs, Pretender(500) as server:

        def until(peer):
            if peer.failed >= 2:
                server.status = 200
            return server.status == 200 and peer.problem is None

        told(until, alert(), url=server.url)
    events = [each["event"] for each in logs if each["log_level"] != "debug"]
    assert events == ["notification_failed", "notifications_taken_again"]


def test_many_alerts_are_several_messages():
    """One after the other: what is encoded at once is bounded."""
    many = [alert(f"t{at}") for at in range(2 * MOST_IN_ONE + 1)]
    with Pretender() as server:
        peer = told(lambda peer: peer.sent == 3 and len(server.bodies) == 3, *many, url=server.url)
    assert sorted(map(len, server.bodies)) == [1, MOST_IN_ONE, MOST_IN_ONE]
    assert server.most_at_once == 1
    assert peer.failed == 0


def test_secrets_are_sent_and_never_told(tmp_path):
    """They come from files, and what is logged has the name of the file alone."""
    (tmp_path / "token").write_text("hunter2\n")
    (tmp_path / "password").write_text("hunter3\n")
    with structlog.testing.capture_logs() as logs, Pretender(500) as server:
        told(lambda peer: peer.failed, alert(), url=server.url, bearer_token_file=str(tmp_path / "token"))
        told(
            lambda peer: peer.failed,
            alert(),
            url=server.url,
            username="vitalsd",
            password_file=str(tmp_path / "password"),
        )
    said = [each["Authorization"] for each in server.headers]
    assert said[0] == "Bearer hunter2"
    assert said[-1] == "Basic dml0YWxzZDpodW50ZXIz"
    assert "hunter" not in json.dumps(logs)
    assert "dml0" not in json.dumps(logs)


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff"])
def test_a_secret_that_cannot_be_used_is_told_by_the_name_of_its_file(tmp_path, content):
    """And the agent goes on."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    peer = told(lambda peer: peer.failed, alert(), url="http://127.0.0.1:1", bearer_token_file=str(path))
    assert str(path) in peer.problem
    assert "two words" not in peer.problem


def test_a_host_that_is_not_found():
    """Its name is told."""
    peer = told(lambda peer: peer.failed, alert(), url="http://alertmanager.invalid:9093")
    assert peer.problem.startswith("the host alertmanager.invalid is not found")


def test_a_look_up_that_hangs_has_one_thread(monkeypatch):
    """Whatever a name server does, the daemon's own threads are not for it."""
    release = threading.Event()
    started = []

    def look_up(_place):
        started.append(1)
        release.wait(SOON)
        raise OSError("late")

    monkeypatch.setattr(reach, "addresses_of", look_up)
    peer = told(lambda peer: peer.failed >= 2, alert(), url="http://alertmanager:9093", timeout=0.1)
    release.set()
    assert (started, peer.problem) == ([1], "a name or a file was asked for earlier, and there is no answer yet")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with a certificate of localhost and its key, and with another."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed (Debian: apt install openssl)")
    folder = tmp_path_factory.mktemp("certificates")
    new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    new += ["-subj", "/CN=localhost", "-days", "2", "-addext", "subjectAltName=DNS:localhost"]
    for key, certificate in (("key.pem", "cert.pem"), ("other-key.pem", "other.pem")):
        files = ["-keyout", key, "-out", certificate]
        subprocess.run([*new, *files], cwd=folder, check=True, capture_output=True)
    return folder


def server_context(certificates):
    """What a server of that certificate has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    return context


def test_tls_with_an_authority_of_our_own(certificates):
    """Its certificate is held against the file that is configured, and its name against the URL's."""
    with Pretender(tls=server_context(certificates)) as server:
        peer = told(
            lambda peer: peer.taken or peer.failed, alert(), url=server.url, ca_file=str(certificates / "cert.pem")
        )
    assert (peer.problem, len(server.bodies)) == (None, 1)


def test_an_authority_that_was_replaced_holds_at_once(certificates, tmp_path):
    """Nobody has to reload anything for it."""
    authority = tmp_path / "ca.pem"
    shutil.copy(certificates / "other.pem", authority)
    with Pretender(tls=server_context(certificates)) as server:

        def until(peer):
            if peer.failed:
                shutil.copy(certificates / "cert.pem", authority)
            return peer.taken

        told(until, alert(), url=server.url, ca_file=str(authority))
    assert len(server.bodies) == 1


def test_another_address_of_its_host(monkeypatch):
    """The next one is asked when nobody answers at the first."""
    monkeypatch.setattr(reach, "addresses_of", lambda _place: ("127.0.0.2", "127.0.0.1"))
    with Pretender() as server:
        peer = told(lambda peer: peer.taken or peer.failed, alert(), url=f"http://alertmanager:{server.port}")
    assert (peer.failed, len(server.bodies)) == (0, 1)


def test_tls_by_somebody_else_is_not_told_anything(certificates):
    """An authority that nobody has named."""
    with Pretender(tls=server_context(certificates)) as server:
        peer = told(lambda peer: peer.failed, alert(), url=server.url)
    assert (server.bodies, "certificate verify failed" in peer.problem.lower()) == ([], True)


def test_tls_asks_for_a_certificate_of_ours(certificates):
    """And gets the one that is configured."""
    context = server_context(certificates)
    context.load_verify_locations(certificates / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    files = {"ca_file": "cert.pem", "cert_file": "cert.pem", "key_file": "key.pem"}
    with Pretender(tls=context) as server:
        peer = told(
            lambda peer: peer.taken or peer.failed,
            alert(),
            url=server.url,
            **{key: str(certificates / name) for key, name in files.items()},
        )
    assert (peer.problem, len(server.bodies)) == (None, 1)


def test_places():
    """As URLs have them."""
    place = alerts_of("https://[::1]/prefix")
    assert (place.host, place.port, place.path, place.named) == ("::1", 443, "/prefix/api/v2/alerts", "[::1]")
    assert alerts_of("http://am:9093").named == "am:9093"
