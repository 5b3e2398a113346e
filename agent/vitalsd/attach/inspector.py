"""
Node's inspector, for the one thing it is opened for: to evaluate one expression.

Everything is bounded in time and size, what comes back is data, and no domain of the protocol is enabled: so no
breakpoint, no pause, and nothing that costs the service while we are connected.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from vitalsd.attach.sockets import Address, descriptors, listening, other_end
from vitalsd.errors import VitalsdError

__all__ = ["Inspector", "InspectorError", "evaluate", "find_inspector"]

EXPRESSION = (Path(__file__).parent / "evaluated.js").read_text(encoding="utf-8").rstrip().removesuffix(";")
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 1.0
"""No longer: a service that ends while somebody is connected waits for them to hang up."""
MOST_BYTES = 65536
SESSION = re.compile(r"[0-9a-f-]{36}")


class InspectorError(VitalsdError):
    """What the inspector did not do, or not in time."""


class Inspector(msgspec.Struct, frozen=True):
    """One that is open."""

    address: Address
    inode: int
    """Of the socket that listens."""
    session: str
    """The name under which it lets one in, which nobody can guess."""


def find_inspector(process: Path, others: Container[int] = ()) -> Inspector | None:
    """That of the process at `/proc/PID`: what listens, is none of `others`, and answers as one."""
    own = descriptors(process).keys()
    if all(inode in others for inode in own):
        return None
    for inode, address in listening().items():
        if inode in own and inode not in others:
            session = _session(address)
            if session is not None:
                return Inspector(address, inode, session)
    return None


def _session(address: Address) -> str | None:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_SECONDS)
    try:
        connection.request("GET", "/json/list", headers={"Host": str(address)})
        found = str(json.loads(connection.getresponse().read(MOST_BYTES))[0]["id"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return None
    finally:
        connection.close()
    return found if SESSION.fullmatch(found) is not None else None


def evaluate(
    process: Path,
    inspector: Inspector,
    arm: str | None,
    options: dict[str, object],
    sent: Callable[[], None] = lambda: None,
) -> str | None:
    """
    Have the process at `/proc/PID` load the probe, if `arm` says where that is, and close its inspector.

    The answer is the word of `evaluated.js`; None when there is none in time: what was `sent` is done all the same
    as soon as the loop comes back. InspectorError when it was not sent.
    """
    address = inspector.address
    asked = False
    try:
        own = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
        own.settimeout(None)
        with connect(
            f"ws://{address}/{inspector.session}",
            sock=own,
            compression=None,
            proxy=None,
            open_timeout=CONNECT_SECONDS,
            close_timeout=CONNECT_SECONDS,
            max_size=MOST_BYTES,
        ) as websocket:
            given = {"arm": arm, "options": options, "connection": _their_end(process, own)}
            parameters = {
                "expression": f"({EXPRESSION})(require, {json.dumps(given)})",
                "includeCommandLineAPI": True,
                "awaitPromise": True,
                "returnByValue": True,
                "silent": True,
            }
            websocket.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}))
            sent()
            asked = True
            return _value(json.loads(websocket.recv(timeout=ANSWER_SECONDS)))
    except (OSError, WebSocketException, ValueError) as error:  # TimeoutError is one of the first
        if asked:
            return None
        raise InspectorError(f"its inspector does not let us in: {error}") from error


def _their_end(process: Path, own: socket.socket) -> dict[str, int | None]:
    """The socket by which the service holds this connection."""
    found = other_end(Address(*own.getpeername()[:2]), Address(*own.getsockname()[:2]))
    descriptor = descriptors(process).get(found) if found is not None else None
    if descriptor is None:
        raise InspectorError("its end of the connection is not to be found")
    return {"inode": found, "descriptor": descriptor}


def _value(answer: Any) -> str:
    """What it was told, be that an exception."""
    try:
        if "exceptionDetails" in answer["result"]:
            told = answer["result"]["exceptionDetails"]
            return f"failed: {told.get('exception', {}).get('description', told.get('text'))}"
        return str(answer["result"]["result"]["value"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"its inspector answers {str(answer)[:200]}") from error
