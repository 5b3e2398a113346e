"""
Summaries of captures that are not among the latest, packed: those of a thousand take 20 MB, and so 1 MB.

One that is asked for by itself is told whole. In a list, where nobody could read a thousand of them, it says that
its summary is left out.
"""

from __future__ import annotations

import zlib

import msgspec
from msgspec.structs import replace

from vitalsd.capture.model import Capture

__all__ = ["MOST_WHOLE", "Packed"]

MOST_WHOLE = 100
LEFT_OUT: dict[str, object] = {"left_out": "ask for this capture by its id"}


class Packed:
    """Id -> summary."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}

    def take(self, capture: Capture) -> Capture:
        """Keep its summary here; the answer is the capture without it."""
        if not capture.summary or capture.id in self._texts:
            return capture
        self._texts[capture.id] = zlib.compress(msgspec.json.encode(capture.summary))
        return replace(capture, summary=LEFT_OUT)

    def whole(self, capture: Capture) -> Capture:
        """The capture with its summary, wherever that is."""
        text = self._texts.get(capture.id)
        if text is None:
            return capture
        return replace(capture, summary=msgspec.json.decode(zlib.decompress(text), type=dict[str, object]))

    def adopt(self, others: Packed, but: set[str]) -> None:
        """Take over what somebody else has packed, of all but these."""
        self._texts |= {name: text for name, text in others._texts.items() if name not in but}

    def forget(self, name: str) -> None:
        """Keep nothing of it."""
        self._texts.pop(name, None)
