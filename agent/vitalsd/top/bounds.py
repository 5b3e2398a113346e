"""Where figures begin to be wrong, as the rules have it by default; marks.js of the page has the same."""

from __future__ import annotations

__all__ = ["FULL", "LATE_SECONDS", "NEARLY_FULL", "SOON_SECONDS", "VERY_LATE_SECONDS", "VERY_SOON_SECONDS"]

LATE_SECONDS, VERY_LATE_SECONDS = 0.1, 0.5
"""
Of delay, by the lower bound of its bucket. A stall in progress orders rows from the second on: shorter ones come
and go with each look.
"""
NEARLY_FULL, FULL = 0.75, 0.9
"""Shares of a memory limit."""
SOON_SECONDS, VERY_SOON_SECONDS = 86_400.0, 3600.0
"""Until memory is full, at the present pace."""
