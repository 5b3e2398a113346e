"""Many who listen to the stream, and some who do not read it: one costs the agent hardly more than another."""

import asyncio
import contextlib
import http.client
import socket
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec.structs import replace
from support.crowd import crowd
from support.views import SHOP, WATCHED, FixedView
from support.waiting import wait_for

from vitalsd.model import WorkerKey
from vitalsd_exporters.web import door, pieces, serve, slices, stream
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.slices import encoded
from vitalsd_exporters.web.targetbook import TargetBook
from vitalsd_exporters.web.targets import targets_as_json

WORKERS = 100


@pytest.fixture
def view():
    """One service of many workers, which counts how often it is read."""
    workers = tuple(replace(WATCHED, slot=str(slot), key=WorkerKey(slot + 1, 1)) for slot in range(WORKERS))

    class Counting(FixedView):
        reads = 0

        def targets(self):
            self.reads += 1
            return self.all_targets

    return Counting(all_targets=(replace(SHOP, workers=workers),))


async def turns_of(work):
    """How many turns others have while this goes on."""
    turns, ended = 0, asyncio.Event()

    async def others():
        nonlocal turns
        while not ended.is_set():
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await asyncio.sleep(0)
    await work
    ended.set()
    await beside
    return turns


def test_targets_are_made_once_for_all_who_listen(view):
    """Five people who look at five hundred workers would have the agent do nothing else."""
    book = TargetBook(view)

    async def listen():
        return await asyncio.gather(*(book.encoded(60.0) for _ in range(5)))

    told = asyncio.run(listen())
    assert view.reads == 1
    assert all(each is told[0] for each in told)
    assert msgspec.json.decode(told[0]) == {"targets": targets_as_json(view)}


def test_who_asks_is_told_of_now(view, monkeypatch):
    """A request is answered with nothing that was read before it; those that come meanwhile share the next."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    book = TargetBook(view)

    async def ask():
        first = await book.encoded()
        view.all_targets = (*view.all_targets, replace(SHOP, name="new"))
        told = await asyncio.gather(*(book.encoded() for _ in range(5)))
        return first, told

    first, told = asyncio.run(ask())
    assert len(msgspec.json.decode(first)["targets"]) == 1
    assert {len(msgspec.json.decode(each)["targets"]) for each in told} == {2}
    assert view.reads == 3


def test_targets_are_made_in_slices(view, monkeypatch):
    """Health and scrapes have their turn while they are."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    assert asyncio.run(turns_of(TargetBook(view).encoded())) >= WORKERS


def test_lists_are_made_in_slices(monkeypatch):
    """And in parts, none of which is all of it."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(slices, "PART_BYTES", 100)
    parts = []

    async def read():
        parts.extend([part async for part in encoded(range(1000), as_json)])

    assert asyncio.run(turns_of(read())) >= 1000
    assert max(map(len, parts)) < 200
    assert msgspec.json.decode(b"[" + b"".join(parts) + b"]") == list(range(1000))


def connect(served, path="/api/v1/stream"):
    """Ask for it, and take nothing."""
    parts = urlsplit(served.origin)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect((parts.hostname, parts.port))
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {served.token}\r\n"
    connection.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    return connection


def answered(served, path):
    """Status and body of one more stream; no body of one that begins."""
    with connect(served, path) as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, b"" if answer.status == 200 else answer.read()


def test_there_are_so_many_streams_and_no_more(monkeypatch):
    """Of both sorts together: requests that end find a connection, and whoever is one too many is told so."""
    monkeypatch.setattr(stream, "MOST_STREAMS", 2)
    with crowd(4, 0, every_seconds=None) as served, contextlib.ExitStack() as stack:
        for path in ("/api/v1/stream", "/api/v1/stream?view=page"):
            first = stack.enter_context(connect(served, path))
            assert first.recv(12) == b"HTTP/1.1 200"
        for path in ("/api/v1/stream", "/api/v1/stream?view=page"):
            status, body = answered(served, path)
            assert status == 503
            assert b"2 streams are open" in body
        stack.close()
        wait_for("a place", lambda: answered(served, "/api/v1/stream")[0] == 200)


def test_who_takes_nothing_is_cut_off(monkeypatch):
    """A `vitalsd top` under Ctrl-Z has no place for long."""
    monkeypatch.setattr(stream, "MOST_STREAMS", 3)
    monkeypatch.setattr(pieces, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(door, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(serve, "TICK_SECONDS", 0.2)
    with crowd(2000, 0, every_seconds=None) as served, contextlib.ExitStack() as stack:
        stopped = [stack.enter_context(connect(served)) for _ in range(3)]
        for each in stopped:
            assert each.recv(12) == b"HTTP/1.1 200"
        wait_for("a place", lambda: answered(served, "/api/v1/stream")[0] == 200, 60)
