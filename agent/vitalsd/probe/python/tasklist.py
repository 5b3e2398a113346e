"""
Lists the asyncio tasks that are not done, by coroutine: how many there are of each, and where one of them waits.

Costs 2 us a task, a hundred at a time. To ask a coroutine where it waits gives it a frame object for the rest of
its life, some 100 bytes, so only one of each kind is asked. What a coroutine is called is its own; one that is of
neither of the interpreter's own types is told by its type, since its attributes may be code of the service.
"""

from __future__ import annotations

import sys
from types import CoroutineType, GeneratorType
from weakref import ref

from . import counts
from .census import type_name
from .protocol import Refused, plain, text_of

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any

    Place = tuple[str, str, int]
    """Function, file and line."""

AT_ONCE = 100
MOST_KINDS = 1000
MOST_ROWS = 500
MOST_DEPTH = 100
GIL = getattr(sys, "_is_gil_enabled", bool)() or not hasattr(sys, "_is_gil_enabled")


def tasks(running: Callable[[], Iterable[Any]]) -> Generator[None, None, bytes]:
    """Count in steps; the text in the end."""
    if not GIL:
        raise Refused("without the global lock, tasks would run on while they are looked at")
    found: dict[Place, int] = {}
    waiting: dict[Place, Place] = {}
    untold = 0
    for number, reference in enumerate(_references(running)):
        coroutine = _pending_coroutine(reference)
        if coroutine is not None:
            place = _place(coroutine)
            if place in found or len(found) < MOST_KINDS:
                found[place] = found.get(place, 0) + 1
                if place not in waiting:
                    waiting[place] = _where_it_waits(coroutine)
            else:
                untold += 1
            coroutine = None
        if number % AT_ONCE == AT_ONCE - 1:
            yield
    told = sorted(found, key=found.__getitem__, reverse=True)
    total = sum(found.values()) + untold
    head = {"tasks": total, "untold": total - sum(found[place] for place in told[:MOST_ROWS])}
    rows = ["%d\t%s\t%s" % (found[place], _fields(place), _fields(waiting[place])) for place in told[:MOST_ROWS]]
    return text_of(head, rows)


def _references(running: Callable[[], Iterable[Any]]) -> list[Any]:
    if not counts.BY_LOOP:
        return counts.task_references()
    module: Any = sys.modules.get("asyncio.tasks")
    loops = running() if module is not None else ()
    return [ref(task) for loop in loops for task in module.all_tasks(loop)]


def _pending_coroutine(reference: Any) -> Any:
    """What the task runs; None when it is gone, or done."""
    task = reference()
    return task.get_coro() if task is not None and not task.done() else None


def _place(coroutine: Any) -> Place:
    """What a coroutine is called, and where it is written."""
    code = _code(coroutine)
    if code is None:
        return type_name(type(coroutine)), "", 0
    return coroutine.__qualname__, code.co_filename, code.co_firstlineno


def _code(coroutine: Any) -> Any:
    kind = type(coroutine)
    if kind is CoroutineType:
        return coroutine.cr_code
    return coroutine.gi_code if kind is GeneratorType else None


def _where_it_waits(coroutine: Any) -> Place:
    """The innermost place on the way to what it waits for that is not asyncio's own."""
    machinery = sys.modules["asyncio.tasks"].__file__ or ""
    machinery = machinery[: machinery.rfind("/") + 1]
    found = ("", "", 0)
    for _ in range(MOST_DEPTH):
        kind = type(coroutine)
        if kind is CoroutineType:
            frame, coroutine = coroutine.cr_frame, coroutine.cr_await
        elif kind is GeneratorType:
            frame, coroutine = coroutine.gi_frame, coroutine.gi_yieldfrom
        else:
            break
        if frame is None:
            break
        code = frame.f_code
        if not found[0] or not (machinery and code.co_filename.startswith(machinery)):
            found = (getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno or 0)
    return found


def _fields(place: Place) -> str:
    function, file, line = place
    return "%s\t%s\t%d" % (plain(function), plain(file), line)
