"""
An answer that is sent piece by piece, as fast as its client takes them, until the client leaves or takes none.

What waits for one client is a piece or two, whatever the answer is: what is to come is not made before. Starlette
notices that a client left by a backend of anyio, which is 2.6 MiB for waiting on two things at once; a TaskGroup
does as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["PiecedAnswer"]

PIECE_BYTES = 64 * 1024
"""As much as a transport takes before it asks to wait."""
STALLED_SECONDS = 10.0
"""A client that takes nothing for so long, such as one that is stopped, is cut off, and may ask again."""


class PiecedAnswer(StreamingResponse):
    """What comes out of an iterator, in pieces."""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send and, meanwhile, wait for the client to leave."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send(send))
            leaving = tasks.create_task(self.listen_for_disconnect(receive))
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            leaving.cancel()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for part in self.body_iterator:
                assert isinstance(part, bytes)
                for at in range(0, len(part), PIECE_BYTES):
                    async with asyncio.timeout(STALLED_SECONDS):
                        piece = part[at : at + PIECE_BYTES]
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            async with asyncio.timeout(STALLED_SECONDS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # it is not complete, so the connection ends
