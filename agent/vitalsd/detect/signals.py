"""
The evidence of one stall as shares and rates: what the tests of `cause` ask.

A share is of the stall's own time, 0 to 1; None where nothing tells. Evidence comes from programs and files that
may be damaged, so what is no number counts as not known.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cached_property

from vitalsd.detect.culprit import Culprit, callback, find_culprit
from vitalsd.detect.machinery import BUILTIN, Origin, last_name, origin
from vitalsd.detect.waits import Wait, waits_in
from vitalsd.model import Doing, Stack, StallEvidence, ThreadEvidence

__all__ = ["LITTLE_CPU_SHARE", "Signals"]

RUNNABLE_LOOKS = 8
"""Fewer tell nothing of how much of the time a thread was runnable."""
LITTLE_CPU_SHARE = 0.4
"""Below this, runnable was not running, whatever the looks say."""
AGREEING_LOOKS = 2
"""One look at the interpreter tells nothing of what went on."""
MICROTASK_ROOTS = {"processTicksAndRejections", "runMicrotasks", "runNextTicks"}


class Signals:
    """One stall's evidence, put into relation."""

    def __init__(self, evidence: StallEvidence, switch_interval_seconds: float) -> None:
        self.evidence = evidence
        self.thread: ThreadEvidence | None = evidence.thread
        self.host = evidence.host
        self.seconds = _positive(evidence.seconds) or 0.0
        self.node = evidence.runtime == "node"
        self.switches_at_lock_per_second = 1 / max(1e-6, _positive(switch_interval_seconds) or 0.005)
        self.holder = find_culprit(evidence.holder_stacks)
        self.turn = evidence.turn
        told = evidence.turn.ready if evidence.turn is not None else None
        self.ready = told if told is not None else evidence.ready_callbacks
        self.probed = evidence.probed or any(
            value is not None for value in (evidence.cpu_seconds, evidence.gc_seconds, evidence.ready_callbacks)
        )
        """Only a probe tells these."""
        self.sure = self.probed or (evidence.turn is not None and evidence.turn.one_turn)
        """Whether it is known to have been one stretch in which the loop did not turn."""

    @cached_property
    def looks(self) -> int:
        """How often /proc was looked at."""
        return sum(max(0, count) for count in self.thread.doing.values()) if self.thread is not None else 0

    def doing(self, *kinds: Doing) -> float:
        """The share of the looks that found the thread doing one of these."""
        if self.thread is None or not self.looks:
            return 0.0
        return sum(max(0, self.thread.doing.get(kind, 0)) for kind in kinds) / self.looks

    def state(self, *letters: str) -> float:
        """The share of the looks that found the thread in one of these states."""
        if self.thread is None:
            return 0.0
        total = sum(max(0, count) for count in self.thread.states.values())
        return sum(max(0, self.thread.states.get(letter, 0)) for letter in letters) / total if total else 0.0

    @cached_property
    def cpu_share(self) -> float | None:
        """Of the stall, spent on a processor; the probe's clock, which knows all of it, before /proc's."""
        by_probe = _share(self.evidence.cpu_seconds, self.seconds)
        if by_probe is not None or self.thread is None:
            return by_probe
        return _share(self.thread.cpu_seconds, self.thread.seconds)

    @property
    def computed_seconds(self) -> float:
        """On a processor, as far as that is known."""
        return (self.cpu_share or 0.0) * self.seconds

    @cached_property
    def running(self) -> float:
        """Of the looks: on a processor, or ready for one. The state tells it where the call may not be read."""
        return max(self.doing("running"), self.state("R"))

    @cached_property
    def runqueue_share(self) -> float | None:
        """
        Of the stall, ready to run without a processor: as counted, or as seen runnable without using CPU.

        The kernel counts such a wait when it is over, so the last one may be missing.
        """
        if self.thread is None:
            return None
        counted = _share(self.thread.runqueue_seconds, self.thread.seconds)
        cpu = _share(self.thread.cpu_seconds, self.thread.seconds)
        if cpu is None or self.looks < RUNNABLE_LOOKS or (counted is not None and cpu >= LITTLE_CPU_SHARE):
            return counted
        return max(counted or 0.0, self.running - cpu)

    @cached_property
    def gc_share(self) -> float | None:
        """Of the stall, inside the garbage collector; the probe's clock before looks at the interpreter."""
        by_probe = _share(self.evidence.gc_seconds, self.seconds)
        if by_probe is None and self.evidence.heap_looks >= AGREEING_LOOKS:
            collecting = self.evidence.heap_collecting
            return _share(collecting if collecting >= AGREEING_LOOKS else 0, self.evidence.heap_looks)
        if by_probe is not None or self.turn is None or self.turn.looks < AGREEING_LOOKS:
            return by_probe
        return _share(self.turn.collecting, self.turn.looks)

    @cached_property
    def ran(self) -> int | None:
        """How many callbacks began while it was looked at."""
        return self.turn.ran if self.turn is not None else None

    @cached_property
    def late_share(self) -> float | None:
        """How much of the stall the agent itself was late."""
        return _share(self.host.agent_late_seconds, self.seconds)

    @cached_property
    def throttled_share(self) -> float | None:
        """Of the stall, the cgroup without its quota."""
        window = self.thread.seconds if self.thread is not None else self.seconds
        return _share(self.host.throttled_seconds, window)

    @cached_property
    def throttled_periods_share(self) -> float | None:
        """Of the quota's periods in the stall."""
        if self.host.periods is None or self.host.periods <= 0:
            return None
        return _share(self.host.throttled_periods, self.host.periods)

    def rate(self, count: int | None) -> float | None:
        """Per second of looking."""
        if self.thread is None or count is None:
            return None
        seconds = _positive(self.thread.seconds)
        return max(0, count) / seconds if seconds else None

    @cached_property
    def culprit(self) -> Culprit | None:
        """Who the stacks agree on."""
        return find_culprit(self.evidence.stacks)

    @cached_property
    def flooder(self) -> Culprit | None:
        """Who the stacks agree on but for those between two callbacks, which show nobody."""
        return find_culprit([stack for stack in self.evidence.stacks if waits_in(stack) != "loop"])

    @cached_property
    def same_callback_share(self) -> float:
        """Of the stacks, those in which the loop has called the same function, whoever's it is."""
        called = ((callback(stack), stack.samples) for stack in self.evidence.stacks if stack.samples > 0)
        outermost = Counter[tuple[str, str]]()
        for frames, samples in called:
            if frames:
                outermost[frames[-1].file, frames[-1].function] += samples
        return max(outermost.values(), default=0) / self.samples if self.samples else 0.0

    @cached_property
    def samples(self) -> int:
        """How many stacks were taken."""
        return sum(max(0, stack.samples) for stack in self.evidence.stacks)

    @cached_property
    def waits(self) -> dict[Wait, float]:
        """The share of the stacks that wait for what."""
        shares: dict[Wait, float] = {}
        for stack in self.evidence.stacks:
            if stack.samples > 0:
                wait = waits_in(stack)
                shares[wait] = shares.get(wait, 0.0) + stack.samples / self.samples
        return shares

    @cached_property
    def in_builtin_share(self) -> float:
        """Of the stacks, those that end in a function of V8's own: `Array.pop` computes, and waits for nobody."""
        ends = (stack.samples for stack in self.evidence.stacks if stack.samples > 0 and _in_builtin(stack))
        return sum(ends) / self.samples if self.samples else 0.0

    @cached_property
    def microtask_share(self) -> float:
        """Of the stacks, those that Node's queue of microtasks began."""
        begun = sum(stack.samples for stack in self.evidence.stacks if stack.samples > 0 and _by_microtask(stack))
        return begun / self.samples if self.samples else 0.0


def _by_microtask(stack: Stack) -> bool:
    """
    Whether it began in Node's queue of microtasks, be it Node or V8 itself that had it emptied.

    After a callback V8 does so; then there is nothing of Node's below what an `await` goes on with.
    """
    if any(last_name(frame.function) in MICROTASK_ROOTS for frame in stack.frames):
        return True
    return bool(stack.frames) and origin(stack.frames[-1]) in (Origin.OWN, Origin.PACKAGE)


def _in_builtin(stack: Stack) -> bool:
    return bool(stack.frames) and stack.frames[0].file in BUILTIN


def _positive(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _share(part: float | None, whole: float) -> float | None:
    if part is None or not math.isfinite(part) or _positive(whole) is None:
        return None
    return min(1.0, max(0.0, part / whole))
