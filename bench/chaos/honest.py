"""Who asks the agent as it is to be asked while others do not, and whether it gives back what it took."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from bench.chaos.scene import Scene
from bench.harness import wait_for

__all__ = ["asking", "giving_back", "scrape"]

PAUSE_SECONDS = 0.1
SLOW_SECONDS = 10.0
"""Prometheus gives up then, by default."""
MORE_FILES = 8
MORE_BYTES = 24 << 20
BACK_SECONDS = 60.0


def scrape(scene: Scene, trusted: ssl.SSLContext | None = None) -> str:
    """What Prometheus would get; empty where that is nothing."""
    address = "127.0.0.1", scene.agent.metrics_port
    connection = (
        http.client.HTTPConnection(*address, timeout=SLOW_SECONDS)
        if trusted is None
        else http.client.HTTPSConnection(*address, timeout=SLOW_SECONDS, context=trusted)
    )
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read().decode()
        return body if answer.status == 200 else ""
    return ""


@contextlib.contextmanager
def asking(scene: Scene) -> Iterator[None]:
    """Scrape, and ask the API, without a pause; what is not answered, or not whole, counts as lost."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(PAUSE_SECONDS):
            if 'vitals_worker_up{target="shop"' not in scrape(scene):
                scene.result.lost.append("a scrape is not answered")
            try:
                status, _ = scene.agent.ask("GET", "/api/v1/targets")
            except (OSError, ValueError, http.client.HTTPException):  # none, or no JSON
                status = 0
            if status != 200:
                scene.result.lost.append(f"the API does not answer: {status}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def giving_back(scene: Scene) -> Iterator[None]:
    """Descriptors and memory of the agent are afterwards about what they were; what is not counts as lost."""
    files, size = _files(scene), _bytes(scene)
    yield
    scene.mended()
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: _files(scene) <= files + MORE_FILES, "the agent to close what it opened", BACK_SECONDS)
    more = {"descriptors": _files(scene) - files - MORE_FILES, "bytes": _bytes(scene) - size - MORE_BYTES}
    scene.result.lost += [f"{count} {what} did not come back" for what, count in more.items() if count > 0]


def _files(scene: Scene) -> int:
    return len(list(Path(f"/proc/{scene.agent.pid}/fd").iterdir()))


def _bytes(scene: Scene) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{scene.agent.pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024
