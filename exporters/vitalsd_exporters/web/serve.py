"""
Runs an app on an address inside the daemon's own loop: uvicorn, without what it does to a process.

No signal handlers, no logging of its own, and one wake-up per second where uvicorn has ten. An app that
fails answers 500, is logged, and harms nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from uvicorn.config import Config
from uvicorn.server import Server

from vitalsd_exporters.web.sockets import bind

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Listener"]

# All that uvicorn's other modules ask the package for, which is not run for that.
vars(uvicorn)["Config"] = Config
log = structlog.get_logger(__name__)

CONNECTIONS = 64
"""Beyond it the answer is 503. Two Prometheus, a load balancer and some people need ten."""
KEEP_ALIVE_SECONDS = 20
"""Longer than the usual scrape interval of 15 s."""
SILENT_SECONDS = 5.0
"""What a client may take from connecting to the end of its first request."""
TICK_SECONDS = 2.0
"""How often uvicorn renews the Date header."""
GRACE_SECONDS = 0.5
"""What an answer in progress may still take at the end; a stream would take for ever."""


class Listener:
    """One app on one address, which is taken as soon as the object exists."""

    def __init__(self, app: ASGIApp, listen: str, key: str, tls: ssl.SSLContext | None = None) -> None:
        self._sockets = bind(listen, key)
        config = Config(
            _Logged(app),
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            # Connections are cut before; this only bounds what is left when even that hangs.
            timeout_graceful_shutdown=1,
        )
        config.load()
        config.ssl = tls
        self._server = _Server(config)

    @property
    def addresses(self) -> tuple[str, ...]:
        """What is really listened on, with the port that the kernel chose for port 0."""
        return tuple(_address(bound) for bound in self._sockets)

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled, when nothing more is answered."""
        try:
            await self._server.serve(self._sockets)
        finally:
            self._server.close()
            self.close()

    def close(self) -> None:
        """Give the address back; for one that has never run, or runs no more."""
        for bound in self._sockets:
            bound.close()

    def stop(self) -> None:
        """Take no more requests, let those in progress end, and have `run` return within a second."""
        self._server.should_exit = True
        self._server.stopping.set()


class _Server(Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()
        self._since: dict[Any, float] = {}
        self._left: dict[Any, tuple[int, float]] = {}
        """Connections that are being closed: bytes that wait for their clients, and since when it is so many."""
        # uvicorn sets it only when it starts, and `run` may be cancelled before.
        self.servers = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: signals are the daemon's."""
        yield

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            self._drop_silent()
            self._drop_stalled()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self.stopping.wait()

    def _drop_silent(self) -> None:
        """Close connections that never say anything, or a port scan would take every place there is."""
        now = asyncio.get_running_loop().time()
        here = set(self.server_state.connections)
        self._since = {connection: self._since.get(connection, now) for connection in here}
        for connection, since in self._since.items():
            if getattr(connection, "cycle", None) is None and now - since > SILENT_SECONDS:
                connection.transport.abort()

    def _drop_stalled(self) -> None:
        """Cut those that were closed and whose clients do not take the rest: it would wait for them for ever."""
        now = asyncio.get_running_loop().time()
        left = {}
        for connection in list(self.server_state.connections):
            if connection.transport.is_closing():
                size = connection.transport.get_write_buffer_size()
                known = self._left.get(connection)
                left[connection] = known if known is not None and known[0] == size else (size, now)
                if now - left[connection][1] > SILENT_SECONDS:
                    connection.transport.abort()
        self._left = left

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cutting = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.cut)
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    def close(self) -> None:
        """Take and serve nothing more, whatever state this is in."""
        for server in self.servers:
            server.close()
        self.cut()

    def cut(self) -> None:
        """Drop every connection there is."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Logged:
    """uvicorn's log is off, so a failure is told here, once, without the query, which may hold the token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception:
            log.exception("request_failed", method=scope.get("method"), path=scope.get("path"))
            raise


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
