"""What a stall rightly is where others have the processors, which nobody who tests can help."""

from __future__ import annotations

__all__ = ["BUSY_HOST"]

BUSY_HOST = {"cpu_contention", "host_wide"}
"""Causes of incidents."""
