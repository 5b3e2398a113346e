"""What the values of the configuration are: durations, sizes, addresses, patterns, and how each is checked."""

from __future__ import annotations

import re
import socket
import warnings
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from vitalsd.settings.units import parse_duration, parse_size

__all__ = [
    "Duration",
    "FilePath",
    "HttpUrl",
    "LabelName",
    "LabelValue",
    "Listen",
    "Name",
    "Pid",
    "Regex",
    "Section",
    "Size",
    "StoreUrl",
    "split_listen",
]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some keys that belong together: none beside them is known."""


_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")


def split_listen(text: str) -> tuple[str, int]:
    """Split `host:port`, `:port` or `[v6]:port`; an empty host means every interface."""
    match = _LISTEN.fullmatch(text)
    if match is None:
        raise ValueError("expected host:port, :port or [v6]:port")
    port = int(match["port"])
    if port > 65_535:
        raise ValueError("expected a port of at most 65535")
    if match["v6"] is None:
        return match["host"], port
    try:
        socket.inet_pton(socket.AF_INET6, match["v6"])
    except OSError:
        raise ValueError("expected an IPv6 address between the brackets") from None
    return match["v6"], port


def _check_listen(text: str) -> str:
    split_listen(text)
    return text


def _check_regex(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a future Python may read differently is still valid today
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {error}") from None
    return text


def _check_url(text: str) -> str:
    """Of one with a password nothing is told here, since what is told here is logged: `check` refuses it."""
    if "@" in text:
        return text
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not text.isascii() or " " in text or parts.query or parts.fragment:
        raise ValueError("expected http://HOST:PORT or https://HOST/PREFIX, without a query")
    return text.rstrip("/")


# `parse` makes the value out of its text, `words` say what was expected.
Duration = Annotated[float, Meta(extra={"parse": parse_duration, "words": "a duration"})]
"""Seconds here, `1h30m` in the file."""
Size = Annotated[int, Meta(ge=0, extra={"parse": parse_size, "words": "a size"})]
"""Bytes here, `256MiB` in the file."""
Listen = Annotated[str, Meta(extra={"parse": _check_listen, "words": "host:port, :port or [v6]:port"})]
Regex = Annotated[str, Meta(min_length=1, extra={"parse": _check_regex, "words": "a regular expression"})]
FilePath = Annotated[str, Meta(min_length=1, extra={"words": "a path"})]
StoreUrl = Annotated[
    str,
    Meta(
        pattern="^(s3|gs|az)://[^/@: ]+(/.*)?$|^file:///.*$",
        extra={"words": "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER"},
    ),
]
"""Of object storage; who may write there is no part of it."""
HttpUrl = Annotated[
    str, Meta(min_length=1, extra={"parse": _check_url, "words": "http://HOST:PORT or https://HOST/PREFIX"})
]
LabelName = Annotated[
    str,
    Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128, extra={"words": "a name of letters, digits and _"}),
]
LabelValue = Annotated[str, Meta(min_length=1, max_length=1024, extra={"words": "a text that is not empty"})]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_.:-]*$",
        max_length=63,
        extra={"words": "a name of at most 63 letters, digits and _ . : - that begins with none of the last 3"},
    ),
]
# The greatest pid that Linux gives out on 64 bits, PID_MAX_LIMIT.
Pid = Annotated[int, Meta(ge=1, le=4_194_304)]
