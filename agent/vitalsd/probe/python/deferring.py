"""
Has something called in the main thread when the hooks of a fork are over and the service's own code goes on.

From 3.12 on the interpreter warns of a fork in a process of several threads, and it counts them after the hooks: a
thread that one of them has started would be taken for the service's. What is deferred is called as handlers of
signals are, between two instructions, before anything else that the forking code does. What such a handler raises
meanwhile is raised in that code.
"""

from __future__ import annotations

import os
import sys

from .forking import frame_above, raise_in
from .lifecycle import get_native_id
from .native import PYTHON, ctypes

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

FORKS_ARE_COUNTED = sys.version_info >= (3, 12)
ABOVE = 1
"""Frames from `_call` up to what the interpreter was executing."""
MOST_CALLS = 10_000
"""In hooks the interpreter calls again and again, 32 times at once; those of the service may do a lot."""


class Deferred:
    """One function, for what forks; it says where it cannot be deferred."""

    def __init__(self, function: Callable[[], None], failed: Callable[[], None]) -> None:
        self._function = function
        self._failed = failed
        self._add: Any = None
        self._service: Any = None
        self._calls = 0
        if FORKS_ARE_COUNTED and PYTHON is not None:
            try:
                self._called = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._call)
            except Exception:  # a system that lets nobody write code at run time
                return
            self._add = PYTHON.Py_AddPendingCall

    def __call__(self, service: FrameType | None) -> bool:
        """Whether it is going to be called, when the interpreter is back in this frame, which forks."""
        if self._add is None or service is None or get_native_id() != os.getpid():
            return False  # where another thread forks, the service has several
        self._service, self._calls = service, 0
        return bool(self._add(self._called, None) == 0)

    def _call(self, _argument: Any) -> int:
        interrupted = None
        try:
            self._calls += 1
            in_hooks = frame_above(ABOVE) is not self._service and self._calls < MOST_CALLS
            if in_hooks and self._add(self._called, None) == 0:
                return 0
        except BaseException as interrupt:
            interrupted = interrupt
        try:
            self._service = None
            self._function()
        except Exception:
            self._failed()
        except BaseException as interrupt:
            interrupted = interrupt
        if interrupted is not None:
            raise_in(interrupted, ABOVE)
        return 0
