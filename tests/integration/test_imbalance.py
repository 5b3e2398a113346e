"""
A real pool of which one worker has all the work, since its clients stay with the one that took them first.

Uses app_works.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import http.client
import sys
import threading
from typing import TYPE_CHECKING

from bench.harness import free_ports
from support.ended import serving
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON = {"VITALSD__WORKERS__IMBALANCE_WINDOW": "5s", "VITALSD__SAMPLING__INTERVAL": "1s"}


@contextlib.contextmanager
def staying(port: int) -> Iterator[None]:
    """A client that never leaves its connection, and asks again as soon as it is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            connection.request("GET", "/?seconds=0.05")
            connection.getresponse().read()

    wait_for("the service", lambda: _answers(connection))
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
        connection.close()


def _answers(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/?seconds=0")
        return connection.getresponse().read() == b"ok"
    except OSError:
        connection.close()
        return False


def test_one_worker_has_all_the_work(tmp_path: Path) -> None:
    """It is told which, with its share, and that the others rest."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "uvicorn", "app_works:app", "--workers=3", f"--port={port}"]
    with serving(tmp_path, command, more=SOON) as watched:
        slots = watched.settle(3)
        with staying(port):
            found = watched.incident("imbalance")
    assert found["worker"] in slots
    assert found["severity"] == "warning"
    assert found["evidence"]["share"] > 0.8
    assert found["evidence"]["fair_share"] == round(1 / 3, 3)
    shares = found["evidence"]["busy_shares"]
    assert max(shares, key=shares.__getitem__) == found["worker"]
