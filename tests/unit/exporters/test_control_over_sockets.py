"""The control port as a socket has it: paths that no library would send, bodies that do not end, slow readers."""

import contextlib
import hashlib
import http.client
import socket

import pytest
from support.captures import PROFILE
from support.desk import TOKEN, desk

HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
ASKING = f"POST /api/v1/captures HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
BIG = bytes(range(256)) * 65_536
"""16 MiB: more than any socket takes at once."""


@pytest.fixture
def at(tmp_path):
    """The control port of an agent."""
    with desk(tmp_path) as found:
        yield found


def connect(at):
    """To it, without anything between."""
    host, _, port = at.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def status(answer):
    """Of the bytes of an answer."""
    return int(answer.split(b" ", 2)[1])


def exchange(at, request):
    """Send these bytes; all that comes until the other end has said everything."""
    with connect(at) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, dict(answer.getheaders()), answer.read()


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../..",
        "%2e%2e",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%252e%252e%252fetc%252fpasswd",
        "..%5c..%5cetc",
        "%00",
        "profile.bin%00.svg",
        "//etc/passwd",
        "%c0%ae%c0%ae/%c0%afetc",
        "profile.bin;.svg",
        "profile.bin%0d%0aX-Evil:%201",
    ],
)
def test_traversal_is_404(at, name):
    """As it is on the wire, where nobody has tidied it up."""
    code, headers, body = exchange(
        at, f"GET /api/v1/captures/{PROFILE.id}/files/{name} HTTP/1.1\r\n{HEAD}\r\n".encode()
    )
    assert code == 404
    assert b"root:" not in body
    assert "X-Evil" not in headers


def test_a_body_that_is_too_large_is_answered_before_it_is_sent(at):
    """By its declared length alone, and the connection ends."""
    code, headers, _ = exchange(at, f"{ASKING}Content-Length: 1000000000\r\n\r\n".encode())
    assert (code, headers["connection"]) == (400, "close")


def test_a_body_without_an_end_is_cut_off(at):
    """In chunks, of which nobody has said how many will come."""
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    with connect(at) as connection:
        connection.sendall(f"{ASKING}Transfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(OSError):  # it does not take more
            for _ in range(64):
                connection.sendall(chunk)
        with contextlib.suppress(ConnectionResetError):
            assert status(connection.recv(65_536)) == 400
    assert at.captures.asked == []


def test_who_reads_slowly_holds_nobody_up(at):
    """A download that stands still in the middle: others are answered, and it goes on where it was."""
    at.captures.finish(PROFILE.id, {"big": BIG})
    with connect(at) as slow:
        slow.sendall(f"GET /api/v1/captures/{PROFILE.id}/files/big HTTP/1.1\r\n{HEAD}\r\n".encode())
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        begun = answer.read(1000)
        code, _, body = exchange(at, f"GET /api/v1/captures/{PROFILE.id} HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert (code, PROFILE.id.encode() in body) == (200, True)
        rest = answer.read()
    assert hashlib.sha256(begun + rest).digest() == hashlib.sha256(BIG).digest()


def test_a_range_of_a_large_file_is_that_range(at):
    """Across chunks."""
    at.captures.finish(PROFILE.id, {"big": BIG})
    first, last = 262_000, 1_000_001
    head = f"GET /api/v1/captures/{PROFILE.id}/files/big HTTP/1.1\r\n{HEAD}Range: bytes={first}-{last}\r\n\r\n"
    code, headers, body = exchange(at, head.encode())
    assert (code, headers["content-range"]) == (206, f"bytes {first}-{last}/{len(BIG)}")
    assert body == BIG[first : last + 1]


def test_a_connection_serves_one_request_after_another(at):
    """A file, its headers, and a refusal leave it as it was."""
    with contextlib.closing(http.client.HTTPConnection(at.address)) as connection:
        for method, path, expected in (
            ("GET", f"/api/v1/captures/{PROFILE.id}/files/profile.bin", 200),
            ("HEAD", f"/api/v1/captures/{PROFILE.id}/files/profile.bin", 200),
            ("POST", "/api/v1/captures", 415),
            ("DELETE", f"/api/v1/captures/{PROFILE.id}", 204),
            ("GET", f"/api/v1/captures/{PROFILE.id}/files/profile.bin", 404),
        ):
            connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected
