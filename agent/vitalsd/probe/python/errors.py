"""
Counts errors that nobody handled, by the channel through which the interpreter tells of them, and remembers what
the latest of each channel was.

Each channel has a hook, and ours calls the one it found: the service sees and logs exactly what it did before. A
hook that the service sets later is wrapped in turn, and an error that passes several of ours counts once. While
nothing fails nothing is called; of errors in quick succession only one each NOTE_SECONDS is looked at.
"""

from __future__ import annotations

import sys
from time import monotonic

from . import layout, origins
from .lifecycle import get_ident

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .origins import Origin
    from .segment import Segment

NOTE_SECONDS = 0.1
"""What errors come from is looked at so often: a flood of them must not be the dearer for it."""
CHANNELS = layout.ERROR_CHANNELS[:5]
"""Those that Python has."""
TASK_MESSAGES = ("Task exception was never retrieved", "Future exception was never retrieved")


class Errors:
    """The counts, in the order of `CHANNELS`."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(CHANNELS, 0.0)
        self._latest: dict[str, tuple[float, Origin]] = {}
        """Channel -> the number of the error among those of its channel, and what it was."""
        self._noted_at: dict[str, float] = {}
        self._told: dict[str, tuple[float, Origin]] = {}
        self._inside: set[tuple[str, int]] = set()
        self._stopped = False
        self._hooked: list[tuple[Any, str, Any, Any]] = []
        """Where, what was there, and ours."""
        self._ours: set[int] = set()

    def hook(self) -> None:
        """Put a counter around every hook that has none yet; called again now and then."""
        self._around(sys, "unraisablehook", "unraisable", origins.of_unraisable)
        threading = sys.modules.get("threading")
        if threading is not None:
            self._around(threading, "excepthook", "thread", origins.of_thread)
        warnings = sys.modules.get("warnings")
        if warnings is not None:
            self._around_warning(warnings)
        asyncio = sys.modules.get("asyncio.base_events")
        if asyncio is not None:
            self._around_loop(asyncio.BaseEventLoop)
        uvloop = sys.modules.get("uvloop")
        if uvloop is not None and hasattr(uvloop, "Loop"):
            self._around_loop(uvloop.Loop)

    @property
    def total(self) -> float:
        """How many there were, of all channels."""
        return sum(self.counts.values())

    def tell(self, segment: Segment) -> None:
        """Publish what the latest errors were, where there are new ones; by the watchdog."""
        for record, channel in zip(layout.ERROR, CHANNELS):
            latest = self._latest.get(channel)
            if latest is not None and latest is not self._told.get(channel):
                number, origin = latest
                segment.put(record, (number,), origins.encode(origin, record.text_bytes))
                self._told[channel] = latest

    def _around(self, owner: Any, name: str, channel: str, origin_of: Callable[..., Origin]) -> None:
        found = getattr(owner, name, None)
        if found is None or self._is_ours(found):
            return

        def counted(*arguments: Any) -> Any:
            return self._count(channel, found, arguments, origin_of)

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
                mine._note("coroutine", origins.of_coroutine, (coroutine,))
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
            return self._count(channel, found, (loop, context), origins.of_context)

        self._install(kind, "call_exception_handler", found, call_exception_handler)

    def _is_ours(self, found: Any) -> bool:
        """By identity: functools.wraps would copy a mark to the service's wrapper."""
        return id(found) in self._ours

    def _install(self, owner: Any, name: str, found: Any, ours: Any) -> None:
        setattr(owner, name, ours)
        self._hooked.append((owner, name, found, ours))
        self._ours.add(id(ours))

    def _count(
        self,
        channel: str,
        found: Callable[..., Any],
        arguments: tuple[Any, ...],
        origin_of: Callable[..., Origin],
    ) -> Any:
        mark = (channel, get_ident())
        if self._stopped or mark in self._inside:
            return found(*arguments)
        self._inside.add(mark)
        try:
            self._note(channel, origin_of, arguments)
            return found(*arguments)
        finally:
            self._inside.discard(mark)

    def _note(self, channel: str, origin_of: Callable[..., Origin], arguments: tuple[Any, ...]) -> None:
        """Count one, and look at it unless another was looked at just now; what cannot be looked at counts too."""
        number = self.counts[channel] = self.counts[channel] + 1
        now = monotonic()
        if now - self._noted_at.get(channel, -NOTE_SECONDS) < NOTE_SECONDS:
            return
        self._noted_at[channel] = now
        try:
            self._latest[channel] = number, origin_of(*arguments)
        except Exception:
            self._latest[channel] = number, ("", ())

    def stop(self) -> None:
        """Take our hooks out where they are still the outermost; the others only stop counting."""
        self._stopped = True
        for owner, name, found, ours in reversed(self._hooked):
            if getattr(owner, name, None) is ours:
                setattr(owner, name, found)
