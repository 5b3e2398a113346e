"""What the agent pushes to, and what can be wrong with the way there: a name server, and a collector with TLS."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Names", "Taker", "certify", "names", "taking"]

ADDRESS = "127.77.7.7"
"""Of the name server: where nobody else of this machine listens."""
SLOW_SECONDS = 3.0
REFUSED = 0x8182
"""SERVFAIL."""
FOUND = 0x8180
TYPE_A = 1
LONG_AGO = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
AUTHORITY = """
[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = DNS:localhost,IP:127.0.0.1
"""


def certify(folder: Path, name: str, *, expired: bool = False) -> None:
    """A certificate of localhost and its key: `NAME.crt` and `NAME.key`."""
    (folder / "index").write_text("")
    (folder / "authority").write_text(AUTHORITY.format(folder=folder))
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    key, asked, made = (str(folder / f"{name}.{kind}") for kind in ("key", "csr", "crt"))
    sign = ("openssl", "ca", "-batch", "-notext", "-selfsign", "-config", str(folder / "authority"))
    until = LONG_AGO if expired else ("-days", "2")
    for command in (
        (*new, "-subj", f"/CN={name}", "-keyout", key, "-out", asked),
        (*sign, "-keyfile", key, "-in", asked, "-out", made, *until),
    ):
        subprocess.run(command, check=True, capture_output=True)


class Names:
    """A name server, which finds every name here, or does as it is told."""

    def __init__(self) -> None:
        self.does = "answers"
        """`answers`, `fails`, `is slow` or `is silent`."""
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, 53))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if not query:
                return
            self.asked += 1
            does = self.does
            if does == "is silent":
                continue
            if does == "is slow":
                time.sleep(SLOW_SECONDS)
            self._socket.sendto(_answer(query, fails=does == "fails"), client)

    def close(self) -> None:
        """End it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (ADDRESS, 53))
        self._thread.join()
        self._socket.close()


def _answer(query: bytes, *, fails: bool) -> bytes:
    """127.0.0.1 to who asks for an address of IPv4, nothing to others."""
    (number,) = struct.unpack_from(">H", query)
    end = query.index(b"\0", 12) + 5
    (kind,) = struct.unpack_from(">H", query, end - 4)
    has = kind == TYPE_A and not fails
    head = struct.pack(">6H", number, REFUSED if fails else FOUND, 1, int(has), 0, 0)
    found = struct.pack(">HHHIH4B", 0xC00C, TYPE_A, 1, 0, 4, 127, 0, 0, 1) if has else b""
    return head + query[12:end] + found


@contextlib.contextmanager
def names(folder: Path) -> Iterator[tuple[Names, tuple[str, ...]]]:
    """A name server, and the command before another's that has this one ask nobody else."""
    config = folder / "resolv.conf"
    config.write_text(f"nameserver {ADDRESS}\noptions timeout:1 attempts:1\n")
    bind = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    server = Names()
    try:
        yield server, ("unshare", "--mount", "sh", "-c", bind, str(config))
    finally:
        server.close()


class Taker(http.server.ThreadingHTTPServer):
    """Takes what is posted."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.bodies: list[bytes] = []
        self.tls = tls
        """For the next connection."""

    def get_request(self) -> tuple[socket.socket, object]:  # type: ignore[override]
        """Speak TLS with who asks for it."""
        made, address = super().get_request()
        made.settimeout(5.0)
        return (made if self.tls is None else self.tls.wrap_socket(made, server_side=True)), address

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us is none of ours."""


class _Taking(http.server.BaseHTTPRequestHandler):
    server: Taker

    def do_POST(self) -> None:
        """Say yes to everything."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(self.path.encode() + b" " + body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def taking(tls: ssl.SSLContext | None = None) -> Iterator[Taker]:
    """One that listens."""
    with Taker(tls) as taker:
        thread = threading.Thread(target=taker.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield taker
        finally:
            taker.shutdown()
            thread.join()
