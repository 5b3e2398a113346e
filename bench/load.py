"""
A cheap closed-loop load: a few keep-alive connections, each with one request under way, in its own process.

It parses only the first answer of a connection and afterwards counts bytes, so it needs a small part of the CPU
time of the Python service that it keeps saturated. Latency is what each request took, of those of one round.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bench.figures import quantile
from bench.harness import ROOT

__all__ = ["Driven", "Load", "load"]

CONNECTIONS = 4
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Driven(NamedTuple):
    """What a service did while it was kept busy."""

    requests: int
    seconds: float
    p99_seconds: float
    """Of the time from a request to the end of its answer."""


@dataclass(frozen=True)
class Load:
    """The process that makes requests."""

    child: subprocess.Popen[str]

    def drive(self, port: int, seconds: float) -> Driven:
        """Keep a service busy for so long."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{port} {seconds}\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError("the load ended")
        return Driven(*json.loads(line))


@contextlib.contextmanager
def load(pinned: set[int]) -> Iterator[Load]:
    """A load that runs on these cores."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        os.sched_setaffinity(child.pid, pinned)
        yield Load(child)
    finally:
        child.communicate()  # its stdin ends, and so does it


class Client:
    """The connections to one service, kept open from one round to the next."""

    def __init__(self, port: int) -> None:
        self._connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
        self._size = max(_first_answer(connection) for connection in self._connections)
        self._by_fd = {connection.fileno(): connection for connection in self._connections}
        self._poll = select.epoll()
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)

    def drive(self, seconds: float) -> Driven:
        """Keep it busy; at the end no request is under way."""
        by_fd, size = self._by_fd, self._size
        missing = dict.fromkeys(by_fd, size)
        began = time.monotonic()
        deadline = began + seconds
        for connection in self._connections:
            connection.sendall(REQUEST)
        sent_at = dict.fromkeys(by_fd, began)
        took: list[float] = []
        under_way = len(by_fd)
        while under_way:
            for fd, _ in self._poll.poll(10):
                got = len(by_fd[fd].recv(65536))
                if not got:
                    raise ConnectionError("the service closed a connection")
                missing[fd] -= got
                if missing[fd]:
                    continue
                now = time.monotonic()
                took.append(now - sent_at[fd])
                if now < deadline:
                    missing[fd], sent_at[fd] = size, now
                    by_fd[fd].sendall(REQUEST)
                else:
                    under_way -= 1
        return Driven(len(took), time.monotonic() - began, quantile(took, 0.99))


def _first_answer(connection: socket.socket) -> int:
    connection.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    expected = len(head) + 4 + int(lengths[0].split(b":")[1])
    missing = expected - len(head) - 4 - len(body)
    while missing > 0:
        missing -= len(connection.recv(65536))
    return expected


def _serve() -> None:
    clients: dict[str, Client] = {}
    for line in sys.stdin:
        port, seconds = line.split()
        client = clients.get(port) or clients.setdefault(port, Client(int(port)))
        print(json.dumps(client.drive(float(seconds))), flush=True)


if __name__ == "__main__":
    _serve()
