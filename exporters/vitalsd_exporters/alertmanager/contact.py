"""
How one Alertmanager is reached: its addresses, what shows who we are, and whom we take it for.

Waits for name servers and disks, so it is called aside. Files are read each time: a secret that was changed
holds at once. What is wrong with one is told by its name, never by what is in it.
"""

from __future__ import annotations

import base64
import ipaddress
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import AlertmanagerPeer

__all__ = ["Contact", "Place", "find", "needs_nobody", "place_of"]

PORTS = {"http": 80, "https": 443}


class Place(msgspec.Struct, frozen=True):
    """Where a URL leads."""

    host: str
    port: int
    path: str
    """With the prefix of the URL."""
    is_tls: bool

    @property
    def named(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS["https" if self.is_tls else "http"] else f"{host}:{self.port}"


class Contact(msgspec.Struct, frozen=True):
    """What it takes to ask it."""

    addresses: tuple[str, ...]
    """Of its host, the preferred first."""
    authorization: str | None = None
    tls: ssl.SSLContext | None = None


def place_of(url: str) -> Place:
    """Where the alerts of the Alertmanager with this URL are posted to."""
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    return Place(parts.hostname or "", port, f"{parts.path}/api/v2/alerts", parts.scheme == "https")


def needs_nobody(peer: AlertmanagerPeer, place: Place) -> bool:
    """Whether it is an address, asked without secrets and certificates."""
    try:
        ipaddress.ip_address(place.host)
    except ValueError:
        return False
    return not place.is_tls and peer.bearer_token_file is None and peer.password_file is None


def find(peer: AlertmanagerPeer, place: Place, tls: ssl.SSLContext | None) -> Contact:
    """Look it up; `tls` is what an earlier look-up has brought. Raises VitalsdError, OSError."""
    if place.is_tls and tls is None:
        tls = _context(peer)
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise VitalsdError(f"the host {place.host} is not found: {why}") from None
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return Contact(tuple(addresses), _authorization(peer), tls)


def _authorization(peer: AlertmanagerPeer) -> str | None:
    if peer.bearer_token_file is not None:
        token = _secret(peer.bearer_token_file, "bearer_token_file")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise VitalsdError(f"bearer_token_file {peer.bearer_token_file} holds no token of one line")
        return f"Bearer {token}"
    if peer.username is not None and peer.password_file is not None:
        pair = f"{peer.username}:{_secret(peer.password_file, 'password_file')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return None


def _secret(path: str, key: str) -> str:
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise VitalsdError(f"{key} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise VitalsdError(f"{key} {path} is not text") from None
    if not value:
        raise VitalsdError(f"{key} {path} is empty")
    return value


@lru_cache(maxsize=1)
def _of_the_system() -> ssl.SSLContext:
    """One for all: the system's authorities take about a megabyte."""
    return ssl.create_default_context()


def _context(peer: AlertmanagerPeer) -> ssl.SSLContext:
    if peer.ca_file is None and peer.cert_file is None:
        return _of_the_system()
    try:
        context = ssl.create_default_context(cafile=peer.ca_file)
    except OSError as error:
        raise VitalsdError(f"ca_file {peer.ca_file} cannot be used ({_why(error)})") from None
    if peer.cert_file is not None:
        try:
            # An empty password, since OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(peer.cert_file, peer.key_file, password="")
        except OSError as error:
            files = f"cert_file {peer.cert_file} and key_file {peer.key_file}"
            raise VitalsdError(f"{files} cannot be used ({_why(error)})") from None
    return context


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or "not readable"
