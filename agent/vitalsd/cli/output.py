"""
Standard output and standard error of a command: there from the beginning, and written to the end.

A disk that is full shows when what was printed is written out, be that at the very end, where Python itself would
leave with a traceback or with 120. Here it is one sentence and an exit code, wherever a command prints, and no
error of another file or of a socket is taken for it. A reader who has heard enough (`vitalsd incidents | head`)
has made no mistake, and is told nothing. A command whose answer is its exit code settles that before it prints.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from vitalsd.errors import VitalsdError

__all__ = ["CannotWriteError", "tell", "written"]

NAMES = {"stdout": "Standard output", "stderr": "Standard error"}


class CannotWriteError(Exception):
    """What a command has printed could not be written; no text where its reader has gone."""

    def __init__(self, stream: str, error: OSError) -> None:
        self.is_gone = isinstance(error, BrokenPipeError)
        super().__init__("" if self.is_gone else f"{NAMES[stream]} cannot be written: {error.strerror or error}.")
        self.exit_code = 0 if self.is_gone else VitalsdError.exit_code


class _File(io.FileIO):
    """The file below a stream, whose errors say that it was this one."""

    def __init__(self, stream: str, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._stream = stream

    def write(self, data: Any, /) -> int:
        """Write it, or nothing more: Python would try once again when it ends."""
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            raise CannotWriteError(self._stream, error) from None


def written(run: Callable[[], int]) -> int:
    """The exit code of `run` when all that it prints is written, or of what came in the way of that."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_stream, NAMES)
    try:
        try:
            return run()
        finally:  # a help text, which ends with SystemExit, is output too
            sys.stdout.flush()
            sys.stderr.flush()
    except CannotWriteError as error:
        if str(error):
            tell(error)
        return error.exit_code
    finally:
        sys.stdout, sys.stderr = before


def tell(error: Exception) -> None:
    """Say what is wrong on standard error, if it takes it; several lines begin with a place of their own each."""
    text = str(error)
    with contextlib.suppress(CannotWriteError):
        print(f"vitalsd: {text}" if "\n" not in text else text, file=sys.stderr, flush=True)


def _stream(name: str) -> TextIO:
    """
    The stream of this name, with errors of its own; one that leads nowhere where the caller has closed it.

    Python would print errors among the data then, and the next file to be opened would be taken for the stream.
    """
    given: TextIO | None = getattr(sys, name)
    if given is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - until the end
    below = given.buffer  # a file itself with PYTHONUNBUFFERED
    if not isinstance(getattr(below, "raw", below), io.FileIO):
        return given  # it is no file: somebody runs the command from within
    given.flush()  # what was printed before comes first
    file = io.BufferedWriter(_File(name, given.fileno()))
    by_line = name == "stderr" or bool(given.line_buffering) or getattr(given, "write_through", False)
    return io.TextIOWrapper(file, given.encoding, given.errors, line_buffering=by_line)
