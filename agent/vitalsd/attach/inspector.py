"""
Node's inspector, for the one thing it is opened for: to evaluate one expression.

Nothing is ever answered to us, and that is on purpose: Node 20 was seen to crash when a client is killed while an
answer is on its way to it, 2 of 25 times. So the expression is a promise that nobody keeps, and hanging up is to
close the connection without a word; to be killed does the same, and was seen to do no harm at any step (0 of 150
each). What came of it is seen from outside. No domain of the protocol is enabled: no breakpoint, no pause, and
nothing that costs the service while we are connected, which is 2 ms.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Callable, Container
from pathlib import Path

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.protocol import State
from websockets.uri import parse_uri

from vitalsd.attach.sockets import Address, descriptors, listening, other_end
from vitalsd.errors import VitalsdError

__all__ = ["Inspector", "InspectorError", "evaluate", "find_inspector", "new_listeners"]

EXPRESSION = (Path(__file__).parent / "evaluated.js").read_text(encoding="utf-8").rstrip().removesuffix(";")
LENT = "typeof require === 'function' ? require : null"
CONNECT_SECONDS = 2.0
MOST_BYTES = 65536
SESSION = re.compile(r"[0-9a-f-]{36}")


class InspectorError(VitalsdError):
    """It did not let us in."""


class Inspector(msgspec.Struct, frozen=True):
    """One that is open."""

    address: Address
    inode: int
    """Of the socket that listens."""
    session: str
    """The name under which it lets one in, which nobody can guess."""


def new_listeners(process: Path, others: Container[int] = ()) -> dict[int, Address]:
    """Where the process at `/proc/PID` listens, but for sockets that are among `others`; by inode."""
    own = {inode for inode in descriptors(process) if inode not in others}
    return {inode: address for inode, address in listening().items() if inode in own} if own else {}


def find_inspector(process: Path, others: Container[int] = ()) -> Inspector | None:
    """Which of them answers as an inspector."""
    for inode, address in new_listeners(process, others).items():
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
) -> None:
    """
    Have the process at `/proc/PID` load the probe, if `arm` says where that is, and close its inspector.

    It does so as soon as its loop comes round, which nobody waits for here. InspectorError when it was not `sent`.
    """
    address = inspector.address
    protocol = ClientProtocol(parse_uri(f"ws://{address}/{inspector.session}"), max_size=MOST_BYTES)
    try:
        with contextlib.closing(socket.create_connection((address.host, address.port), CONNECT_SECONDS)) as own:
            protocol.send_request(protocol.connect())
            _flush(protocol, own)
            while protocol.state is State.CONNECTING:
                received = own.recv(MOST_BYTES)
                if not received:
                    raise InspectorError("its inspector has hung up")
                protocol.receive_data(received)
            if protocol.state is not State.OPEN:
                raise InspectorError(f"its inspector does not let us in: {protocol.handshake_exc}")
            protocol.send_text(_request(arm, options, _their_end(process, own)))
            _flush(protocol, own)
            sent()
    except (OSError, WebSocketException) as error:
        raise InspectorError(f"its inspector does not let us in: {error}") from error


def _flush(protocol: ClientProtocol, own: socket.socket) -> None:
    for data in protocol.data_to_send():
        own.sendall(data)


def _request(arm: str | None, options: dict[str, object], connection: dict[str, int]) -> bytes:
    given = json.dumps({"arm": arm, "options": options, "connection": connection})
    parameters = {
        "expression": f"({EXPRESSION})({LENT}, {given})",
        "includeCommandLineAPI": True,
        "awaitPromise": True,
        "silent": True,
    }
    return json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}).encode()


def _their_end(process: Path, own: socket.socket) -> dict[str, int]:
    """The socket by which the service holds this connection."""
    found = other_end(Address(*own.getpeername()[:2]), Address(*own.getsockname()[:2]))
    descriptor = descriptors(process).get(found) if found is not None else None
    if found is None or descriptor is None:
        raise InspectorError("its end of the connection is not to be found")
    return {"inode": found, "descriptor": descriptor}
