"""
The control API as the commands of this machine ask it: one request, one answer, one sentence when it fails.

The token opens the API to whoever has it, so it is not told to a listener that another user has put where the
agent was expected: the kernel says whose a socket of this machine is.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from vitalsd import __version__
from vitalsd.cli.listeners import listeners
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import token_path
from vitalsd.settings.types import split_listen

__all__ = ["NoAgentError", "Reply", "ask", "fetch", "listen", "page_address", "page_link", "reachable", "send"]

TIMEOUT_SECONDS = 5.0
PIECE_BYTES = 1 << 18


def reachable(listen: str) -> tuple[str, int]:
    """Host and port at which this machine reaches what listens on `listen`, which may be every interface."""
    host, port = split_listen(listen)
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - what may be configured


class NoAgentError(VitalsdError):
    """Nobody listens where an agent was expected, or none was ever started."""


class Reply(msgspec.Struct, frozen=True):
    """What the agent has answered."""

    status: int
    body: bytes
    listen: str

    def json(self) -> Any:
        """The body; VitalsdError where it is no JSON, so no agent's."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _no_agent(self.listen) from error

    def refusal(self) -> VitalsdError:
        """What it says in place of what was wanted."""
        return VitalsdError(_refusal(self.body) or f"The agent on {self.listen} answers {self.status}.")


def ask(settings: Settings, path: str) -> Any:
    """The JSON that the agent of this machine answers."""
    with _exchange(settings, "GET", path) as answer:
        reply = Reply(answer.status, answer.read(), settings.exporters.control.listen)
    if reply.status != http.client.OK:
        raise reply.refusal()
    return reply.json()


def page_address(settings: Settings) -> str:
    """Where the page is, for a browser of this machine that has opened its link before."""
    host, port = reachable(settings.exporters.control.listen)
    named = f"[{host}]" if ":" in host else host
    return f"http://{named}:{port}/"


def page_link(settings: Settings) -> str:
    """What opens it to whoever has this link, which is the token."""
    return f"{page_address(settings)}?token={quote(_token(settings)[0], safe='')}"


def send(settings: Settings, method: str, path: str, body: object = None) -> Reply:
    """Have the agent change something; whatever it answers is the caller's to understand, but for 401."""
    with _exchange(settings, method, path, body) as answer:
        return Reply(answer.status, answer.read(), settings.exporters.control.listen)


def fetch(settings: Settings, path: str) -> Iterator[bytes]:
    """The pieces of a file, as they come; fewer than were promised are an error."""
    with _exchange(settings, "GET", path) as answer:
        if answer.status != http.client.OK:
            raise Reply(answer.status, answer.read(), settings.exporters.control.listen).refusal()
        while piece := answer.read(PIECE_BYTES):
            yield piece


def listen(settings: Settings, path: str) -> Iterator[bytes]:
    """The pieces of an answer that goes on, each as soon as it is there; an error where none comes for long."""
    with _exchange(settings, "GET", path) as answer:
        if answer.status != http.client.OK:
            raise Reply(answer.status, answer.read(), settings.exporters.control.listen).refusal()
        while piece := answer.read1(PIECE_BYTES):
            yield piece


@contextlib.contextmanager
def _exchange(
    settings: Settings, method: str, path: str, body: object = None
) -> Iterator[http.client.HTTPResponse]:
    """One request, and its answer while it is read; what goes wrong meanwhile is a sentence."""
    control = settings.exporters.control
    host, port = reachable(control.listen)
    token, owner = _token(settings)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bearer {token}", "User-Agent": f"vitalsd/{__version__}"}
    sent = None
    if body is not None:
        sent, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
    try:
        # Both before and after, since a listener may come in between, or go once it has been connected to.
        for address in _addresses(control.listen):
            _refuse_strangers(address, control.listen, owner)
        connection.connect()
        _refuse_strangers(connection.sock.getpeername(), control.listen, owner)
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        if answer.status == http.client.UNAUTHORIZED:
            raise VitalsdError(
                f"The agent on {control.listen} refuses the token in {_token_file(settings)}: it is not "
                "this agent's. Either that file was written anew since the agent has read it (then restart it), "
                "or it is of another agent: name the configuration of this one with --config."
            )
        yield answer
    except http.client.IncompleteRead as error:
        raise VitalsdError(f"The agent on {control.listen} has ended in the middle of an answer.") from error
    except http.client.HTTPException as error:
        raise _no_agent(control.listen) from error
    except TimeoutError as error:
        raise VitalsdError(
            f"What listens on {control.listen} has not answered within {TIMEOUT_SECONDS:g} s: if that is the "
            "agent, it is stopped (SIGCONT lets it go on), or its host is short of processors."
        ) from error
    except OSError as error:
        refused = NoAgentError if isinstance(error, ConnectionRefusedError) else VitalsdError
        raise refused(
            f"No agent answers on {control.listen} ({error.strerror or error}): start one with `vitalsd watch`, "
            f"or name its configuration with --config.{_elsewhere(settings)}"
        ) from error
    finally:
        connection.close()


class _Error(msgspec.Struct):
    error: str


def _refusal(body: bytes) -> str | None:
    """What the agent says in place of an answer."""
    try:
        said = msgspec.json.decode(body, type=_Error).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return f"{said}." if said and not said.endswith((".", "?")) else said


def _elsewhere(settings: Settings) -> str:
    from vitalsd.cli.nearby import elsewhere  # it is for errors alone

    return elsewhere(settings)


def _no_agent(listen: str) -> VitalsdError:
    return VitalsdError(
        f"What answers on {listen} is no agent: something else has that port, "
        "so name the agent's own with --control-listen or --config."
    )


def _token_file(settings: Settings) -> Path:
    """The chosen one, or where an agent on this port writes its own."""
    chosen = settings.exporters.control.token_file
    return Path(chosen) if chosen is not None else token_path(settings)


def _token(settings: Settings) -> tuple[str, int]:
    """The token, and the uid of who has written it down."""
    path = _token_file(settings)
    try:
        with path.open(encoding="utf-8") as file:
            token, owner = file.read().strip(), os.fstat(file.fileno()).st_uid
    except FileNotFoundError:
        told = (
            f"There is no token at {path}: no agent was started with this configuration (`vitalsd watch` starts "
            "one), or it runs as another user or with another `storage.dir`: ask as it was started."
            f"{_elsewhere(settings)}"
        )
        somebody_listens = any(
            listeners(address[0], address[1]) for address in _addresses(settings.exporters.control.listen)
        )
        raise (VitalsdError if somebody_listens else NoAgentError)(told) from None
    except UnicodeDecodeError:
        raise VitalsdError(f"Cannot read the token at {path}: it is not text.") from None
    except OSError as error:
        raise VitalsdError(f"Cannot read the token at {path}: {error.strerror}.") from error
    if not token:
        raise VitalsdError(f"There is no token in {path}: the file is empty, so no agent can know us by it.")
    return token, owner


def _addresses(listen: str) -> list[tuple[Any, ...]]:
    host, port = reachable(listen)
    return [address for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _refuse_strangers(address: tuple[Any, ...], listen: str, owner: int) -> None:
    """Stop where what listens is neither root's, nor ours, nor that of who wrote the token, who has it anyway."""
    for uid in listeners(address[0], address[1]) - {0, os.geteuid(), owner}:
        raise VitalsdError(
            f"What listens on {listen} belongs to uid {uid} and this is uid {os.geteuid()}: it is not told our "
            f"token. If that is the agent, run this command as uid {uid}."
        )
