"""How the collector is reached: the path where it takes metrics, and the headers that it is shown."""

from __future__ import annotations

import re
from functools import partial

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Otlp
from vitalsd_exporters.push.contact import Headers, place_of, secret
from vitalsd_exporters.push.post import OWN_HEADERS
from vitalsd_exporters.push.reach import Reach, TlsFiles

__all__ = ["reach_of"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def reach_of(settings: Otlp, endpoint: str) -> Reach:
    """How it is asked."""
    files = TlsFiles(settings.ca_file, settings.cert_file, settings.key_file)
    headers = partial(_headers, settings.headers_file) if settings.headers_file is not None else None
    return Reach(place_of(endpoint, "/v1/metrics"), files, headers)


def _headers(path: str) -> Headers:
    """A name and a value on each line; of one that is wrong only its number is told, for it may be a secret."""
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
    return tuple(found)
