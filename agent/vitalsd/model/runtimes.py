"""What the runtimes call what they have in common."""

from __future__ import annotations

__all__ = ["ANONYMOUS", "anonymous", "gc_names", "is_for_computing"]

ANONYMOUS = "(anonymous"
"""How the names of such functions begin."""
GC_NAMES = {"python": ("0", "1", "2"), "node": ("minor", "incremental", "major")}


def gc_names(runtime: str) -> tuple[str, ...]:
    """The kinds of collections, as a runtime's own documentation has them, the cheapest first."""
    return GC_NAMES.get(runtime, GC_NAMES["python"])


def is_for_computing(runtime: str, loop: str) -> bool:
    """Node has worker threads to compute in: that a loop of theirs is late is what they are for, and no fault."""
    return runtime == "node" and loop != "main"


def anonymous(begin: int) -> str:
    """A function of JavaScript without a name, by the line that it begins at: a service has a hundred of them."""
    return f"{ANONYMOUS}:{begin})" if begin > 0 else f"{ANONYMOUS})"
