"""
What a Node process was started with that concerns its inspector. Pure.

Options count wherever they stand on the command line, those that the script was given too: one refusal too many is
better than one signal.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["Options", "options_of"]

PORT = 9229
LOCAL = frozenset(("127.0.0.1", "::1", "localhost"))
ADDRESS = re.compile(r"--(?:inspect|inspect-brk|inspect-wait|inspect-port|debug-port)(?:=(\S*))?")
PERMISSIONS = frozenset(("--permission", "--experimental-permission"))
UIDS = "--inspect-publish-uid"


class Options(msgspec.Struct, frozen=True):
    """What the inspector would do."""

    host: str = "127.0.0.1"
    port: int = PORT
    """0 where the kernel chooses one."""
    disabled: bool = False
    """SIGUSR1 is not for the inspector."""
    confined: bool = False
    """Node's permission model keeps it closed."""
    unpublished: bool = False
    """It does not say by HTTP how to connect."""

    @property
    def local(self) -> bool:
        """Whether it listens for this machine alone."""
        if self.host in LOCAL:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def options_of(command: Sequence[str], environment: Mapping[str, str]) -> Options:
    """From a command line and an environment; the command line goes before."""
    words = [*_words(environment.get("NODE_OPTIONS", "")), *command[1:]]
    host, port, uids = "127.0.0.1", PORT, "stderr,http"
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        found = ADDRESS.fullmatch(word)
        if found is not None:
            apart = word in ("--inspect-port", "--debug-port")
            host, port = _address(following if apart else found[1] or "", host, port)
        elif word.partition("=")[0] == UIDS:
            uids = word.partition("=")[2] or following
    return Options(
        host,
        port,
        disabled="--disable-sigusr1" in words,
        confined=bool(PERMISSIONS.intersection(words)) and "--allow-inspector" not in words,
        unpublished="http" not in uids.split(","),
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _address(text: str, host: str, port: int) -> tuple[str, int]:
    """`9230`, `0.0.0.0`, `[::1]:9230`; what is not told stays."""
    if text.isdecimal():
        return host, int(text)
    found = re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", text) if text.count(":") < 2 or "[" in text else None
    if found is None:
        return text or host, port
    return found[1] or host, int(found[2]) if found[2] else port
