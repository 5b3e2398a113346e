"""
The connections of one listener: how many there may be, and how long each may take for what.

Whoever is slow, silent or many must not keep out who asks and goes, such as Prometheus. So a connection on which
nothing is being answered gives its place to a new one, first the one that was of use longest ago; and an answer
that its client does not take gives way to another. What takes too long ends in any case: a handshake, a request
that does not become whole, an answer that is not taken. One look at each connection every two seconds, and some
10 us for each request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from vitalsd_exporters.web.pieces import STALLED_SECONDS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any

    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["AT_ONCE", "PLACES", "UNTAKEN", "Door"]

PLACES = 192
"""Connections at a time, some 2 MiB of memory. Two Prometheus, a load balancer and some people need ten."""
MOST_PLACES = 2 * PLACES
"""While all of them are being answered, which soon ends."""
AT_ONCE = PLACES // 4
"""Connections that are accepted in one turn of the loop: what has come with one is read three turns later."""
UNTAKEN = 64
"""Answers that may wait for clients that do not take them: some 10 MiB."""
SILENT_SECONDS = 5.0
"""What a client may take for a handshake, and then for each request from its first byte to its last."""
SLOW_BYTES = 16 * 1024
"""Who takes less in STALLED_SECONDS takes nothing."""


class Door:
    """Those who are in."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] | None) -> None:
        self._tls = tls
        """Asked anew for each connection: certificates are replaced."""
        self._here: set[_Guest | _Handshake] = set()

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        """For uvicorn, which asks for one for each connection."""
        guest = _Guest(self, config, server_state, app_state, _loop)
        return guest if self._tls is None else _Handshake(self, guest, self._tls)

    def __len__(self) -> int:
        return len(self._here)

    def enter(self, newcomer: _Guest | _Handshake) -> None:
        """One more, and one less where there was no place."""
        if len(self) >= PLACES:
            idle = (each for each in self._here if not each.is_answering)
            goes = min(idle, key=lambda each: each.useful_at, default=None) or self._least_taking()
            self._drop(goes)
            if goes is None and len(self) >= MOST_PLACES:
                newcomer.abort()
                return
        self._here.add(newcomer)

    def leave(self, goer: _Guest | _Handshake) -> None:
        """Its place is free."""
        self._here.discard(goer)

    def relieve(self) -> None:
        """End one answer that is not taken, where there are too many of these."""
        if sum(each.untaken_since is not None for each in self._here) > UNTAKEN:
            self._drop(self._least_taking())

    def look(self) -> None:
        """End what takes too long."""
        now = asyncio.get_running_loop().time()
        for each in list(self._here):
            if each.is_overdue(now):
                self._drop(each)

    def cut(self) -> None:
        """End everything."""
        for each in list(self._here):
            self._drop(each)

    def _least_taking(self) -> _Guest | _Handshake | None:
        """Whose client has left its answer untaken for longest."""
        stuck = (each for each in self._here if each.untaken_since is not None)
        return min(stuck, key=lambda each: each.untaken_since or 0.0, default=None)

    def _drop(self, each: _Guest | _Handshake | None) -> None:
        if each is not None:
            self.leave(each)
            each.abort()


class _Handshake(asyncio.Protocol):
    """A connection that is not encrypted yet."""

    is_answering = False
    untaken_since: float | None = None

    def __init__(self, door: Door, guest: _Guest, tls: Callable[[], ssl.SSLContext]) -> None:
        self._door = door
        self._guest = guest
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._shaking: asyncio.Task[None] | None = None
        self.useful_at = asyncio.get_running_loop().time()

    def is_overdue(self, now: float) -> bool:
        """Whether it has taken too long."""
        return now - self.useful_at > SILENT_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.pause_reading()  # what is read belongs to the handshake
        self._door.enter(self)
        if transport.is_closing():  # there was no room
            return
        self._shaking = asyncio.get_running_loop().create_task(self._shake(transport))

    async def _shake(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        timeout_seconds = 2 * SILENT_SECONDS  # the door is quicker
        try:
            secured = await loop.start_tls(
                transport, self._guest, self._tls(), server_side=True, ssl_handshake_timeout=timeout_seconds
            )
        except OSError:  # not a client of TLS, or one that does not trust us
            secured = None
        finally:
            self._door.leave(self)
        if secured is None or secured.is_closing():
            transport.abort()
        else:
            self._guest.connection_made(secured)

    def abort(self) -> None:
        """End it."""
        if self._shaking is not None:
            self._shaking.cancel()
        if self._transport is not None:
            self._transport.abort()


class _Guest(H11Protocol):
    """A connection that may ask."""

    def __init__(
        self,
        door: Door,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self._early = b""
        """What came before `connection_made`: asyncio hands on what follows a handshake in the same packet."""
        self._is_met = False
        self._untaken: tuple[int, float] | None = None
        """Bytes that wait for its client, and since when it has taken none of them."""
        self.useful_at = self.loop.time()
        """When it came, or was answered last."""
        self._asking_since: float | None = self.useful_at

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being made, or much of it waits for its client."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and (not cycle.response_complete or self.flow.write_paused)

    @property
    def untaken_since(self) -> float | None:
        """Since when its client has not taken what waits for it; None where it does, or nothing waits."""
        return self._untaken[1] if self._untaken is not None else None

    def is_overdue(self, now: float) -> bool:
        """Whether its client has taken too long, to ask or to take the answer."""
        if self._is_untaken(now):
            return True
        is_asked = not self.is_answering and not self.transport.is_closing()
        return is_asked and self._asking_since is not None and now - self._asking_since > SILENT_SECONDS

    def _is_untaken(self, now: float) -> bool:
        waiting = self.transport.get_write_buffer_size()
        if not waiting or not (self.flow.write_paused or self.transport.is_closing()):
            self._untaken = None
        elif self._untaken is None or waiting <= self._untaken[0] - SLOW_BYTES:
            self._untaken = waiting, now
        return self._untaken is not None and now - self._untaken[1] > STALLED_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_met = True
        self._door.enter(self)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        if self._is_met:
            super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._untaken = self.transport.get_write_buffer_size(), self.loop.time()
        self._door.relieve()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._untaken = None

    def data_received(self, data: bytes) -> None:
        if not self._is_met:
            self._early += data
            return
        now, before = self.loop.time(), self.cycle
        super().data_received(data)
        if self.is_answering and self.conn.their_state is h11.DONE and self.conn.trailing_data[0]:
            self.cycle.keep_alive = False  # it asks on without waiting for answers: one is enough
        if self.cycle is not before:
            self._asking_since = None
        elif not self.is_answering and self._asking_since is None:
            self._asking_since = now

    def on_response_complete(self) -> None:
        self.useful_at = self.loop.time()
        super().on_response_complete()

    def abort(self) -> None:
        """End it."""
        self.transport.abort()
