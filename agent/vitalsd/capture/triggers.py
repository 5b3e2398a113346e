"""
Which capture an incident asks for, and when. Pure; the desk and its policy decide whether it is taken.

The stacks of a stall are taken during the stall, by the probe or by py-spy, and are no captures. What is asked for
here is what those do not tell: all threads of a process that does not come back, where the time of one goes that
stalls again and again, which code has allocated what is not given back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from vitalsd.capture.model import CaptureKind
from vitalsd.detect.holds import HELD
from vitalsd.model import Incident

__all__ = ["TRIGGERS", "Trigger", "triggered"]

STALLS = 3
"""One stall has its stacks; by the third a profile is worth its cost."""


class Trigger(msgspec.Struct, frozen=True):
    """One capture that a kind of incident asks for, once in its life."""

    kind: CaptureKind
    reason: str
    when: Literal["opened", "late", "repeated"] = "opened"
    """At once; while the loop is late; or when it was found STALLS times."""
    causes: frozenset[str] = frozenset()
    """Only of these causes."""


COMPUTES = frozenset({"blocking_cpu", "ready_flood", "microtask_flood", "gil_contention", "gc_pause", "unknown"})
ALLOCATES = Trigger("memory", "what is allocated and not given back, to tell a leak from growth by comparing both")
LIVES = Trigger("heap", "what lives in the process")
THREADS = Trigger("stacks", "what its threads and tasks are at")
TRIGGERS: dict[str, tuple[Trigger, ...]] = {
    "stall": (
        Trigger("stacks", "its event loop does not come back: what all threads are at", "late"),
        Trigger("cpu", f"its event loop has stalled {STALLS} times: where its time goes", "repeated", COMPUTES),
    ),
    "starvation": (Trigger("cpu", "its event loop has too much to do: where its time goes"),),
    "gc_pressure": (LIVES,),
    "pool_saturation": (THREADS,),
    "growth": (ALLOCATES, LIVES),
    "leak": (Trigger("memory", "what is allocated and not given back: a leak was proven"), LIVES),
    "exhaustion": (
        Trigger("memory", "its memory limit will be met: the last chance to see what takes it"),
        LIVES,
    ),
    "heap_exhaustion": (
        Trigger("heap", "V8 ends it when its heap is full: the last chance to see what lives in it"),
        Trigger("memory", "V8 ends it when its heap is full: what is allocated and not given back"),
    ),
    "task_leak": (THREADS, LIVES),
    "thread_leak": (THREADS,),
    "fd_leak": (THREADS,),
    "fd_exhaustion": (THREADS,),
    "worker_hung": (Trigger("stacks", "it hangs, and its supervisor may end it: what its threads are at"),),
}
"""Kind of incident -> what it asks for, in this order."""


def triggered(incident: Incident, *, late: bool) -> Iterator[Trigger]:
    """What an open incident asks for as it is now; `late` is whether the worker's loop is late at this moment."""
    if incident.state != "open" or not incident.worker or incident.fault == HELD:
        return
    for trigger in TRIGGERS.get(incident.kind, ()):
        if trigger.causes and (incident.cause or "unknown") not in trigger.causes:
            continue
        if trigger.when == "late" and not late:
            continue
        if trigger.when == "repeated" and incident.count < STALLS:
            continue
        yield trigger
