"""The web configuration file of Prometheus's exporters: what of it is honoured, and the rest refused."""

import asyncio
import shutil
import ssl
import subprocess

import pytest
from structlog.testing import capture_logs
from support.certificates import certify
from support.views import FixedView

from vitalsd.errors import UsageError
from vitalsd_exporters.prometheus.app import metrics_app
from vitalsd_exporters.web.serve import Listener
from vitalsd_exporters.web.tls import Certificates, load_web_config


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with a certificate, its key, and another key."""
    folder = tmp_path_factory.mktemp("certificates")
    certify(folder, "server", "other")
    lock = ["openssl", "ec", "-in", "server.key", "-out", "locked.key", "-aes128", "-passout", "pass:x"]
    subprocess.run(lock, cwd=folder, check=True, capture_output=True)
    return folder


def write(folder, section, name="web.yml"):
    """A file with these lines below `tls_server_config`."""
    path = folder / name
    path.write_text("tls_server_config:\n" + "".join(f"  {line}\n" for line in section))
    return path


PAIR = ("cert_file: server.crt", "key_file: server.key")


@pytest.mark.parametrize("text", ["", "{}", "tls_server_config:\n", "# nothing yet\n"])
def test_a_file_without_tls_means_no_tls(tmp_path, text):
    """As for the exporters it was written for."""
    path = tmp_path / "web.yml"
    path.write_text(text)
    assert load_web_config(path) is None


def test_paths_are_relative_to_the_file(certificates, monkeypatch):
    """The folder moves as one, wherever the daemon was started."""
    monkeypatch.chdir("/")
    context = load_web_config(write(certificates, PAIR))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_NONE


def test_metrics_are_served_over_it(certificates):
    """A scraper that trusts the certificate gets its answer encrypted."""

    async def scrape():
        tls = Certificates.of(write(certificates, PAIR))
        listener = Listener(metrics_app(FixedView(), lifecycle=False), "127.0.0.1:0", "some.key", tls)
        trusting = ssl.create_default_context(cafile=certificates / "server.crt")
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            host, port = listener.addresses[0].split(":")
            connection = asyncio.open_connection(host, int(port), ssl=trusting, server_hostname="localhost")
            reader, writer = await connection
            writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            listener.stop()
        return answer

    answer = asyncio.run(scrape())
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"vitalsd is healthy.\n")


def test_versions_are_bounded_as_asked(certificates):
    """The file's words for versions are understood."""
    context = load_web_config(write(certificates, (*PAIR, "min_version: TLS13", "max_version: TLS13")))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("RequireAndVerifyClientCert", ssl.CERT_REQUIRED), ("VerifyClientCertIfGiven", ssl.CERT_OPTIONAL)],
)
def test_clients_are_verified_as_asked(certificates, kind, mode):
    """Against the authority in the file."""
    path = write(certificates, (*PAIR, f"client_auth_type: {kind}", "client_ca_file: server.crt"))
    context = load_web_config(path)
    assert context.verify_mode is mode
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("section", "what"),
    [
        (("cert_file: server.crt",), "`tls_server_config.key_file` is missing"),
        ((*PAIR, "client_auth_type: RequireAnyClientCert"), "RequireAnyClientCert"),
        ((*PAIR, "client_auth_type: RequireAndVerifyClientCert"), "need each other"),
        ((*PAIR, "client_ca_file: server.crt"), "need each other"),
        ((*PAIR, "min_version: TLS10"), "supports TLS12, TLS13"),
        ((*PAIR, "min_version: TLS13", "max_version: TLS12"), "`min_version` is above"),
        ((*PAIR, "cipher_suites: [x]"), "`tls_server_config.cipher_suites`: not supported"),
        (("cert_file: 3", "key_file: server.key"), "must be a text"),
        (("cert_file: server.crt", "key_file: other.key"), "KEY_VALUES_MISMATCH"),
        (("cert_file: server.crt", "key_file: locked.key"), "cannot be used"),
        (("cert_file: server.crt", "key_file: nowhere.key"), "No such file"),
        (
            (*PAIR, "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: server.key"),
            "client authority",
        ),
    ],
)
def test_what_cannot_be_honoured_is_one_sentence(certificates, section, what):
    """It names the file and the key, and never asks the terminal for a password."""
    path = write(certificates, section)
    with pytest.raises(UsageError) as refusal:
        load_web_config(path)
    assert what in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("basic_auth_users:\n  joe: hash\n", "`basic_auth_users`: not supported"),
        ("http_server_config:\n  http2: true\n", "`http_server_config`: not supported"),
        ("- tls\n", "must be a mapping"),
        ("tls_server_config: yes\n", "must be a mapping"),
        ("a: b: c\n", "web.yml:1:5"),
    ],
)
def test_a_protection_that_is_not_supported_is_refused(tmp_path, text, what):
    """Nobody believes to be protected by a password that nothing asks for."""
    path = tmp_path / "web.yml"
    path.write_text(text)
    with pytest.raises(UsageError) as refusal:
        load_web_config(path)
    assert what in str(refusal.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    """Also one that is not text."""
    with pytest.raises(UsageError, match="No such file"):
        load_web_config(tmp_path / "nowhere.yml")
    (tmp_path / "web.yml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_web_config(tmp_path / "web.yml")


@pytest.fixture
def replaced(certificates, tmp_path):
    """A web configuration whose files may be replaced, and what follows them."""
    for name in ("server", "other"):
        for kind in ("crt", "key"):
            shutil.copy(certificates / f"{name}.{kind}", tmp_path)
    return tmp_path, Certificates.of(write(tmp_path, PAIR))


def put(folder, kind, content):
    """Replace a file of the pair in one step, as who renews certificates does."""
    (folder / "new").write_bytes(content)
    (folder / "new").replace(folder / f"server.{kind}")


def test_a_certificate_that_was_replaced_is_shown(replaced):
    """From the next connection on; what did not change is not read again."""
    folder, tls = replaced
    before = tls.context()
    tls.look()
    assert tls.context() is before
    for kind in ("key", "crt"):
        put(folder, kind, (folder / f"other.{kind}").read_bytes())
    with capture_logs() as logs:
        tls.look()
    assert tls.context() is not before
    assert (tls.problem, [entry["event"] for entry in logs]) == (None, ["certificate_replaced"])


@pytest.mark.parametrize("half", ["other key", "half a certificate", "no certificate", "no tls", "no path"])
def test_what_cannot_be_used_changes_nothing_and_is_said_once(replaced, half):
    """The certificate before is shown on, until the files fit again."""
    folder, tls = replaced
    before, certificate, section = (
        tls.context(),
        (folder / "server.crt").read_bytes(),
        (folder / "web.yml").read_text(),
    )
    if half == "other key":
        put(folder, "crt", (folder / "other.crt").read_bytes())
    elif half == "half a certificate":
        put(folder, "crt", certificate[: len(certificate) // 2])
    elif half == "no certificate":
        (folder / "server.crt").unlink()
    elif half == "no path":
        (folder / "web.yml").write_text(section.replace("server.crt", '"server.crt\\0"'))
    else:
        (folder / "web.yml").write_text("{}\n")
    with capture_logs() as logs:
        tls.look()
        tls.look()
    assert tls.context() is before
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("certificate_not_replaced", tls.problem)]
    put(folder, "crt", certificate)
    (folder / "web.yml").write_text(section)
    tls.look()
    assert tls.problem is None
