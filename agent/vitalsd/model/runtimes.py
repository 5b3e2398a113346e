"""What the runtimes call what they have in common."""

from __future__ import annotations

__all__ = ["gc_names"]

GC_NAMES = {"python": ("0", "1", "2"), "node": ("minor", "incremental", "major")}


def gc_names(runtime: str) -> tuple[str, ...]:
    """The kinds of collections, as a runtime's own documentation has them, the cheapest first."""
    return GC_NAMES.get(runtime, GC_NAMES["python"])
