"""
Runs an app on an address inside the daemon's own loop: uvicorn, without what it does to a process.

No signal handlers, no logging of its own, and one wake-up per second where uvicorn has ten. An app that
fails answers 500, is logged, and harms nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog
import uvicorn
from uvicorn.config import Config
from uvicorn.server import Server

from vitalsd.beat import next_beat
from vitalsd_exporters.web.door import AT_ONCE, Door
from vitalsd_exporters.web.sockets import BACKLOG, bind

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from vitalsd_exporters.web.tls import Certificates

__all__ = ["Listener"]

# All that uvicorn's other modules ask the package for, which is not run for that.
vars(uvicorn)["Config"] = Config
log = structlog.get_logger(__name__)

KEEP_ALIVE_SECONDS = 20
"""Longer than the usual scrape interval of 15 s."""
TICK_SECONDS = 2.0
"""How often uvicorn renews the Date header, and connections are looked at."""
GRACE_SECONDS = 0.5
"""What an answer in progress may still take at the end; a stream would take for ever."""


class Listener:
    """One app on one address, which is taken as soon as the object exists."""

    def __init__(self, app: ASGIApp, listen: str, key: str, tls: Certificates | None = None) -> None:
        self._sockets = bind(listen, key)
        self._tls = tls
        door = Door(tls.context if tls is not None else None)
        config = Config(
            _Logged(app),
            http=door.protocol,  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=AT_ONCE,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            # Connections are cut before; this only bounds what is left when even that hangs.
            timeout_graceful_shutdown=1,
        )
        config.load()
        self._server = _Server(config, door)

    @property
    def addresses(self) -> tuple[str, ...]:
        """What is really listened on, with the port that the kernel chose for port 0."""
        return tuple(_address(bound) for bound in self._sockets)

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled, when nothing more is answered."""
        following = asyncio.create_task(self._tls.follow()) if self._tls is not None else None
        try:
            await self._server.serve(self._sockets)
        finally:
            if following is not None:
                following.cancel()
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
    def __init__(self, config: Config, door: Door) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()
        self._door = door
        # uvicorn sets it only when it starts, and `run` may be cancelled before.
        self.servers = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: signals are the daemon's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for bound in sockets or ():
            bound.listen(BACKLOG)  # so many wait in the kernel, however few are accepted at once

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            self._door.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_beat(asyncio.get_running_loop().time(), TICK_SECONDS)):
                    await self.stopping.wait()

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
        self._door.cut()


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
