"""
TLS of a listener, from the same web configuration file that Prometheus's own exporters read.

Only its `tls_server_config` is supported, and whatever else the file asks for is refused: a protection that
somebody configured must not be missing in silence. Without a file neither PyYAML nor ssl is loaded.

Certificates are replaced while the agent runs, so their files are looked at every five seconds, beside the loop,
and read again when they are others. What cannot be used, half written or with another's key, changes nothing: the
certificate before is shown on, and it is said.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import structlog

from vitalsd.errors import UsageError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

__all__ = ["Certificates", "load_web_config"]

log = structlog.get_logger(__name__)
LOOK_SECONDS = 5.0

SECTION = "tls_server_config"
KEYS = ("cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version")
FILE_KEYS = ("cert_file", "key_file", "client_ca_file")
CLIENT_AUTH = {
    "NoClientCert": "CERT_NONE",
    "VerifyClientCertIfGiven": "CERT_OPTIONAL",
    "RequireAndVerifyClientCert": "CERT_REQUIRED",
}
"""The file's words -> ssl's; the two others ask for certificates without verifying them."""
LONGEST = 1000
VERSIONS = {"TLS12": "TLSv1_2", "TLS13": "TLSv1_3"}


class Certificates:
    """What one web configuration says, as it is on the disk now."""

    def __init__(self, path: Path, context: ssl.SSLContext, state: object) -> None:
        self._path = path
        self._state = state
        self._context = context
        self.problem: str | None = None
        """Why what is shown is not what the files say, if that is so."""

    @classmethod
    def of(cls, path: Path) -> Certificates | None:
        """None where it asks for no TLS."""
        state = _state(path)
        context = load_web_config(path)
        return cls(path, context, state) if context is not None else None

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        return self._context

    async def follow(self) -> None:
        """Keep it as the files are, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read the files again if they are others than before, or could not be used then."""
        state = _state(self._path)
        if state == self._state and self.problem is None:
            return
        try:
            context = load_web_config(self._path)
            why = f"Web configuration {self._path}: to ask for no TLS any more takes a restart."
        except UsageError as error:
            context, why = None, str(error)
        if context is None:
            if self.problem != why:
                self.problem = why
                log.warning("certificate_not_replaced", reason=why)
            return
        self._state, self._context, self.problem = state, context, None
        log.info("certificate_replaced", path=str(self._path))


def _state(path: Path) -> tuple[object, ...]:
    """Which files there are beside the configuration and in what state, without their content."""
    found: list[object] = []
    for each in (path, *_files(path)):
        try:
            stat = each.stat()
            found.append((each, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except (OSError, ValueError) as error:  # a path may hold a NUL, which whoever reads it then tells
            found.append((each, str(error)))
    return tuple(found)


def _files(path: Path) -> list[Path]:
    """The files that it names, as far as it can be read."""
    try:
        section = _read(path)
    except UsageError:
        return []
    values = section.get(SECTION) if isinstance(section, dict) else None
    names = [values.get(key) for key in FILE_KEYS] if isinstance(values, dict) else []
    return [path.parent / name for name in names if isinstance(name, str)]


def load_web_config(path: Path) -> ssl.SSLContext | None:
    """The context that `path` describes; None when it describes no TLS."""
    content = _read(path)
    if content is None:
        return None
    if not isinstance(content, dict):
        _refuse(path, "must be a mapping with the key `tls_server_config`")
    _refuse_unknown(path, "", content, (SECTION,))
    section = content.get(SECTION)
    if section is None:
        return None
    if not isinstance(section, dict):
        _refuse(path, f"`{SECTION}` must be a mapping")
    _refuse_unknown(path, f"{SECTION}.", section, KEYS)
    values: dict[str, str] = {}
    for key, value in section.items():
        if not isinstance(value, str) or not value:
            _refuse(path, f"`{SECTION}.{key}` must be a text that is not empty")
        values[key] = value
    return _context(path, values)


def _read(path: Path) -> object:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read the web configuration {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The web configuration {path} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UsageError(f"{place}: the web configuration is not valid YAML.") from error
    except (ValueError, OverflowError, RecursionError) as error:  # a date that is none, a number, a depth
        raise UsageError(f"{path}: the web configuration has a value that no YAML means.") from error


def _context(path: Path, values: dict[str, str]) -> ssl.SSLContext:
    import ssl

    for key in ("cert_file", "key_file"):
        if key not in values:
            _refuse(path, f"`{SECTION}.{key}` is missing")
    client_auth = _choice(path, values, "client_auth_type", "NoClientCert", CLIENT_AUTH)
    if (client_auth == "CERT_NONE") == ("client_ca_file" in values):
        _refuse(path, "`client_ca_file` and a `client_auth_type` that verifies need each other")
    lowest = _choice(path, values, "min_version", "TLS12", VERSIONS)
    highest = _choice(path, values, "max_version", "TLS13", VERSIONS)
    if lowest > highest:
        _refuse(path, "`min_version` is above `max_version`")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion[lowest]
    context.maximum_version = ssl.TLSVersion[highest]
    certificate, private_key = path.parent / values["cert_file"], path.parent / values["key_file"]
    try:
        # An empty password, since OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(certificate, private_key, password="")
    except (OSError, ValueError) as error:
        _refuse(path, f"certificate {certificate} and key {private_key} cannot be used ({_why(error)})", error)
    if "client_ca_file" in values:
        authority = path.parent / values["client_ca_file"]
        try:
            context.load_verify_locations(authority)
        except (OSError, ValueError) as error:
            _refuse(path, f"the client authority {authority} cannot be used ({_why(error)})", error)
    context.verify_mode = ssl.VerifyMode[client_auth]
    return context


def _choice(path: Path, values: dict[str, str], key: str, default: str, allowed: dict[str, str]) -> str:
    value = values.get(key, default)
    if value not in allowed:
        _refuse(path, f"`{SECTION}.{key}` is `{value}`; vitalsd supports {', '.join(allowed)}")
    return allowed[value]


def _refuse_unknown(path: Path, prefix: str, mapping: dict[object, object], allowed: tuple[str, ...]) -> None:
    unknown = [f"`{prefix}{key}`" for key in mapping if key not in allowed]
    if unknown:
        _refuse(path, f"{', '.join(unknown)}: not supported by vitalsd, which reads only {', '.join(allowed)}")


def _why(error: Exception) -> str:
    """OpenSSL's own reason where it has one, `KEY_VALUES_MISMATCH`."""
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or "not readable"


def _refuse(path: Path, what: str, cause: Exception | None = None) -> NoReturn:
    # Keys and values are anybody's, and may be of any letters, or none that can be written.
    told = "".join(letter if letter.isprintable() else "?" for letter in what[:LONGEST])
    raise UsageError(f"Web configuration {path}: {told}.") from cause
