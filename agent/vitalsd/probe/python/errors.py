"""
Counts errors that nobody handled, by the channel through which the interpreter tells of them.

Each channel has a hook, and ours calls the one it found: the service sees and logs exactly what it did before. A
hook that the service sets later is wrapped in turn, and an error that passes several of ours counts once.
"""

from __future__ import annotations

import sys

from . import layout
from .lifecycle import get_ident

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TASK_MESSAGES = ("Task exception was never retrieved", "Future exception was never retrieved")


class Errors:
    """The counts, in the order of `layout.ERROR_CHANNELS`."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(layout.ERROR_CHANNELS, 0.0)
        self._inside: set[tuple[str, int]] = set()
        self._stopped = False
        self._hooked: list[tuple[Any, str, Any, Any]] = []
        """Where, what was there, and ours."""

    def hook(self) -> None:
        """Put a counter around every hook that has none yet; called again now and then."""
        self._around(sys, "unraisablehook", "unraisable")
        threading = sys.modules.get("threading")
        if threading is not None:
            self._around(threading, "excepthook", "thread")
        warnings = sys.modules.get("warnings")
        if warnings is not None:
            self._around_warning(warnings)
        asyncio = sys.modules.get("asyncio.base_events")
        if asyncio is not None:
            self._around_loop(asyncio.BaseEventLoop)
        uvloop = sys.modules.get("uvloop")
        if uvloop is not None and hasattr(uvloop, "Loop"):
            self._around_loop(uvloop.Loop)

    def _around(self, owner: Any, name: str, channel: str) -> None:
        found = getattr(owner, name, None)
        if found is None or self._is_ours(found):
            return

        def counted(*arguments: Any) -> Any:
            return self._count(channel, found, arguments)

        self._install(owner, name, found, counted)

    def _around_warning(self, warnings: Any) -> None:
        """It blames its caller's caller: ours must look like the import system, which it skips."""
        found = getattr(warnings, "_warn_unawaited_coroutine", None)
        if found is None or self._is_ours(found):
            return
        mine, inside = self, self._inside

        def counted(coroutine: Any) -> Any:
            mark = ("coroutine", get_ident())
            if mine._stopped or mark in inside:
                return found(coroutine)
            inside.add(mark)
            try:
                mine.counts["coroutine"] += 1
                return found(coroutine)
            finally:
                inside.discard(mark)

        counted.__code__ = counted.__code__.replace(co_filename="<frozen importlib._bootstrap>")
        self._install(warnings, "_warn_unawaited_coroutine", found, counted)

    def _around_loop(self, kind: Any) -> None:
        found = kind.call_exception_handler
        if self._is_ours(found):
            return

        def call_exception_handler(loop: Any, context: Any) -> Any:
            message = context.get("message") if isinstance(context, dict) else None
            channel = "task" if message in TASK_MESSAGES else "loop"
            return self._count(channel, found, (loop, context))

        self._install(kind, "call_exception_handler", found, call_exception_handler)

    def _is_ours(self, found: Any) -> bool:
        """By identity: functools.wraps would copy a mark to the service's wrapper."""
        return any(ours is found for _, _, _, ours in self._hooked)

    def _install(self, owner: Any, name: str, found: Any, ours: Any) -> None:
        setattr(owner, name, ours)
        self._hooked.append((owner, name, found, ours))

    def _count(self, channel: str, found: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        mark = (channel, get_ident())
        if self._stopped or mark in self._inside:
            return found(*arguments)
        self._inside.add(mark)
        try:
            self.counts[channel] += 1
            return found(*arguments)
        finally:
            self._inside.discard(mark)

    def stop(self) -> None:
        """Take our hooks out where they are still the outermost; the others only stop counting."""
        self._stopped = True
        for owner, name, found, ours in reversed(self._hooked):
            if getattr(owner, name, None) is ours:
                setattr(owner, name, found)
