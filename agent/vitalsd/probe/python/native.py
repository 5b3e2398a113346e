"""
What the probe calls of the interpreter and of the C library, opened where a thread of the service imports this.

Opening them leaves the interpreter's lock alone, and a child that is forked in such a moment could never open a
library again: a thread of the probe's own must not.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from typing import Any

__all__ = ["HAVE_CTYPES", "LIBC", "PYTHON", "ctypes"]

try:
    import ctypes
except ImportError:  # a build of Python without libffi: who needs them leaves out what they tell
    ctypes = None  # type: ignore[assignment]

HAVE_CTYPES = bool(ctypes)
LIBC: Any = ctypes.CDLL(None) if HAVE_CTYPES else None
PYTHON: Any = ctypes.PyDLL(None) if HAVE_CTYPES else None
"""Its functions, which are called with the interpreter's lock."""
