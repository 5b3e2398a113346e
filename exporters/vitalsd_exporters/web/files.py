"""
A file of a capture as an answer: whole or one range of it, read in a thread, chunk by chunk.

What is in these files the service has chosen in part, and flame graphs are pages with scripts. So whatever a
browser shows of them it shows in a sandbox: a document of no origin, which cannot read this one's cookie, is
refused by `SameSite=Strict` where it goes, and whose policy lets it connect to nothing at all. Costs one chunk of
memory for each download, and a thread of the loop's own pool while it is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from vitalsd.capture.model import Artifact
    from vitalsd_exporters.state import OpenFile

__all__ = ["INLINE", "FileAnswer", "wanted_range"]

CHUNK_BYTES = 256 * 1024
STALLED_SECONDS = 60.0
"""A client that takes nothing for so long has its connection cut: there are not many."""
SCRIPTED = ("text/html", "image/svg+xml")
PLAIN = ("application/json", "text/plain")
INLINE = (*SCRIPTED, *PLAIN)
"""What a browser may show; everything else is for keeping."""
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
STILL_POLICY = f"sandbox; {NOTHING}"
SCRIPTED_POLICY = (
    f"sandbox allow-scripts; {NOTHING}; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:"
)
"""Scripts that stand in the page itself, and none from anywhere; nothing is fetched, sent or opened."""
MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}")
SHA256 = re.compile("[0-9a-f]{64}")
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


def wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """
    The first byte and the one after the last that a Range header asks for; None for all.

    What is malformed, or several ranges, is no range (RFC 9110). Raises ValueError for one that holds no byte.
    """
    found = RANGE.fullmatch(header.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        first, end = max(0, size - int(found[2])), size
    else:
        first, end = int(found[1]), size if found[2] == "" else min(size, int(found[2]) + 1)
        if found[2] != "" and int(found[2]) < first:
            return None
    if first >= size:
        raise ValueError("no byte of it")
    return first, end


class FileAnswer(Response):
    """One file, which it closes; `tell` hears at the end how many bytes were sent of how many."""

    def __init__(
        self,
        file: OpenFile,
        artifact: Artifact,
        wanted: tuple[str, str],
        tell: Callable[[int, int], None],
    ) -> None:
        """`wanted` is what the request has in Range and in If-Range."""
        self._file = file
        self._tell = tell
        tag = f'"{artifact.sha256}"' if SHA256.fullmatch(artifact.sha256) else None
        headers = {"Accept-Ranges": "bytes", **_shown(artifact.name, file.media_type)}
        if tag is not None:
            headers["ETag"] = tag
        status, self._first, self._end = 200, 0, file.size_bytes
        asked, only_if = wanted
        if asked and only_if in ("", tag):
            try:
                chosen = wanted_range(asked, file.size_bytes)
            except ValueError:
                status, self._end = 416, 0
                headers["Content-Range"] = f"bytes */{file.size_bytes}"
            else:
                if chosen is not None:
                    status = 206
                    self._first, self._end = chosen
                    headers["Content-Range"] = f"bytes {self._first}-{self._end - 1}/{file.size_bytes}"
        super().__init__(b"", status, headers)
        self.headers["Content-Length"] = str(self._end - self._first)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless only its headers are wanted or its client leaves."""
        length = self._end - self._first
        sent = 0
        leaving = asyncio.create_task(_until_left(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                length = 0
            while sent < length and not leaving.done():
                chunk = await self._read(self._first + sent, min(CHUNK_BYTES, length - sent))
                if not chunk:
                    return  # it has become shorter: what was promised cannot be kept, and the connection ends
                async with asyncio.timeout(STALLED_SECONDS):
                    more = sent + len(chunk) < length
                    await send({"type": "http.response.body", "body": chunk, "more_body": more})
                sent += len(chunk)
            if length == 0:
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            return
        finally:
            leaving.cancel()
            self._close()
            if scope["method"] != "HEAD":
                self._tell(sent, length)

    async def _read(self, offset: int, size: int) -> bytes:
        self._reading = asyncio.ensure_future(asyncio.to_thread(os.pread, self._file.descriptor, size, offset))
        return await asyncio.shield(self._reading)

    _reading: asyncio.Future[bytes] | None = None

    def _close(self) -> None:
        """Not before a thread that still reads it is done: its number could be another file's by then."""
        if self._reading is None or self._reading.done():
            os.close(self._file.descriptor)
        else:
            self._reading.add_done_callback(lambda _: os.close(self._file.descriptor))


async def _until_left(receive: Receive) -> None:
    with contextlib.suppress(RuntimeError):  # there is nothing more to be received
        while (await receive())["type"] != "http.disconnect":
            pass


def _shown(name: str, media_type: str) -> dict[str, str]:
    """How a browser is to treat it."""
    known = media_type if MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
    how = "inline" if known in INLINE else "attachment"
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return {
        "Content-Type": f"{known}; charset=utf-8" if known.startswith("text/") else known,
        "Content-Disposition": f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": SCRIPTED_POLICY if known in SCRIPTED else STILL_POLICY,
    }
