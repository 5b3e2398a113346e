"""
Tells what every thread is doing: number, name, and the function, file and line of each frame. No value, ever.

Costs 0.4 us a frame, AT_ONCE of them at a time, so that no step holds the interpreter for more than some 0.2 ms:
what a thread was doing is one moment, and two threads may be a few milliseconds apart. How long the longest step
took is told. Threads that `threading` does not know have no name; the probe's own is left out.
"""

from __future__ import annotations

import sys
from time import perf_counter

from .protocol import Refused, plain, text_of
from .stalls import GIL, read_stack

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

AT_ONCE, ROWS_AT_ONCE = 300, 100
MOST_THREADS = 1000


def all_stacks() -> Generator[None, None, bytes]:
    """Look in steps; the text in the end."""
    if not GIL:
        raise Refused("without the global lock, threads would run on while they are looked at")
    names = _names()
    idents = sorted(sys._current_frames(), key=lambda ident: ident not in names)
    found: list[tuple[str, tuple[tuple[str, str, int], ...]]] = []
    longest, place = 0.0, 0
    while place < len(idents[:MOST_THREADS]):
        began, steps = perf_counter(), 0
        frames = sys._current_frames()
        while place < len(idents[:MOST_THREADS]) and steps < AT_ONCE:
            stack = read_stack(frames.pop(idents[place], None))
            if stack:
                found.append((names.get(idents[place], "0\t"), stack))
            steps += len(stack) + 1
            place += 1
        frames.clear()
        longest = max(longest, perf_counter() - began)
        yield
    rows: list[str] = []
    written = 0
    for name, stack in found:
        rows.append(name)
        rows.extend("%s\t%s\t%d" % (plain(function), plain(file), line) for function, file, line in stack)
        if len(rows) - written >= ROWS_AT_ONCE:
            written = len(rows)
            yield
    head = {"threads": len(found), "untold": len(idents[MOST_THREADS:]), "held_ns": int(longest * 1e9)}
    return text_of(head, rows)


def _names() -> dict[int, str]:
    """Number and name of each thread that `threading` knows, as fields; no code of the service's runs for it."""
    module: Any = sys.modules.get("threading")
    names: dict[int, str] = {}
    for ident, thread in list(module._active.items()) if module is not None else ():
        told = object.__getattribute__(thread, "__dict__")
        name, number = told.get("_name"), told.get("_native_id")
        names[ident] = "%d\t%s" % (
            number if type(number) is int else 0,
            plain(name) if type(name) is str else "",
        )
    return names
