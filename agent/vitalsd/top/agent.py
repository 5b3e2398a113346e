"""The agent of this machine, asked as the other commands ask it: with the token as it is at that moment."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from typing import Any

from vitalsd.cli.absent import ended, ended_text
from vitalsd.cli.capture import ask_for, lie
from vitalsd.cli.client import NoAgentError, fetch, listen, send
from vitalsd.cli.following import path_of
from vitalsd.settings.model import Settings

__all__ = ["LocalAgent"]


class LocalAgent:
    """One agent, over its control port."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.exporters.control.listen
        self._settings = settings

    def listen(self, path: str) -> Iterator[bytes]:
        """The pieces of an answer that does not end."""
        return listen(self._settings, path)

    def get(self, path: str) -> bytes:
        """The body of an answer; where the service has ended, and its agent with it, the error says how."""
        try:
            return b"".join(fetch(self._settings, path))
        except NoAgentError as error:
            said, _, _ = ended_text(ended(self._settings, error), time.time()).partition("\n")
            raise NoAgentError(said) from error

    def ask_for(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Ask for a capture."""
        return ask_for(self._settings, wanted)

    def stop(self, capture: str) -> None:
        """End a capture early, and keep what it has; VitalsdError where the agent refuses."""
        reply = send(self._settings, "POST", path_of({"id": capture}, "/stop"))
        if reply.status not in (http.client.OK, http.client.ACCEPTED):
            raise reply.refusal()

    def folder(self, capture: dict[str, Any]) -> str | None:
        """Where its files lie."""
        return lie(self._settings, capture)
