"""
The control API as the commands of this machine ask it: one request, one answer, one sentence when it fails.

The token opens the API to whoever has it, so it is not told to a listener that another user has put where the
agent was expected: the kernel says whose a socket of this machine is.
"""

from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from vitalsd.cli.listeners import listeners
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import token_path
from vitalsd.settings.types import split_listen

__all__ = ["ask", "reachable"]

TIMEOUT_SECONDS = 5.0


def reachable(listen: str) -> tuple[str, int]:
    """Host and port at which this machine reaches what listens on `listen`, which may be every interface."""
    host, port = split_listen(listen)
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - what may be configured


def ask(settings: Settings, path: str) -> Any:
    """The JSON that the agent of this machine answers."""
    control = settings.exporters.control
    host, port = reachable(control.listen)
    token, owner = _token(settings)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        # Both before and after, since a listener may come in between, or go once it has been connected to.
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            _refuse_strangers(address, control.listen, owner)
        connection.connect()
        _refuse_strangers(connection.sock.getpeername(), control.listen, owner)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise _no_agent(control.listen) from error
    except TimeoutError as error:
        raise VitalsdError(
            f"What listens on {control.listen} has not answered within {TIMEOUT_SECONDS:g} s: if that is the "
            "agent, it is stopped (SIGCONT lets it go on), or its host is short of processors."
        ) from error
    except OSError as error:
        raise VitalsdError(
            f"No agent answers on {control.listen} ({error.strerror or error}): start one with `vitalsd watch`, "
            "or name its configuration with --config."
        ) from error
    finally:
        connection.close()
    if answer.status == http.client.UNAUTHORIZED:
        raise VitalsdError(
            f"The agent on {control.listen} refuses our token: it was started with another configuration."
        )
    if answer.status != http.client.OK:
        raise VitalsdError(_refusal(body) or f"The agent on {control.listen} answers {answer.status}.")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _no_agent(control.listen) from error


def _refusal(body: bytes) -> str | None:
    """What the agent says in place of an answer."""
    try:
        said = msgspec.json.decode(body, type=dict[str, str]).get("error")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return f"{said}." if said and not said.endswith((".", "?")) else said


def _no_agent(listen: str) -> VitalsdError:
    return VitalsdError(
        f"What answers on {listen} is no agent: something else has that port, "
        "so name the agent's own with --control-listen or --config."
    )


def _token(settings: Settings) -> tuple[str, int]:
    """The token, and the uid of who has written it down."""
    chosen = settings.exporters.control.token_file
    path = Path(chosen) if chosen is not None else token_path(settings)
    try:
        with path.open(encoding="utf-8") as file:
            return file.read().strip(), os.fstat(file.fileno()).st_uid
    except FileNotFoundError:
        raise VitalsdError(
            f"There is no token at {path}: no agent was started with this configuration (`vitalsd watch` starts "
            "one), or it runs as another user or with another `storage.dir`: ask as it was started."
        ) from None
    except UnicodeDecodeError:
        raise VitalsdError(f"Cannot read the token at {path}: it is not text.") from None
    except OSError as error:
        raise VitalsdError(f"Cannot read the token at {path}: {error.strerror}.") from error


def _refuse_strangers(address: tuple[Any, ...], listen: str, owner: int) -> None:
    """Stop where what listens is neither root's, nor ours, nor that of who wrote the token, who has it anyway."""
    for uid in listeners(address[0], address[1]) - {0, os.geteuid(), owner}:
        raise VitalsdError(
            f"What listens on {listen} belongs to uid {uid} and this is uid {os.geteuid()}: it is not told our "
            f"token. If that is the agent, run this command as uid {uid}."
        )
