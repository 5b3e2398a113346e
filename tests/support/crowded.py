"""What a test may say of a host on which others have the processors: only with the kernel's own word for it."""

from __future__ import annotations

__all__ = ["BUSY_HOST", "MOST_WITHHELD"]

BUSY_HOST = {"cpu_contention", "host_wide"}
"""Causes of stalls that are no fault of the service."""
MOST_WITHHELD = 0.1
"""A service that waits for a processor for more of the time is late, and rightly told so."""
