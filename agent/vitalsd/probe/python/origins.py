"""
What an unhandled error was and where it came from: its type, and the frames that it came through.

No message, no argument, no value: those belong to the service and whom it serves. Nothing of the error is kept but
text, or it would stay alive with every frame that it came through. Costs a few microseconds per error looked at.
"""

from __future__ import annotations

import sys

from .stalls import encode_stack, plain

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import Any

    from .stalls import Stack

    Origin = tuple[str, Stack]
    """The name of the type, and the frames, innermost first."""

MAX_FRAMES = 12
"""The innermost: where it was raised, and who of the service had asked for that."""
MAX_STEPS = 1000
"""Of a traceback as deep as a recursion can make it, these are walked."""


def of_context(_loop: Any, context: Any) -> Origin:
    """What a loop's exception handler was called with."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        return _name(type(error)), _frames(error.__traceback__)
    return "", _of_task(context.get("task"))


def of_thread(told: Any) -> Origin:
    """What threading's hook was called with."""
    return _name(told.exc_type), _frames(told.exc_traceback)


def of_unraisable(told: Any) -> Origin:
    """What the hook for errors that cannot be raised was called with; a finalizer may have left no traceback."""
    return _name(told.exc_type), _frames(told.exc_traceback) or _of_code(getattr(told.object, "__code__", None))


def of_coroutine(coroutine: Any) -> Origin:
    """A coroutine that nobody has awaited: where it is defined is all there is."""
    return "RuntimeWarning", _of_code(getattr(coroutine, "cr_code", None))


def encode(origin: Origin, room: int) -> bytes:
    """As text: the type on a line of its own, and then the frames as a stack has them."""
    name, frames = origin
    head = plain(name) + b"\n"
    return head + encode_stack(1, frames, room - len(head))


def _name(kind: Any) -> str:
    if not isinstance(kind, type):
        return ""
    module, name = kind.__module__, kind.__qualname__
    if type(name) is not str:  # a metaclass may answer with anything
        return ""
    return "%s.%s" % (module, name) if type(module) is str and module not in ("builtins", "__main__") else name


def _frames(traceback: TracebackType | None) -> Stack:
    """The innermost frames of a traceback, which begins with the outermost."""
    frames: list[tuple[str, str, int]] = []
    steps: list[tuple[CodeType, int]] = []
    for _ in range(MAX_STEPS):
        if traceback is None:
            break
        steps.append((traceback.tb_frame.f_code, traceback.tb_lineno or 0))
        traceback = traceback.tb_next
    for code, line in steps[: -MAX_FRAMES - 1 : -1]:
        frames.append((getattr(code, "co_qualname", code.co_name), code.co_filename, line))
    return tuple(frames)


def _of_task(task: Any) -> Stack:
    """The coroutine of a task that was destroyed while it was pending."""
    module = sys.modules.get("asyncio")
    if (
        module is None or type(task) is not module.Task
    ):  # one of the service's own kind may answer with its own code
        return ()
    return _of_code(getattr(task.get_coro(), "cr_code", None))


def _of_code(code: Any) -> Stack:
    if code is None:
        return ()
    return ((getattr(code, "co_qualname", code.co_name), code.co_filename, code.co_firstlineno),)
