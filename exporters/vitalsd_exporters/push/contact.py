"""
How somebody is reached who is pushed to: where a URL leads, its addresses, and the files that show who we are.

Waits for name servers and disks, so it is called aside. Files are read each time: a secret that was changed
holds at once. What is wrong with one is told by its name, never by what is in it.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from vitalsd.errors import VitalsdError

__all__ = ["Contact", "Headers", "Place", "addresses_of", "is_address", "place_of", "secret", "tls_of"]

PORTS = {"http": 80, "https": 443}
Headers = tuple[tuple[str, str], ...]


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
    """What it takes to ask."""

    addresses: tuple[str, ...]
    """Of its host, the preferred first."""
    headers: Headers = ()
    """That show who we are."""
    tls: ssl.SSLContext | None = None


def place_of(url: str, path: str) -> Place:
    """Where `path` below this URL is."""
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    return Place(parts.hostname or "", port, f"{parts.path}{path}", parts.scheme == "https")


def is_address(place: Place) -> bool:
    """Whether its host is an address, and nobody has to be asked for one."""
    try:
        ipaddress.ip_address(place.host)
    except ValueError:
        return False
    return True


def addresses_of(place: Place) -> tuple[str, ...]:
    """Look its host up. Raises VitalsdError."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise VitalsdError(f"the host {place.host} is not found: {why}") from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def secret(path: str, key: str) -> str:
    """What is in a file that `key` of the configuration names. Raises VitalsdError."""
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


def tls_of(ca_file: str | None, cert_file: str | None, key_file: str | None) -> ssl.SSLContext:
    """Whom we take for whom, and what we show. Raises VitalsdError."""
    if ca_file is None and cert_file is None:
        return _of_the_system()
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise VitalsdError(f"ca_file {ca_file} cannot be used ({_why(error)})") from None
    if cert_file is not None:
        try:
            # An empty password, since OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            files = f"cert_file {cert_file} and key_file {key_file}"
            raise VitalsdError(f"{files} cannot be used ({_why(error)})") from None
    return context


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or "not readable"
