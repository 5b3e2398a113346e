"""How the collector is reached: the path where it takes metrics, and the headers that it is shown."""

from __future__ import annotations

import re
import ssl

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Otlp
from vitalsd_exporters.push.contact import (
    Contact,
    Headers,
    Place,
    addresses_of,
    is_address,
    place_of,
    secret,
    tls_of,
)
from vitalsd_exporters.push.post import OWN_HEADERS

__all__ = ["find", "metrics_of", "needs_nobody"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def metrics_of(endpoint: str) -> Place:
    """Where metrics are posted to."""
    return place_of(endpoint, "/v1/metrics")


def needs_nobody(settings: Otlp, place: Place) -> bool:
    """Whether it is an address, asked without secrets and certificates."""
    return not place.is_tls and settings.headers_file is None and is_address(place)


def find(settings: Otlp, place: Place, tls: ssl.SSLContext | None) -> Contact:
    """Look it up; `tls` is what an earlier look-up has brought. Raises VitalsdError, OSError."""
    if place.is_tls and tls is None:
        tls = tls_of(settings.ca_file, settings.cert_file, settings.key_file)
    return Contact(addresses_of(place), _headers(settings.headers_file), tls)


def _headers(path: str | None) -> Headers:
    return tuple(_lines(path)) if path is not None else ()


def _lines(path: str) -> list[tuple[str, str]]:
    """A name and a value each; of a line that is wrong only its number is told, for it may be a secret."""
    found = []
    for number, line in enumerate(secret(path, "headers_file").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, sign, value = (part.strip() for part in line.partition("="))
        if not (sign and TOKEN.fullmatch(name) and value.isascii() and value.isprintable()):
            raise VitalsdError(f"headers_file {path}: line {number} is not NAME=VALUE")
        if name.lower() in OWN_HEADERS:
            raise VitalsdError(f"headers_file {path}: line {number} names a header that every request has already")
        found.append((name, value))
    return found
