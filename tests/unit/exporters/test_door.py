"""Clients that are slow, silent or many keep nobody out, and none of them stays."""

import asyncio
import contextlib
import socket
import ssl

import pytest
from support.certificates import certify

from vitalsd_exporters.web import door
from vitalsd_exporters.web import serve as serving
from vitalsd_exporters.web.serve import Listener
from vitalsd_exporters.web.tls import Certificates

KEY = "exporters.prometheus.listen"
BIG = bytes(1 << 20)
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope, _receive, send):
    """A short answer, or one that no buffer of the kernel holds."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": BIG if scope["path"] == "/big" else b"hello"})


@pytest.fixture
def quickly(monkeypatch):
    """Tenths of a second instead of seconds."""
    monkeypatch.setattr(door, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(door, "STALLED_SECONDS", 0.3)
    monkeypatch.setattr(serving, "TICK_SECONDS", 0.1)


def address_of(listener):
    """Host and port."""
    host, port = listener.addresses[0].split(":")
    return host, int(port)


async def ask(listener, trusted=None):
    """What somebody is answered who asks and goes."""
    name = "localhost" if trusted is not None else None
    reader, writer = await asyncio.open_connection(*address_of(listener), ssl=trusted, server_hostname=name)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def crowd(listener, count, said=b""):
    """Connections that say this, and read nothing."""
    loop, made = asyncio.get_running_loop(), []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.setblocking(False)
        await loop.sock_connect(client, address_of(listener))
        if said:
            await loop.sock_sendall(client, said)
        made.append(client)
    while in_there(listener) < min(count, door.UNTAKEN):  # noqa: ASYNC110 - the door tells nobody
        await asyncio.sleep(0.01)
    return made


async def gone(listener, clients):
    """Close these, and wait until the listener has seen it."""
    for client in clients:
        client.close()
    while in_there(listener):  # noqa: ASYNC110 - the door tells nobody
        await asyncio.sleep(0.01)


async def ended(client):
    """Until the connection is no more."""
    with contextlib.suppress(ConnectionError):
        while await asyncio.get_running_loop().sock_recv(client, 65536):
            pass


def serve(visit, listener):
    """Run the listener around one visit."""

    async def main():
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            try:
                await visit(listener)
            finally:
                listener.stop()

    asyncio.run(main())


def in_there(listener):
    """How many connections there are."""
    return len(listener._server._door)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nX-Slow: ", ASK], ids=len)
def test_a_crowd_takes_nobodys_place(said):
    """Whatever each of them has said, who asks is answered, and no more of them are there than have room."""

    async def visit(listener):
        clients = await crowd(listener, door.PLACES + 40, said)
        for _ in range(5):
            assert (await ask(listener)).startswith(b"HTTP/1.1 200")
            assert in_there(listener) <= door.PLACES
        await gone(listener, clients)

    serve(visit, Listener(app, "127.0.0.1:0", KEY))


def test_who_takes_no_answer_gives_way():
    """More of them than there may be answers at a time."""

    async def visit(listener):
        clients = await crowd(listener, door.UNTAKEN + 10, b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await ask(listener)).startswith(b"HTTP/1.1 200")
        await gone(listener, clients)

    serve(visit, Listener(app, "127.0.0.1:0", KEY))


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: loc",
        ASK,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n12",
        b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["nothing", "half a request", "half of the next", "half a body", "takes no answer"],
)
def test_what_never_becomes_whole_ends(said):
    """Also where a byte comes again and again."""

    async def visit(listener):
        [client] = await crowd(listener, 1, said)
        with contextlib.suppress(OSError):
            while in_there(listener):
                await asyncio.sleep(0.05)
                if b"big" not in said:
                    await asyncio.get_running_loop().sock_sendall(client, b"x" if said else b"")
        await gone(listener, [client])

    serve(visit, Listener(app, "127.0.0.1:0", KEY))


@pytest.mark.usefixtures("quickly")
def test_who_takes_an_answer_slowly_gets_all_of_it():
    """As long as something of it is taken again and again."""

    async def visit(listener):
        [client] = await crowd(listener, 1, b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        taken = 0
        while taken < len(BIG):
            taken += len(await asyncio.get_running_loop().sock_recv(client, 65536)) or pytest.fail(f"{taken}")
            await asyncio.sleep(0.002)
        await gone(listener, [client])

    serve(visit, Listener(app, "127.0.0.1:0", KEY))


def test_who_asks_on_without_waiting_is_answered_once():
    """A client that never reads would have as many answers made as it has asked for."""
    asked = []

    async def counting(scope, receive, send):
        asked.append(scope["path"])
        await app(scope, receive, send)

    async def visit(listener):
        client = socket.create_connection(address_of(listener))
        client.setblocking(False)
        client.send(ASK * 100)
        await ended(client)
        client.close()
        assert asked == ["/"]

    serve(visit, Listener(counting, "127.0.0.1:0", KEY))


def test_the_kernel_keeps_little_for_one_who_does_not_read():
    """By itself it would take megabytes, which are the agent's in its control group."""

    async def visit(listener):
        [client] = await crowd(listener, 1, b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        [guest] = listener._server.server_state.connections
        accepted = guest.transport.get_extra_info("socket")
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            assert accepted.getsockopt(socket.SOL_SOCKET, option) <= 256 * 1024
        await gone(listener, [client])

    serve(visit, Listener(app, "127.0.0.1:0", KEY))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """The folder of one, as `server.crt` and `server.key`."""
    folder = tmp_path_factory.mktemp("certificate")
    certify(folder, "server")
    return folder


def tls_of(folder):
    """What the listener and what a client has of it."""
    config = folder / "web.yml"
    config.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    return Certificates.of(config), ssl.create_default_context(cafile=folder / "server.crt")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00"], ids=["nothing", "half a hello"])
def test_a_crowd_before_its_handshake_takes_nobodys_place(certificate, said):
    """The same holds for what is not encrypted yet."""
    own, trusted = tls_of(certificate)

    async def visit(listener):
        clients = await crowd(listener, door.PLACES + 40, said)
        assert (await ask(listener, trusted)).startswith(b"HTTP/1.1 200")
        assert in_there(listener) <= door.PLACES
        await gone(listener, clients)

    serve(visit, Listener(app, "127.0.0.1:0", KEY, own))


@pytest.mark.usefixtures("quickly")
def test_a_handshake_that_never_becomes_whole_ends(certificate):
    """As a request does."""
    own, _ = tls_of(certificate)

    async def visit(listener):
        [client] = await crowd(listener, 1, b"\x16\x03\x01")
        await ended(client)
        client.close()
        assert in_there(listener) == 0

    serve(visit, Listener(app, "127.0.0.1:0", KEY, own))


def test_requests_right_behind_the_handshake_are_answered(certificate):
    """In the same packet as its end, as TLS 1.3 has it: again and again, and none is lost."""
    own, trusted = tls_of(certificate)

    async def visit(listener):
        answers = await asyncio.gather(*(ask(listener, trusted) for _ in range(50)))
        assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}

    serve(visit, Listener(app, "127.0.0.1:0", KEY, own))
