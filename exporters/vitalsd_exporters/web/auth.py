"""
The token of the control port: where it comes from and what counts as it.

Every comparison takes the same time whatever is wrong with the guess.

A browser that opens the link gets a cookie in the token's place. No script can read it and no other site's page
can send it, but cookies know hosts and no ports: whatever else this browser visits under the same host name gets
it too, and could use it here. So it is random, opens this agent alone, and is worth nothing once this process has
ended; the token, which may open a whole fleet for years, does not get there. And since a page on another port
counts as the same site, whatever comes to change something here must ask for the header.

The page that the link opens gets a key for that header, made of the token for one agent alone: what holds it may
change things here, learns nothing of the token, and opens no other agent that has the same one.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hmac
import os
import secrets
import stat
from typing import TYPE_CHECKING

from vitalsd.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import HTTPConnection
    from starlette.responses import Response

__all__ = ["Token", "load_token", "store_token"]

COOKIE = "vitalsd_token"
FULL = (errno.ENOSPC, errno.EDQUOT)
KEY = "exporters.control.token_file"
SHORTEST, LONGEST = 32, 200
"""Characters of a token that was generated: ours have 43, and a file that was cut has fewer."""


class Token:
    """
    One secret, and the ways to show that one knows it.

    `place` is where it opens an agent: two of them have two keys, and one has the same after a restart.
    """

    def __init__(self, value: str, place: str = "") -> None:
        self.value = value
        self._secret = value.encode()
        self._cookie = secrets.token_urlsafe()
        made = hmac.digest(self._secret, f"vitalsd page {place}".encode(), "sha256")
        self.key = base64.urlsafe_b64encode(made).decode().rstrip("=")
        """What the page sends in the place of the token."""

    def __repr__(self) -> str:
        return "Token(...)"

    def matches(self, guess: str) -> bool:
        """Whether `guess` is the token."""
        return hmac.compare_digest(guess.encode(), self._secret)

    def is_borne_by(self, request: HTTPConnection) -> bool:
        """Whether the request carries the token, or the key that stands for it, in its header."""
        scheme, _, guess = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        return self.matches(guess.strip()) or hmac.compare_digest(guess.strip().encode(), self.key.encode())

    def admits(self, request: HTTPConnection) -> bool:
        """Whether the request carries the token in its header, or the cookie that stands for it."""
        if self.is_borne_by(request):
            return True
        return hmac.compare_digest(request.cookies.get(_cookie_name(request), "").encode(), self._cookie.encode())

    def remember(self, request: HTTPConnection, response: Response) -> None:
        """Let the browser that gets this response come back without the token, until it or we end."""
        https = request.url.scheme == "https"
        response.set_cookie(_cookie_name(request), self._cookie, httponly=True, samesite="strict", secure=https)


def _cookie_name(request: HTTPConnection) -> str:
    """A name for each port, or the pages of two agents behind one host would log each other out."""
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isdecimal() else COOKIE


def load_token(token_file: Path | None, *, place: str = "", kept: Path | None = None) -> Token:
    """The token in `token_file`; without one, that which an agent before has left at `kept`, or else a new one."""
    if token_file is None:
        return Token((_left_at(kept) if kept is not None else None) or secrets.token_urlsafe(), place)
    try:
        value = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"Cannot read the token file {token_file}: {why}; correct `{KEY}`.") from error
    if not value:
        raise UsageError(f"The token file {token_file} is empty: put a long random token in it.")
    if not _can_be_sent(value):
        raise UsageError(f"The token in {token_file} must be one line of printable ASCII without spaces.")
    return Token(value, place)


def _can_be_sent(value: str) -> bool:
    """Whether it fits an Authorization header."""
    return value.isascii() and value.isprintable() and " " not in value


def _left_at(path: Path) -> str | None:
    """
    The token that we have left here; None for what anybody else may have written or read.

    With a new one at each start a restart would end every page, and every program that has read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="ascii") as file:
            status = os.fstat(descriptor)
            ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if not ours or status.st_mode & 0o077 or status.st_nlink != 1:
                return None
            value = file.read(LONGEST).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return value if len(value) >= SHORTEST and _can_be_sent(value) else None


def store_token(token: Token, path: Path) -> None:
    """
    Leave a generated token at `path` for our own commands, once its port is ours.

    Written aside and renamed, so that a link planted at `path` is replaced and never followed.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(token.value + "\n")
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        advice = "make room on its disk" if error.errno in FULL else "make its folder writable"
        raise UsageError(f"Cannot write a token to {path}: {error.strerror}; {advice} or set `{KEY}`.") from error
