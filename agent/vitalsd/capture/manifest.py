"""`capture.json`: a capture as people and other programs read it, beside its files. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from vitalsd.capture.model import Capture
from vitalsd.times import rfc3339

__all__ = ["MANIFEST", "document", "read_manifest", "write_manifest"]

MANIFEST = "capture.json"
TIMES = ("asked_at", "started_at", "ended_at", "uploaded_at")


def document(capture: Capture) -> dict[str, Any]:
    """The capture in the words of JSON: times are RFC 3339."""
    told: dict[str, Any] = msgspec.to_builtins(capture)
    for name in TIMES:
        told[name] = None if told[name] is None else rfc3339(told[name])
    return told


def write_manifest(capture: Capture) -> bytes:
    """The whole file."""
    return msgspec.json.format(msgspec.json.encode(document(capture)), indent=2) + b"\n"


def read_manifest(text: bytes) -> Capture | None:
    """The capture that a manifest tells; None where it is none."""
    try:
        told = msgspec.json.decode(text)
        for name in TIMES:
            if told[name] is not None:
                told[name] = datetime.fromisoformat(told[name]).timestamp()
        return msgspec.convert(told, Capture)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
