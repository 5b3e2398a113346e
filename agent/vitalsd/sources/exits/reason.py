"""
Why a worker has ended, from how it ended and what was known of it. Pure.

In order is what exits with 0, what ends by a signal that asks for it, and what the supervisor's kind ends its own
with. Everything else is out of order, and who has sent a signal is known of none: so SIGKILL is the kernel's where
the group's own counter has moved, and nobody's elsewhere.
"""

from __future__ import annotations

import os
import signal

import msgspec
from msgspec.structs import replace

from vitalsd.model import ExitReason, MemoryKill, SupervisorKind

__all__ = ["ASKED", "FullHeap", "Known", "Told", "tell"]

ASKED = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP))
"""Signals that somebody sends to have a process end."""
GRACEFUL: dict[SupervisorKind, frozenset[int]] = {
    # billiard's EX_RECYCLE (max_tasks_per_child, max_memory_per_child); asked by TERM it exits with that signal's
    # number, and asked twice with EX_SOFTWARE.
    "celery": frozenset((155, 15, 70)),
    # uwsgi.h: RELOAD, END, QUIET, BRUTAL_RELOAD, GO_CHEAP
    "uwsgi": frozenset((17, 30, 29, 31, 15)),
}
"""What a kind of supervisor ends its own workers with, beside 0."""
MEANING: dict[SupervisorKind, dict[int, str]] = {
    "gunicorn": {3: "the worker could not boot", 4: "the application could not be loaded"},
    "uvicorn": {3: "the application did not start"},
    "uwsgi": {22: "the application could not be loaded", 5: "an exception that it was told to end for"},
}
"""What their workers mean by others."""
MEANING_OF_MASTER: dict[SupervisorKind, dict[int, str]] = {
    "gunicorn": {
        3: "gunicorn gives up because a worker could not boot",
        4: "gunicorn gives up because the application could not be loaded",
    },
    "uvicorn": {3: "the application did not start"},
    "uwsgi": {22: "the application could not be loaded"},
}
"""What they mean themselves, at the head of their workers or alone."""
SHELL_SIGNAL = 128
"""A shell, and who follows its example, exits with this and the signal that its command has ended by."""
ABORTED = (("signal", "SIGABRT", None), ("error", None, SHELL_SIGNAL + signal.SIGABRT))
"""How V8 ends a process whose heap is full, itself and through a shell."""
MEBIBYTE = 1 << 20
LATE_SECONDS = 2.0
"""A heartbeat is looked at each second, and supervisors look once a second as well."""


class FullHeap(msgspec.Struct, frozen=True):
    """A heap of V8's that was as good as full at the last sample."""

    used_bytes: int
    limit_bytes: int


class Known(msgspec.Struct, frozen=True):
    """What was known of a worker when it ended."""

    kind: SupervisorKind | None = None
    """What supervisor it had, or was."""
    is_master: bool = False
    """It was that itself, at the head of workers or alone."""
    timeout_seconds: float | None = None
    silent_seconds: float | None = None
    """Since its last sign of life."""
    expected: bool = False
    """This agent has asked for it."""
    memory_kill: MemoryKill | None = None
    full_heap: FullHeap | None = None
    untold: str = ""
    """Why the kernel does not tell how it ended, where it does not."""


class Told(msgspec.Struct, frozen=True):
    """Why it ended, and how that is known."""

    reason: ExitReason
    evidence: str
    code: int | None = None
    signal: str | None = None
    by_heap: bool = False
    """It has most likely met the limit of V8's heap."""


def tell(status: int | None, known: Known) -> Told:
    """The reason, from a wait status; None is not known."""
    if status is None:
        told = Told("unknown", known.untold or "the kernel does not tell how it ended")
    elif os.WIFSIGNALED(status):
        told = _by_signal(os.WTERMSIG(status), os.WCOREDUMP(status), known)
    else:
        told = _by_itself(os.WEXITSTATUS(status), known)
    if known.expected:
        return Told("recycled", f"this agent has asked for it: {told.evidence}", told.code, told.signal)
    if known.full_heap is not None and (told.reason, told.signal, told.code) in ABORTED:
        return replace(told, evidence=f"{told.evidence}; {_full(known.full_heap)}", by_heap=True)
    return told


def _full(heap: FullHeap) -> str:
    had = f"{heap.used_bytes / MEBIBYTE:.0f} of the {heap.limit_bytes / MEBIBYTE:.0f} MiB that it may have"
    return f"V8's heap had {had} at its last sample, and V8 ends a process so whose heap is full"


def _by_signal(number: int, core: bool, known: Known) -> Told:
    name = _name(number)
    if number == signal.SIGKILL and known.memory_kill is not None:
        group = known.memory_kill.group
        moved = (
            f"the kernel's counter of its group {group} of kills for memory has moved"
            if group is not None
            else "the host's counter of kills for memory has moved, perhaps for another process"
        )
        return Told("oom_kill", f"SIGKILL, and {moved}", None, name)
    timeout = _timeout(known) if number in (signal.SIGABRT, signal.SIGKILL) else None
    if timeout is not None:
        return Told("timeout", f"{name} {timeout}", None, name)
    if number in ASKED:
        return Told("graceful", f"{name}, which asks a process to end", None, name)
    dumped = ", with a core dump" if core else ""
    whose = "; who has sent it is not known" if number == signal.SIGKILL else ""
    return Told("signal", f"{name}{dumped}{whose}", None, name)


def _by_itself(code: int, known: Known) -> Told:
    kind = known.kind if not known.is_master else None
    if code == 0:
        aborted = _timeout(known, late_seconds=0.0) if kind == "gunicorn" else None
        if aborted is not None:
            return Told("timeout", f"it exited with 0, as a request does that SIGABRT interrupts, {aborted}", code)
        return Told("graceful", "it exited with 0", code)
    if kind is not None and code in GRACEFUL.get(kind, ()):
        return Told("graceful", f"it exited with {code}, as {kind} has its workers end", code)
    if code - SHELL_SIGNAL in ASKED:
        asked_by = _name(code - SHELL_SIGNAL)
        return Told("graceful", f"it exited with {code}, as one that was asked by {asked_by}", code)
    timeout = _timeout(known) if code == 1 and kind == "gunicorn" else None
    if timeout is not None:
        return Told("timeout", f"it exited with 1, as gunicorn's workers do at SIGABRT, {timeout}", code)
    meanings = MEANING_OF_MASTER if known.is_master else MEANING
    meaning = meanings.get(known.kind, {}).get(code) if known.kind is not None else None
    if meaning is None and SHELL_SIGNAL < code < SHELL_SIGNAL + signal.NSIG:
        meaning = f"as a shell does whose command has ended by {_name(code - SHELL_SIGNAL)}"
    return Told("error", f"it exited with {code}" + (f": {meaning}" if meaning is not None else ""), code)


def _timeout(known: Known, late_seconds: float = LATE_SECONDS) -> str | None:
    """How it is known that the supervisor has ended it for its silence; None where that is not known."""
    timeout, silent = known.timeout_seconds, known.silent_seconds
    if known.is_master or timeout is None or silent is None or silent < timeout - late_seconds:
        return None
    return f"after {silent:.0f} s without a sign of life, where its supervisor waits for {timeout:g} s"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number > signal.SIGRTMIN else f"signal {number}"
