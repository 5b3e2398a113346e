"""
The agent's own log: events in snake_case with keys, on standard error, for people or as JSON.

A line is never waited for: `vitalsd run` shares standard error with the service, and its reader may be stuck. So a
line has at most MOST_BYTES, which a pipe takes whole or not at all; a longer one is shortened, its traceback
first. Tracebacks never carry the values of variables. rich is kept out of the process: structlog would load it for
prettier tracebacks, at 4 MiB.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import socket
import stat
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import msgspec

from vitalsd.failures import count_failure

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None makes importing it an ImportError
import structlog  # noqa: E402 - it must not find rich

__all__ = ["configure"]


MOST_BYTES = select.PIPE_BUF
"""What a pipe that can be written to has room for, and takes at once."""
LONGEST_TEXT = 300
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""What syslog calls these levels."""
CUT = "…"
TRACEBACKS = ("exception", "stack")
"""They have lines."""
ENDS_BYTES = 4
"""The line's end, and before it a priority for the journal."""


class _Stderr:
    """Standard error that is never waited for and never missed."""

    def write(self, text: str) -> None:
        """Write if it can be written at once; a reader that is stuck or gone costs the line."""
        with contextlib.suppress(OSError, ValueError):
            if select.select((), (2,), (), 0)[1]:
                _write_at_once(_cut(text.encode("utf-8", "replace")))

    def flush(self) -> None:
        """Nothing is kept back."""


def _write_at_once(line: bytes) -> None:
    """
    Write what fits.

    The service may have filled a pipe since we looked, and a terminal takes a line in pieces, so these are opened
    anew where that is allowed: not to wait is a property of what is open, which the service shares with us.
    """
    kind = os.fstat(2).st_mode
    if stat.S_ISSOCK(kind):
        with socket.socket(fileno=os.dup(2)) as shared:
            shared.send(line, socket.MSG_DONTWAIT)
        return
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            own = os.open("/proc/self/fd/2", flags)
        except OSError:  # another user's
            os.write(2, line)
            return
        try:
            os.write(own, line)
        finally:
            os.close(own)
        return
    os.write(2, line)


def _cut(line: bytes) -> bytes:
    """A text for people that is not too long: of a traceback, the end tells most."""
    if len(line) <= MOST_BYTES:
        return line
    cut = f"\n{CUT}\n".encode()
    head = MOST_BYTES // 4
    tail = MOST_BYTES - head - len(cut)
    return (line[:head] + cut + line[-tail:]).decode("utf-8", "ignore").encode()


def configure(level: str, layout: Literal["auto", "json", "console"]) -> None:
    """Set level and form of everything that is logged from now on."""
    console = layout == "console" or (layout == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor
    if console:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        tracebacks: list[structlog.typing.Processor] = [_for_terminal]
    else:
        renderer = _for_journal if _is_journal() else structlog.processors.JSONRenderer(serializer=_as_json)
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
        tracebacks = [structlog.processors.ExceptionRenderer(transform)]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            count_failure,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tracebacks,
            _in_order,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=_Stderr()),  # type: ignore[arg-type]
        # A reload may change the level, so loggers are not cached.
        cache_logger_on_first_use=False,
    )


def _in_order(_logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """When, how bad and what come first, where who reads a stream of lines looks for them."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    return {**first, **event}


def _for_terminal(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What a terminal would obey is not shown to it: paths and names are chosen by others."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable() and name not in TRACEBACKS:
            event[name] = "".join(letter if letter.isprintable() else "?" for letter in value)
    return event


def _is_journal() -> bool:
    """Whether standard error is systemd's journal, which says so by the device and inode of its socket."""
    try:
        about = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def _for_journal(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """A line of JSON behind its priority, which the journal takes off: `journalctl -p warning` finds it."""
    return f"<{PRIORITIES.get(event['level'], 6)}>{_as_json(dict(event))}"


def _as_json(event: dict[str, Any], **_options: object) -> str:
    """One line; where it would be too long, with less of its traceback, then of all texts, then of everything."""
    for shorten in (_whole, _few_frames, _no_frames, _short_texts, _bare):
        line = _encode(shorten(event))
        if len(line) <= MOST_BYTES - ENDS_BYTES:
            break
    return line.decode()


def _encode(event: object) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=repr)
    except (ValueError, OverflowError):  # a path may hold bytes that are no text, and a number be of any size
        return json.dumps(event, default=repr).encode()


def _whole(event: dict[str, Any]) -> dict[str, Any]:
    return event


def _few_frames(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "exception": _with_frames(event, 4)} if "exception" in event else event


def _no_frames(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "exception": _with_frames(event, 0)} if "exception" in event else event


def _with_frames(event: dict[str, Any], count: int) -> object:
    """The exceptions of an event, each with the innermost of its frames."""
    raised = event["exception"]
    if not isinstance(raised, list):
        return _short(raised)
    return [
        {
            "exc_type": _short(each.get("exc_type")),
            "exc_value": _short(each.get("exc_value")),
            "frames": [{name: _short(value) for name, value in frame.items()} for frame in frames],
        }
        for each in raised[:4]
        if isinstance(each, dict)
        for frames in [each.get("frames", [])[-count:] if count else []]
    ]


def _short_texts(event: dict[str, Any]) -> dict[str, Any]:
    return {_short(name): _short(value) for name, value in _no_frames(event).items()} | {"cut": True}


def _bare(event: dict[str, Any]) -> dict[str, Any]:
    """What happened and when, without its keys."""
    return {name: _short(event.get(name)) for name in ("timestamp", "level", "event")} | {"cut": True}


def _short(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + CUT
