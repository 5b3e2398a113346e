"""
The stack engine for a Node without a probe: its main thread, and whichever of its other threads run JavaScript.

A thread that is in a call is read as it stands, in a millisecond; one that computes is sampled by the kernel for
twelve milliseconds of its own time, and the stack that most samples have is told. Nothing is stopped. A thread
that waits for events has no stack, which is what the page says of it. Needs what the stacks of stalls need from
outside (docs/permissions.md).
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter

from vitalsd.capture.bursts import burst
from vitalsd.capture.engines.registry import CaptureError, Fit, Job, Made, Subject, register
from vitalsd.capture.engines.stacks import Seen, made_of
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.probe_fit import is_node
from vitalsd.capture.pyspy import ThreadStack
from vitalsd.model import Frame
from vitalsd.settings.model import Settings
from vitalsd.sources.interpreter import ComputesError, NoV8StackError, V8Stacks
from vitalsd.sources.perf import NoSamplesError

__all__ = ["V8OutsideStacks"]

MOST_THREADS = 64
"""Node has eleven of its own; each of a service's costs a search of a few milliseconds."""
MAIN = "MainThread"


@register
class V8OutsideStacks:
    """The stacks as V8's memory tells them."""

    name = "outside"
    kind: CaptureKind = "stacks"
    rank = 2

    def __init__(self, settings: Settings) -> None:
        pass

    def fit(self, subject: Subject) -> Fit:
        """Whether it is a Node that may be looked into."""
        if not V8Stacks(subject.proc).runs(subject.key):
            why = "it reads the stacks of Node, and no V8 can be read in this process"
            return Fit(False, why, foreign=not is_node(subject))
        return Fit(True, "the stack of its main thread is read from its memory, and nothing is stopped")

    async def take(self, job: Job) -> Made:
        """Look at each thread once."""
        subject, at = job.subject, time.time()
        v8 = V8Stacks(subject.proc)
        threads = _threads(subject)
        main, *others = threads[:MOST_THREADS]
        try:
            found = [await _stack(v8, subject, main)]
        except NoV8StackError as why:
            if why.lasting:
                raise CaptureError(str(why)) from None
            found = [ThreadStack(main, MAIN, active=False, owns_gil=None, frames=())]
        for thread in others:
            with contextlib.suppress(NoV8StackError):  # most run no JavaScript at all
                found.append(await _stack(v8, subject, thread))
        untold = max(0, len(threads) - MOST_THREADS)
        return made_of(job, Seen(self.name, at, found, untold, 0.0), None, None)


async def _stack(v8: V8Stacks, subject: Subject, thread: int) -> ThreadStack:
    """One, innermost frame first. Raises NoV8StackError."""
    name = MAIN if thread == subject.pid else f"thread {thread}"
    try:
        frames = v8.frames(subject.key, thread) or ()
    except ComputesError:
        frames = await _sampled(v8, subject, thread)
        if not frames and thread != subject.pid:
            raise
        return ThreadStack(thread, name, active=True, owns_gil=None, frames=frames)
    return ThreadStack(thread, name, active=False, owns_gil=None, frames=frames)


async def _sampled(v8: V8Stacks, subject: Subject, thread: int) -> tuple[Frame, ...]:
    try:
        taken = await burst(v8.number(subject.key, thread))
    except NoSamplesError as why:
        raise CaptureError(str(why)) from None
    seen = Counter(frames for _, frames in v8.sampled(subject.key, thread, taken))
    return seen.most_common(1)[0][0] if seen else ()


def _threads(subject: Subject) -> list[int]:
    """All there are, as the agent sees their numbers, the main thread first."""
    try:
        found = [int(each.name) for each in (subject.proc / str(subject.pid) / "task").iterdir()]
    except OSError:
        raise CaptureError(f"Process {subject.pid} has ended.") from None
    return sorted(found, key=lambda thread: (thread != subject.pid, thread))
