"""One client in its own process that asks a service one request after the other, and the longest it has waited."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.harness import ROOT

__all__ = ["Waits", "waits"]

PAUSE_SECONDS = 0.001
"""Between two: this client is to find what is late, and not to make it so."""


@dataclass(frozen=True)
class Waits:
    """The process that asks."""

    child: subprocess.Popen[str]

    def longest_seconds(self) -> float:
        """The longest of the requests that were answered since this was asked last."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())


@contextlib.contextmanager
def waits(port: int, pinned: set[int]) -> Iterator[Waits]:
    """A client of the service at this port, on these cores."""
    command = [sys.executable, "-m", "bench.waits", str(port)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(child.pid, pinned)
        yield Waits(child)
    finally:
        child.communicate()  # its stdin ends, and so does it


class _Client(threading.Thread):
    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def run(self) -> None:
        while True:
            began = time.perf_counter()
            self._connection.request("GET", "/")
            self._connection.getresponse().read()
            self.longest = max(self.longest, time.perf_counter() - began)
            time.sleep(PAUSE_SECONDS)


def _ask() -> None:
    client = _Client(int(sys.argv[1]))
    client.start()
    for _ in sys.stdin:
        if not client.is_alive():
            raise RuntimeError("a request has failed")
        print(client.longest, flush=True)
        client.longest = 0.0


if __name__ == "__main__":
    _ask()
