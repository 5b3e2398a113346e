"""A listener on a real socket of the loopback interface."""

import asyncio
import contextlib
import signal
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from vitalsd.errors import UsageError
from vitalsd_exporters.web import door
from vitalsd_exporters.web import serve as serving
from vitalsd_exporters.web.serve import Listener
from vitalsd_exporters.web.sockets import bind

KEY = "exporters.prometheus.listen"


async def hello(_request):
    """An answer at once."""
    return PlainTextResponse("hello")


async def fail(_request):
    """No answer at all."""
    raise RuntimeError("a bug")


async def endless(_request):
    """An answer that never ends."""

    async def chunks():
        while True:
            yield b": heartbeat\n\n"
            await asyncio.sleep(3600)

    return StreamingResponse(chunks(), media_type="text/event-stream")


APP = Starlette(routes=[Route("/hello", hello), Route("/fail", fail), Route("/endless", endless)])


async def request(listener, path, until=None):
    """A GET by hand: the answer up to `until` or to its end, and the stream."""
    host, port = listener.addresses[0].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await (reader.readuntil(until) if until else reader.read())
    return answer.decode(), reader, writer


def serve(visit, listener):
    """Run the listener around one visit; it must then end by itself."""

    async def main():
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            try:
                await visit(listener)
            finally:
                listener.stop()

    asyncio.run(main())


def test_it_serves_and_stops():
    """After `stop`, `run` returns and the port is free again."""
    listener = Listener(APP, "127.0.0.1:0", KEY)
    [address] = listener.addresses

    async def visit(listener):
        answer, _, writer = await request(listener, "/hello")
        writer.close()
        assert answer.startswith("HTTP/1.1 200")
        assert answer.endswith("hello")
        assert "server:" not in answer.lower()
        assert "date:" in answer.lower()

    serve(visit, listener)
    [again] = bind(address, KEY)
    again.close()


def test_an_open_stream_does_not_keep_it_from_stopping():
    """The stream is cut; its next event would be due in an hour."""

    async def visit(listener):
        _, reader, writer = await request(listener, "/endless", until=b"heartbeat\n\n")
        listener.stop()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()

    serve(visit, Listener(APP, "127.0.0.1:0", KEY))


def test_what_a_client_does_not_take_is_dropped(monkeypatch):
    """An answer that was broken off waits for nobody: its connection would count for ever."""
    monkeypatch.setattr(door, "STALLED_SECONDS", 0.3)
    monkeypatch.setattr(serving, "TICK_SECONDS", 0.1)

    async def broken_off(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(32 << 20), "more_body": True})

    async def visit(listener):
        _, _, writer = await request(listener, "/", until=b"\r\n\r\n")
        while listener._server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.05)
        writer.close()

    serve(visit, Listener(broken_off, "127.0.0.1:0", KEY))


def test_a_cancelled_listener_leaves_nothing_open():
    """A daemon whose other half fails neither listens nor streams on."""

    async def main():
        listener = Listener(APP, "127.0.0.1:0", KEY)
        [address] = listener.addresses
        running = asyncio.create_task(listener.run())
        _, reader, writer = await request(listener, "/endless", until=b"heartbeat\n\n")
        running.cancel()
        await asyncio.wait([running])
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
        writer.close()
        return address, running.cancelled()

    address, cancelled = asyncio.run(main())
    assert cancelled
    [again] = bind(address, KEY)
    again.close()


def test_signals_stay_the_daemons():
    """Neither while it serves nor afterwards is a handler replaced."""
    signals = (signal.SIGINT, signal.SIGTERM)
    seen = []

    async def visit(listener):
        _, _, writer = await request(listener, "/hello")
        writer.close()
        seen.append([signal.getsignal(number) for number in signals])

    before = [signal.getsignal(number) for number in signals]
    serve(visit, Listener(APP, "127.0.0.1:0", KEY))
    # asyncio.run has its own handler of SIGINT while it runs, so only SIGTERM can be compared then.
    assert seen[0][1] == before[1]
    assert [signal.getsignal(number) for number in signals] == before


def test_a_request_that_fails_is_logged_without_its_query():
    """The one who asks gets 500, the log gets the reason, and a token in the address goes nowhere."""

    async def visit(listener):
        with capture_logs() as logs:
            answer, _, writer = await request(listener, "/fail?token=s3cret")
            writer.close()
        assert answer.startswith("HTTP/1.1 500")
        assert [(entry["event"], entry["path"]) for entry in logs] == [("request_failed", "/fail")]
        assert "s3cret" not in str(logs)

    serve(visit, Listener(APP, "127.0.0.1:0", KEY))


def test_a_port_in_use_is_one_sentence():
    """It names the address and the key to change."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UsageError) as refusal:
            Listener(APP, address, KEY)
    assert str(refusal.value) == (
        f"Cannot listen on {address}: the port is already in use: stop what uses it, or choose another "
        "with `exporters.prometheus.listen`."
    )


def test_two_listeners_cannot_share_a_port():
    """Found when the second is made, before either runs."""
    first = bind("127.0.0.1:0", KEY)
    port = first[0].getsockname()[1]
    with pytest.raises(UsageError, match="already in use"):
        bind(f"127.0.0.1:{port}", KEY)
    first[0].close()


@pytest.mark.parametrize(
    ("listen", "what"),
    [("203.0.113.1:18780", "has no such address"), ("no-such-host.invalid:18780", "no such host")],
)
def test_an_address_that_is_not_here_is_one_sentence(listen, what):
    """Also with the key to change."""
    with pytest.raises(UsageError, match=what) as refusal:
        bind(listen, KEY)
    assert listen in str(refusal.value)
    assert KEY in str(refusal.value)


def test_a_name_is_every_address_it_stands_for(monkeypatch):
    """All of them on one port, so that whoever resolves the name arrives, and only those that exist."""
    addresses = ("127.0.0.1", "203.0.113.1", "127.0.0.2")
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
    bound = bind("vitals.internal:0", KEY)
    hosts, ports = zip(*(sock.getsockname() for sock in bound), strict=True)
    for sock in bound:
        sock.close()
    assert hosts == ("127.0.0.1", "127.0.0.2")
    assert len(set(ports)) == 1


@pytest.mark.parametrize("listen", [":0", "0.0.0.0:0"])
def test_every_address_is_reached_over_ipv4(listen):
    """The form without a host takes both families with one socket."""
    [bound] = bind(listen, KEY)
    with socket.create_connection(("127.0.0.1", bound.getsockname()[1])) as client:
        assert client.getpeername()[1] == bound.getsockname()[1]
    bound.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this kernel has no IPv6")
def test_ipv6_addresses_are_written_in_brackets():
    """In the setting and in what is printed."""

    async def visit(listener):
        [address] = listener.addresses
        assert address.startswith("[::1]:")
        answer, _, writer = await request(listener, "/hello")
        writer.close()
        assert answer.endswith("hello")

    serve(visit, Listener(APP, "[::1]:0", KEY))
