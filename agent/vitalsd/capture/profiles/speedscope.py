"""
A profile in the format of speedscope (https://www.speedscope.app), one sampled profile for each thread. Pure.

py-spy has counted stacks and does not tell when each was seen: within a thread they are in the order of the calls,
so that what belongs together is side by side, and weights are seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.capture.profiles.folded import Sampled
from vitalsd.capture.profiles.top import thread_samples
from vitalsd.model import Frame

__all__ = ["speedscope"]

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(stacks: Sequence[Sampled], *, name: str, rate: float, exporter: str) -> bytes:
    """The file; `rate` is in samples a second."""
    places: dict[Frame, int] = {}
    profiles = []
    for thread, samples in thread_samples(stacks).items():
        of_thread = [stack for stack in stacks if stack.thread == thread]
        of_thread.sort(key=lambda stack: [(frame.file, frame.function, frame.line) for frame in stack.frames])
        profiles.append(
            {
                "type": "sampled",
                "name": f"{thread.name or 'thread'} ({thread.id})",
                "unit": "seconds",
                "startValue": 0,
                "endValue": round(samples / rate, 6),
                "samples": [
                    [places.setdefault(frame, len(places)) for frame in stack.frames] for stack in of_thread
                ],
                "weights": [round(stack.samples / rate, 6) for stack in of_thread],
            }
        )
    document = {
        "$schema": SCHEMA,
        "shared": {"frames": [_frame(frame) for frame in places]},
        "profiles": profiles or [_nothing()],
        "name": name,
        "activeProfileIndex": 0,
        "exporter": exporter,
    }
    return msgspec.json.encode(document)


def _frame(frame: Frame) -> dict[str, object]:
    told: dict[str, object] = {"name": frame.function}
    if frame.file:
        told["file"] = frame.file
    if frame.line > 0:
        told["line"] = frame.line
    return told


def _nothing() -> dict[str, object]:
    """Of a process that was idle all the time: speedscope cannot open a file without a profile."""
    return {
        "type": "sampled",
        "name": "idle all the time",
        "unit": "seconds",
        "startValue": 0,
        "endValue": 0,
        "samples": [],
        "weights": [],
    }
