"""
One message to whoever is pushed to: a connection of its own, one request, one answer, and it is closed.

Spoken with h11, which the agent's own ports have in memory anyway, on the agent's loop: a library for HTTP
clients would be one more thing there. The caller bounds the time; what is read of an answer is bounded here. No
proxy is asked and no redirect is followed: a secret goes where the configuration says.
"""

from __future__ import annotations

import asyncio

import h11
import msgspec

from vitalsd import __version__
from vitalsd_exporters.push.contact import Contact, Headers, Place

__all__ = ["JSON", "OWN_HEADERS", "Answer", "post"]

PIECE_BYTES = 4096
MOST_BYTES = 2048
"""Of what is said in an answer: some sentences."""
JSON: Headers = (("Content-Type", "application/json"),)
OWN_HEADERS = ("host", "user-agent", "content-length", "content-type", "content-encoding", "connection")
"""What a request says of itself."""


class Answer(msgspec.Struct, frozen=True):
    """What it has said."""

    status: int
    body: bytes
    retry_after: str | None = None
    """Its `Retry-After`, as it stands there."""

    @property
    def text(self) -> str:
        """The body on one line, as far as it can be read by people."""
        text = self.body.decode("utf-8", "replace")
        return " ".join("".join(each if each.isprintable() else " " for each in text).split())


async def post(place: Place, contact: Contact, body: bytes, headers: Headers = JSON) -> Answer:
    """Post it; `headers` say what it is. Raises OSError, h11.ProtocolError."""
    reader, writer = await _connected(place, contact)
    try:
        connection = h11.Connection(h11.CLIENT)
        head = [
            ("Host", place.named),
            ("User-Agent", f"vitalsd/{__version__}"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *headers,
            *contact.headers,
        ]
        request = h11.Request(method="POST", target=place.path, headers=head)
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _answer(connection, reader)
    finally:
        writer.transport.abort()


async def _connected(place: Place, contact: Contact) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of its addresses that takes one."""
    refused: OSError | None = None
    for address in contact.addresses:
        try:
            return await asyncio.open_connection(
                address,
                place.port,
                limit=PIECE_BYTES,
                ssl=contact.tls,
                server_hostname=place.host if contact.tls is not None else None,
            )
        except OSError as error:
            refused = error
    raise refused or OSError("the host has no address")


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    status, body, retry_after = 0, bytearray(), None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(PIECE_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
            retry_after = next(
                (value.decode("latin-1") for name, value in event.headers if name == b"retry-after"), None
            )
        elif isinstance(event, h11.Data):
            body += event.data[: MOST_BYTES - len(body)]
        if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or len(body) >= MOST_BYTES:
            return Answer(status, bytes(body), retry_after)
