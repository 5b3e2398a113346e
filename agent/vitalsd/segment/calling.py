"""
Calls at the control socket of a probe and says nothing, which answers two questions at once.

The kernel refuses who calls where nobody listens any more; and a probe whose loops rest sleeps until somebody
calls.
"""

from __future__ import annotations

import socket
from pathlib import Path

from vitalsd.probe.python.protocol import SUFFIX, by_address

__all__ = ["call"]


def call(segment: Path) -> bool | None:
    """Whether somebody listens at the control socket of this segment, and wakes; None where nobody knows."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as caller:
            by_address(str(segment) + SUFFIX, caller.connect)
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True
