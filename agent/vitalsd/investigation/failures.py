"""
Detectors that raise, each said once in the log: their states say so for as long as they do.

A detector runs every few seconds for each worker, so one that is broken would fill the log.
"""

from __future__ import annotations

import structlog

__all__ = ["DetectorFailures"]

log = structlog.get_logger(__name__)


class DetectorFailures:
    """Of which kinds it was said."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, kind: str, target: str, error: Exception) -> None:
        """Log with its traceback what a detector has failed by, the first time since the agent began."""
        if kind not in self._told:
            self._told.add(kind)
            log.error("detector_failed", kind=kind, target=target, exc_info=error)
