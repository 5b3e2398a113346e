"""
What clients see of a worker that is asked to end as remedy asks it: requests that fail, and those sent again.

Four clients ask one request after the other, each on a connection of its own or on one that is kept. Meanwhile
the oldest worker is sent SIGTERM, again and again, and its supervisor replaces it. A request that fails on a
connection that was used before is sent again, as clients do: a server may close those between two requests. Of
those that failed it is told how many were closed before a byte of an answer, upon which proxies try another one.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil

from bench.figures import Bar, Figure
from bench.harness import free_port, wait_for

__all__ = ["BARS", "SHOWS", "run"]

SHOWS = "requests that fail while workers are asked to end, one after the other"
TESTS = Path(__file__).parents[1] / "tests"
SERVERS = ("gunicorn sync", "gunicorn gthread", "gunicorn uvicorn", "uvicorn")
FINISH = SERVERS[:2]
"""These finish whatever they have accepted."""
BARS = {f"{name}: requests that failed": Bar(0) for name in FINISH}
CLIENTS = 4
ROUNDS, QUICK_ROUNDS = 8, 1
BETWEEN_SECONDS = 2.5
GONE = (OSError, http.client.HTTPException)


class Clients:
    """All of them, and what became of their requests."""

    def __init__(self, port: int, *, kept: bool) -> None:
        self._port, self._kept = port, kept
        self.answered = self.failed = self.again = self.unanswered = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._over.wait(0.002):
            fresh = connection is None
            answer: http.client.HTTPResponse | None = None
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                self.answered += 1
                closes = answer.will_close or not self._kept
            except GONE as error:
                closes = True
                self.failed += fresh
                self.unanswered += fresh and answer is None and isinstance(error, ConnectionError)
                self.again += not fresh
            if closes:
                connection.close()
                connection = None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def run(quick: bool) -> list[Figure]:
    """Each server, with both sorts of clients."""
    sys.path.append(str(TESTS))
    figures: list[Figure] = []
    for name in SERVERS:
        counts = [_serve(name, QUICK_ROUNDS if quick else ROUNDS, kept=kept) for kept in (False, True)]
        failed = f"{name}: requests that failed"
        figures += [
            Figure(failed, sum(each.failed for each in counts), "", BARS.get(failed)),
            Figure(f"{name}: of these before a byte of an answer", sum(each.unanswered for each in counts), ""),
            Figure(f"{name}: requests sent again", sum(each.again for each in counts), ""),
            Figure(f"{name}: requests answered", sum(each.answered for each in counts), ""),
        ]
    return figures


def _serve(name: str, rounds: int, *, kept: bool) -> Clients:
    from support.servers import SERVERS as KNOWN

    server = next(each for each in KNOWN if each.name == name)
    port = free_port()
    with _running(server.at(port)) as process:
        wait_for(lambda: _answers(port), "the server to answer")
        with Clients(port, kept=kept) as clients:
            for _ in range(rounds):
                time.sleep(BETWEEN_SECONDS)
                _end_oldest(process)
            time.sleep(BETWEEN_SECONDS)
    return clients


def _end_oldest(process: psutil.Process) -> None:
    """As remedy does it."""
    workers = [each for each in process.children() if "resource_tracker" not in " ".join(each.cmdline())]
    oldest = min(workers, key=lambda each: each.create_time())
    oldest.send_signal(signal.SIGTERM)
    wait_for(lambda: not oldest.is_running() or oldest.status() == psutil.STATUS_ZOMBIE, "the worker to end")


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[psutil.Process]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = psutil.Popen(command, cwd=TESTS / "targets", env={**os.environ, "PATH": path}, **silent)
    try:
        yield process
    finally:
        below = process.children(recursive=True)
        process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(10)
        for each in (*below, process):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def _answers(port: int) -> bool:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except GONE:
            return False
