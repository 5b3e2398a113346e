"""
The agent's own log: events in snake_case with keys, on standard error, for people or as JSON.

Tracebacks never carry the values of variables. rich is kept out of the process: structlog would load it for
prettier tracebacks, at 4 MiB.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
from typing import Literal

import msgspec

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None makes importing it an ImportError
import structlog  # noqa: E402 - it must not find rich

__all__ = ["configure"]


class _Stderr:
    """Standard error that is never waited for and never missed: `vitalsd run` shares it with the service."""

    def write(self, text: str) -> None:
        """Write if it can be written at once; a reader that is stuck or gone costs the line."""
        with contextlib.suppress(OSError, ValueError):
            if select.select((), (2,), (), 0)[1]:
                os.write(2, text.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Nothing is kept back."""


def configure(level: str, layout: Literal["auto", "json", "console"]) -> None:
    """Set level and form of everything that is logged from now on."""
    console = layout == "console" or (layout == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor
    if console:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        tracebacks: list[structlog.typing.Processor] = []
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_as_json)
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
        tracebacks = [structlog.processors.ExceptionRenderer(transform)]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tracebacks,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=_Stderr()),  # type: ignore[arg-type]
        # A reload may change the level, so loggers are not cached.
        cache_logger_on_first_use=False,
    )


def _as_json(event: object, **_options: object) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
