"""
The Python probe: a guest in somebody else's process. Standard library only, Python 3.8 and newer.

Importing it costs two small modules. `install()` arms it: it then waits, without a thread, a timer or a file,
until the process has lived for a second and runs an event loop or is a worker of a known synchronous server.
Only then is the rest imported and a segment published. Any failure disables the probe and nothing else.
"""

import sys

__all__ = ["install"]


def install() -> None:
    """Arm the probe in this process; calling it again, or under a second name, does nothing."""
    if hasattr(sys, "_vitalsd_probe"):
        return
    try:
        sys._vitalsd_probe = True  # type: ignore[attr-defined]
        from . import lifecycle

        lifecycle.arm()
    except Exception:
        pass
