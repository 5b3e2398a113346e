"""The control API as the commands of this machine ask it: one request, one answer, one sentence when it fails."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import msgspec

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings, split_listen
from vitalsd.settings.storage import token_path

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
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {_token(settings)}"})
        answer = connection.getresponse()
        body = answer.read()
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
        raise VitalsdError(
            f"The agent on {control.listen} answers {answer.status}: {body.decode('utf-8', 'replace')}"
        )
    return msgspec.json.decode(body)


def _token(settings: Settings) -> str:
    chosen = settings.exporters.control.token_file
    path = Path(chosen) if chosen is not None else token_path(settings)
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise VitalsdError(
            f"There is no token at {path}: no agent was started on this machine with this configuration."
        ) from None
    except OSError as error:
        raise VitalsdError(f"Cannot read the token at {path}: {error.strerror}.") from error
