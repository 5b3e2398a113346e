"""A control port on a real socket, over captures that the test moves on, for our own commands to ask."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from support.captures import FakeCaptures
from support.views import FixedView
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.serve import Listener

TOKEN = "s3cret"


class Desk:
    """Captures, and how a command gets at them."""

    def __init__(self, captures: FakeCaptures, address: str, folder: Path, requests: list[str]) -> None:
        self.captures = captures
        self.requests = requests
        self.address = address
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN)
        self.options = [f"--control-listen={address}"]
        self.environment = {
            "VITALSD__EXPORTERS__CONTROL__TOKEN_FILE": str(self.token_file),
            "VITALSD__STORAGE__DIR": str(folder / "storage"),
        }


@contextlib.contextmanager
def desk(folder: Path, captures: FakeCaptures | None = None) -> Iterator[Desk]:
    """It listens until the end, in a thread of its own."""
    captures = captures if captures is not None else FakeCaptures()
    app = control_app(FixedView(captures=captures), Token(TOKEN), "127.0.0.1")
    requests: list[str] = []

    async def written_down(scope: Scope, receive: Receive, send: Send) -> None:
        requests.append(f"{scope['method']} {scope['path']}")
        await app(scope, receive, send)

    listener = Listener(written_down, "127.0.0.1:0", "exporters.control.listen")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(listener.run(),))
    thread.start()
    try:
        with capture_logs():  # else they would be on our standard output
            yield Desk(captures, listener.addresses[0], folder, requests)
    finally:
        loop.call_soon_threadsafe(listener.stop)
        thread.join()
        loop.close()
