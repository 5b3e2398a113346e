"""
Who it was: the frame that the stacks of a stall agree on.

The samples are walked from the loop inwards, along the calls that most of them share; the culprit is the innermost
frame of the service's own code that 80 % share. If few samples have own code, it is one of a package, of the
standard library or of a framework, in this order. One callback is on one path in all samples; a function that many
callbacks call is on many, and does not pass for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from vitalsd.detect.machinery import Origin, by_name, is_boundary, origin
from vitalsd.model import Frame, Stack

__all__ = [
    "AGREE_SHARE",
    "COMMON_SHARE",
    "MAX_STACKS",
    "Culprit",
    "callback",
    "find_culprit",
    "stacks_as_evidence",
]

AGREE_SHARE = 0.8
"""facts B5, step 5: a callback is found in at least so many of the samples of the stall that it makes."""
COMMON_SHARE = 0.5
"""Code that fewer samples show is not what the stall was about; then the next kind of code is asked."""
MAX_FRAMES = 200
MAX_STACKS = 5
"""In an incident; the probe keeps three, py-spy takes five samples."""

ORDER = (Origin.OWN, Origin.PACKAGE, Origin.STANDARD, Origin.FRAMEWORK)
MODULE = "<module>"


class Culprit(msgspec.Struct, frozen=True):
    """A frame, and how sure it is."""

    frame: Frame
    agreement: float
    """The share of the samples that show it on the same path."""
    origin: Origin


class _Path(msgspec.Struct, frozen=True):
    """The frames of one kind in a stack, outermost first."""

    samples: int
    frames: tuple[Frame, ...]


def callback(stack: Stack) -> tuple[Frame, ...]:
    """What the loop called, innermost first: everything within the innermost frame of the loop that calls out."""
    for index, frame in enumerate(stack.frames):
        if is_boundary(frame):
            return stack.frames[:index]
    return stack.frames


def find_culprit(stacks: Sequence[Stack]) -> Culprit | None:
    """The frame that the samples agree on most; None where they show nothing but the loop."""
    total = sum(stack.samples for stack in stacks if stack.samples > 0)
    best: Culprit | None = None
    for kind in ORDER:
        paths = [_Path(stack.samples, _frames(stack, kind)) for stack in stacks if stack.samples > 0]
        found = _walk(paths, total, kind)
        if found is not None and found.agreement >= COMMON_SHARE:
            return found
        if found is not None and (best is None or found.agreement > best.agreement):
            best = found
    return best


def _walk(paths: list[_Path], total: int, kind: Origin) -> Culprit | None:
    """Inwards along the most shared calls, for as long as enough samples go along; at least one step."""
    found: Culprit | None = None
    depth = 0
    while True:
        by_function: dict[tuple[str, str], list[_Path]] = {}
        for path in paths:
            if len(path.frames) > depth:
                frame = path.frames[depth]
                by_function.setdefault((frame.file, frame.function), []).append(path)
        if not by_function:
            return found
        paths = max(by_function.values(), key=_samples)
        share = _samples(paths) / total
        if found is not None and share < AGREE_SHARE:
            return found
        found = Culprit(_most_seen_line(paths, depth), share, kind)
        depth += 1


def _samples(paths: Iterable[_Path]) -> int:
    return sum(path.samples for path in paths)


def _most_seen_line(paths: list[_Path], depth: int) -> Frame:
    lines: dict[Frame, int] = {}
    for path in paths:
        lines[path.frames[depth]] = lines.get(path.frames[depth], 0) + path.samples
    return max(lines, key=lambda frame: (lines[frame], -frame.line))


def _frames(stack: Stack, kind: Origin) -> tuple[Frame, ...]:
    """The frames of one kind that have a name, or a module that is being imported where there is no other."""
    called = callback(stack)
    if len(called) == len(stack.frames) and called and called[-1].function == MODULE:
        called = called[:-1]  # the script; where it called into a loop written in C, nothing else would tell
    of_kind = [frame for frame in by_name(called[:MAX_FRAMES]) if origin(frame) is kind]
    named = [frame for frame in of_kind if frame.function != MODULE]
    return tuple(reversed(named or of_kind))


def stacks_as_evidence(stacks: Sequence[Stack]) -> list[dict[str, object]]:
    """The stacks as an incident carries them: equal ones merged, the most seen first, innermost frame first."""
    merged: dict[tuple[Frame, ...], int] = {}
    for stack in stacks:
        merged[stack.frames] = merged.get(stack.frames, 0) + stack.samples
    most = sorted(merged.items(), key=lambda item: -item[1])[:MAX_STACKS]
    return [
        {
            "samples": samples,
            "frames": [{"function": one.function, "file": one.file, "line": one.line} for one in frames],
        }
        for frames, samples in most
    ]
