"""Clients of a service under test: they ask until it is over, and what fails is kept."""

from __future__ import annotations

import contextlib
import http.client
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["GONE", "Load"]

GONE = (OSError, http.client.HTTPException)
PATIENCE_SECONDS = 30
AGAIN_SECONDS = 0.01
"""After what has failed."""


class Load:
    """
    One client for each path, which asks one request after the other.

    Those of `kept` do so on a connection each that stays, those of `fresh` on a new one each time. An answer that
    is not `right` has failed.
    """

    def __init__(
        self,
        port: int,
        *,
        kept: Sequence[str] = (),
        fresh: Sequence[str] = (),
        right: Callable[[bytes], bool] = lambda _body: True,
        pause_seconds: float = 0.0,
    ) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._port, self._right, self._pause_seconds = port, right, pause_seconds
        self._over = threading.Event()
        clients = [(path, True) for path in kept] + [(path, False) for path in fresh]
        self._threads = [threading.Thread(target=self._run, args=client, daemon=True) for client in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_ending: object) -> None:
        self.end()

    def end(self) -> None:
        """The last requests are answered."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _run(self, path: str, stays: bool) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
            with contextlib.closing(connection):
                self._ask(connection, path)
                while stays and connection.sock is not None and not self._over.is_set():
                    self._ask(connection, path)

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> None:
        try:
            connection.request("GET", path)
            body = connection.getresponse().read()
        except GONE as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            connection.close()
            self._over.wait(AGAIN_SECONDS)
            return
        if not self._right(body):
            self.failed.append(f"another answer: {body[:100]!r}")
        self.answered += 1
        if self._pause_seconds:
            self._over.wait(self._pause_seconds)
