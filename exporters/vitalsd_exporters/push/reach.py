"""
One place that is pushed to: its name is looked up and its files are read aside, and each message has an end.

Holds nothing between two messages but the certificates that it has read, until they do not fit.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import h11
import msgspec

from vitalsd.errors import VitalsdError
from vitalsd_exporters.push.aside import Aside
from vitalsd_exporters.push.contact import Contact, Headers, Place, addresses_of, is_address, tls_of
from vitalsd_exporters.push.post import JSON, Answer, post

__all__ = ["Reach", "TlsFiles", "UnansweredError"]


class UnansweredError(VitalsdError):
    """There was no answer; the text is what was in the way."""


class TlsFiles(msgspec.Struct, frozen=True):
    """What a configuration names of TLS."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class Reach:
    """How it is asked."""

    def __init__(self, place: Place, files: TlsFiles, secrets: Callable[[], Headers] | None) -> None:
        self._place = place
        self._files = files
        self._secrets = secrets
        """Reads the headers that show who we are; None where nobody has to know."""
        self._aside: Aside[Contact] = Aside()
        self._tls: ssl.SSLContext | None = None

    async def post(self, body: bytes, timeout_seconds: float, headers: Headers = JSON) -> Answer:
        """Its answer to one message. Raises UnansweredError."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await post(self._place, await self._contact(), body, headers)
        except TimeoutError:
            raise UnansweredError(f"it has not answered within {timeout_seconds:g} s") from None
        except (OSError, h11.ProtocolError, VitalsdError) as error:
            if isinstance(error, ssl.SSLError):
                self._tls = None  # its files may be others by then
            why = str(getattr(error, "strerror", None) or error) or type(error).__name__
            raise UnansweredError(why) from error

    async def _contact(self) -> Contact:
        if not self._place.is_tls and self._secrets is None and is_address(self._place):
            return Contact((self._place.host,))  # nobody has to be asked
        contact = await self._aside.run(self._find)
        self._tls = contact.tls
        return contact

    def _find(self) -> Contact:
        """Look it up, in a thread. Raises VitalsdError, OSError."""
        tls = self._tls
        if self._place.is_tls and tls is None:
            tls = tls_of(self._files.ca, self._files.cert, self._files.key)
        return Contact(addresses_of(self._place), self._secrets() if self._secrets is not None else (), tls)
