"""
Which functions the time went to, and which threads: what a person wants to know before opening a file. Pure.

A sample is charged to one function: the innermost of the service's own code that the loop, or the thread, has
called; where there is none, to the innermost of a package, of the standard library, of a framework, of the loop.
So what the service spends in `json` is told as the line of the service that calls it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vitalsd.capture.ours import OUR_THREAD
from vitalsd.capture.profiles.folded import Sampled, Thread
from vitalsd.detect.culprit import ORDER, callback
from vitalsd.detect.machinery import by_name, origin
from vitalsd.model import Frame, Stack

__all__ = ["MOST_ROWS", "charged", "thread_samples", "top_functions"]

MOST_ROWS = 20
Function = tuple[str, str]
"""File and name."""


def charged(frames: tuple[Frame, ...]) -> Frame | None:
    """The frame that a stack is charged to, of its frames from the innermost on; None where it has none."""
    called = callback(Stack(1, frames)) or frames
    named = by_name(called) or list(called)
    for kind in ORDER:
        for frame in named:
            if origin(frame) is kind:
                return frame
    return named[0] if named else None


def top_functions(stacks: Sequence[Sampled], most: int = MOST_ROWS) -> list[dict[str, object]]:
    """Those that most samples of the service are charged to; `total_share` is of the samples that they are in."""
    own: Counter[Function] = Counter()
    whole: Counter[Function] = Counter()
    lines: dict[Function, Counter[int]] = {}
    kinds: dict[Function, str] = {}
    for stack in stacks:
        if stack.thread.name == OUR_THREAD:
            continue
        frame = charged(stack.frames[::-1])
        if frame is not None:
            function = frame.file, frame.function
            own[function] += stack.samples
            lines.setdefault(function, Counter())[frame.line] += stack.samples
            kinds[function] = origin(frame).value
        for function in {(each.file, each.function) for each in stack.frames}:
            whole[function] += stack.samples
    total = sum(stack.samples for stack in stacks if stack.thread.name != OUR_THREAD) or 1
    ranked = sorted(own, key=lambda function: (-own[function], function))
    return [
        {
            "function": function[1],
            "file": function[0],
            "line": min(lines[function], key=lambda line: (-lines[function][line], line)),
            "origin": kinds[function],
            "charged_share": round(own[function] / total, 4),
            "total_share": round(whole[function] / total, 4),
        }
        for function in ranked[:most]
    ]


def thread_samples(stacks: Sequence[Sampled]) -> dict[Thread, int]:
    """How many samples each thread has, the most first."""
    counted: Counter[Thread] = Counter()
    for stack in stacks:
        counted[stack.thread] += stack.samples
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0].id, item[0].name)))
