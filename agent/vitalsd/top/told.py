"""
What the stream tells, as structs with the fields that are looked at; 500 workers take 10 ms.

What only one worker's screen shows stays as it came until somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from vitalsd.errors import VitalsdError
from vitalsd.model import Stack

__all__ = [
    "Captures",
    "Event",
    "Exit",
    "Gone",
    "Incidents",
    "Loop",
    "PastStall",
    "Target",
    "Targets",
    "Worker",
    "decoded",
    "events",
]

MOST_BYTES = 64 << 20
"""Of one event: twenty thousand workers."""


class Delay(msgspec.Struct, frozen=True):
    """A cumulative histogram."""

    bounds: tuple[float, ...]
    buckets: tuple[int, ...]


class Recent(msgspec.Struct, frozen=True):
    """What a loop did in the last minute."""

    busy_share: float | None = None
    delay_p99_between_seconds: tuple[float, float | None] | None = None
    stalls: int = 0


class StallNow(msgspec.Struct, frozen=True):
    """A stall that lasts."""

    seconds: float


class PastStall(msgspec.Struct, frozen=True):
    """A stall that is over."""

    ended_at: str | None
    duration_seconds: float
    stacks: tuple[Stack, ...] = ()


class Loop(msgspec.Struct, frozen=True):
    """An event loop, probed or seen from outside."""

    delay: Delay
    busy_seconds: float
    idle_seconds: float
    stalls: int = 0
    name: str = "main"
    current_stall: StallNow | None = None
    recent: Recent | None = None
    late_seconds: float = 0.0
    recent_stalls: msgspec.Raw = msgspec.Raw(b"[]")

    def past_stalls(self) -> tuple[PastStall, ...]:
        """Those that the probe remembers."""
        return msgspec.json.decode(self.recent_stalls, type=tuple[PastStall, ...])


class Key(msgspec.Struct, frozen=True):
    """Who a process is."""

    pid: int
    start_ticks: int


class Process(msgspec.Struct, frozen=True):
    """What the kernel tells of it."""

    state: str
    started_at: str | None = None
    cpu_seconds: float | None = None
    threads: int | None = None
    open_fds: int | None = None
    max_fds: int | None = None


class Probe(msgspec.Struct, frozen=True):
    """What the probe tells."""

    runtime: str
    version: str
    loops: tuple[Loop, ...]
    tasks: int | None = None


class Memory(msgspec.Struct, frozen=True):
    """The limit of a worker."""

    limit_bytes: int | None = None


class Trend(msgspec.Struct, frozen=True):
    """Where its memory is going."""

    bytes_per_second: float | None
    exhausted_at: str | None


class Worker(msgspec.Struct, frozen=True):
    """One worker, or the place of one."""

    target: str
    slot: str
    key: Key | None
    sampled_at: str | None
    up: bool
    command: str
    lag_source: str
    process: Process | None
    probe: Probe | None
    observed: Loop | None
    memory: Memory | None
    vacant: bool = False
    missing: dict[str, str] = {}
    trend: Trend | None = None
    memory_bytes: int | None = None
    """Its own."""
    limit_share: float | None = None

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Of the probe, else the one that is seen from outside."""
        if self.probe is not None:
            return self.probe.loops
        return (self.observed,) if self.observed is not None else ()


class Exit(msgspec.Struct, frozen=True):
    """The end of one worker."""

    slot: str
    ended_at: str | None
    reason: str
    evidence: str = ""


class Target(msgspec.Struct, frozen=True):
    """One service."""

    name: str
    up: bool
    workers: tuple[Worker, ...]
    restarts: dict[str, dict[str, int]] = {}
    exits: tuple[Exit, ...] = ()


class Targets(msgspec.Struct, frozen=True):
    """All of them."""

    targets: tuple[Target, ...]


class Incidents(msgspec.Struct, frozen=True):
    """Those that are new, or have changed, as the API tells them."""

    incidents: list[dict[str, Any]]


class Captures(msgspec.Struct, frozen=True):
    """Likewise."""

    captures: list[dict[str, Any]]


class Gone(msgspec.Struct, frozen=True):
    """Ids of incidents and captures that the agent has no more."""

    gone: list[str]


Event = Targets | Incidents | Captures | Gone
KINDS: dict[bytes, type[Event]] = {
    b"targets": Targets,
    b"incidents": Incidents,
    b"captures": Captures,
    b"gone": Gone,
}


def decoded(name: bytes, data: bytes) -> Event | None:
    """The event of this name; None for one that is not known. VitalsdError for what is no such thing."""
    kind = KINDS.get(name)
    try:
        return msgspec.json.decode(data, type=kind) if kind is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VitalsdError(
            f"What the agent tells is not understood ({error}): it may be of another version than this command."
        ) from error


def events(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of server-sent events; a comment is one without either."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        # An event ends with an empty line, and its end may be cut in two.
        tail = waiting[-1][-1:] if waiting else b""
        waiting.append(piece)
        size += len(piece)
        if b"\n\n" in tail + piece:
            *whole, rest = b"".join(waiting).split(b"\n\n")
            waiting, size = [rest] if rest else [], len(rest)
            yield from map(_event, whole)
        elif size > MOST_BYTES:
            raise VitalsdError("What the agent tells has no end.")


def _event(text: bytes) -> tuple[bytes, bytes]:
    fields = dict(line.split(b": ", 1) for line in text.split(b"\n") if b": " in line)
    return fields.get(b"event", b""), fields.get(b"data", b"")
