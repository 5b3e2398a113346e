"""Why the turns of a Node process cannot be read, by trying."""

from __future__ import annotations

from pathlib import Path

from vitalsd.sources.observer.seek import is_epoll
from vitalsd.sources.room import Descriptors
from vitalsd.sources.uv import UvTurns

__all__ = ["missing_turns"]

NO_EPOLL = "it has no epoll, so no event loop runs in it"


def missing_turns(proc: Path, pid: int) -> str | None:
    """None where they can be, with one of the epolls that it has."""
    missing: str | None = NO_EPOLL
    try:
        descriptors = [int(entry.name) for entry in (proc / str(pid) / "fd").iterdir()]
    except OSError as error:
        return f"its descriptors cannot be read: {error.strerror}"
    for descriptor in descriptors:
        if is_epoll(f"{proc}/{pid}", descriptor):
            turns = UvTurns(proc, pid, Descriptors(1))
            read, missing = turns.read(descriptor), turns.missing
            turns.close()
            if read is not None:
                return None
    return missing
