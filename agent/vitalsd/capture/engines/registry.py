"""
What an engine is, where engines register, and which one is chosen for a worker.

An engine is one file of 80-250 lines: a docstring (what it runs, what that costs, what it needs), a class with
`name`, `kind`, `rank`, `fit` and `take`, and `@register`. `fit` looks without touching the service, says what is
missing in a sentence, and is what `vitalsd doctor` shows; `take` does it, in a folder of its own. An engine knows
nothing of policies: whether a capture may be taken now was decided before. Whatever happens to the agent in the
middle of `take`, the service must go on as if nothing had been there.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from vitalsd.capture.model import CaptureKind
from vitalsd.errors import VitalsdError
from vitalsd.model import WorkerKey, WorkerSample
from vitalsd.settings.model import Settings

__all__ = [
    "FULL",
    "CaptureError",
    "DiskError",
    "Engine",
    "Fit",
    "Job",
    "Made",
    "RoomError",
    "Subject",
    "ladder",
    "load_engines",
    "make_engines",
    "register",
]


class CaptureError(VitalsdError):
    """No capture this time: what happened, to whom, and what to do."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk says that takes no more."""


class DiskError(CaptureError):
    """No capture, since the disk does not take it: not the engine's fault."""


class RoomError(CaptureError):
    """No capture, since the agent's own memory is too little for its programs: not the engine's fault."""


class Subject(msgspec.Struct, frozen=True):
    """The process that a capture is of."""

    worker: WorkerSample
    """Its `key` is not None."""
    segment: Path | None
    """Of its probe."""
    proc: Path = Path("/proc")

    @property
    def key(self) -> WorkerKey:
        """Which process it is."""
        assert self.worker.key is not None
        return self.worker.key

    @property
    def pid(self) -> int:
        """In the agent's own pid namespace."""
        return self.key.pid


class Fit(msgspec.Struct, frozen=True):
    """Whether an engine can do it for this process."""

    fits: bool
    why: str
    """A sentence: what it would do, or what is in the way."""
    advice: str | None = None
    """What to do about it, if something can be done."""
    weight: Literal["light", "heavy"] = "light"
    """Heavy takes memory in the service by what the service has: it needs the headroom."""
    heaps: float = 2.0
    """What is heavy: how many times its heap must be left."""
    holds_seconds: float | None = None
    """For how long it is known to hold the service, about, on a host at rest; None where it should not."""
    beside_bytes: int = 0
    """What the programs that it starts take of the agent's own memory, at the least."""
    foreign: bool = False
    """It does not fit since it is for another runtime: nobody misses it, and nothing is said of it."""


class Job(msgspec.Struct):
    """One capture as an engine gets it."""

    id: str
    subject: Subject
    seconds: float
    folder: Path
    """Empty, of mode 0700, on the agent's side: whatever lies there in the end and is named in `Made` is kept."""
    stop: asyncio.Event
    """Set when it is to end early and keep what it has; being cancelled is to end at once and keep nothing."""
    most_bytes: int
    """What its files may take of the disk."""
    before: Path | None = None
    """The folder of the same worker's latest capture of this kind and engine, to compare with."""
    redact: bool = False
    """Whether what strings say stays out of the files, where there would be strings."""


class Made(msgspec.Struct, frozen=True):
    """What an engine has made."""

    files: dict[str, str]
    """Name in the folder -> media type, the one to open first at the beginning."""
    pause_seconds: float
    """For how long the service was held at a time, at the most: measured, not estimated."""
    summary: dict[str, object] = {}


class Engine(Protocol):
    """One way of making one kind of capture."""

    name: str
    kind: CaptureKind
    rank: int
    """The lowest that fits is chosen."""

    def fit(self, subject: Subject) -> Fit:
        """Whether it can, and what is missing. Reads a few files of /proc; never raises, never waits."""
        ...

    async def take(self, job: Job) -> Made:
        """Do it. Raises CaptureError; on CancelledError everything it has started is ended first."""
        ...


E = TypeVar("E", bound="Engine")
_factories: list[Callable[[Settings], Engine]] = []


def register(factory: Callable[[Settings], E]) -> Callable[[Settings], E]:
    """Make an engine known; it takes from the configuration what it needs."""
    _factories.append(factory)
    return factory


def load_engines() -> None:
    """Import every file of this folder, since importing an engine registers it."""
    package = __name__.rpartition(".")[0]
    for file in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        import_module(f"{package}.{file.stem}")


def make_engines(settings: Settings) -> tuple[Engine, ...]:
    """One of each registered engine, by kind and rank."""
    load_engines()
    return tuple(sorted((factory(settings) for factory in _factories), key=lambda each: (each.kind, each.rank)))


def ladder(engines: tuple[Engine, ...], kind: CaptureKind, subject: Subject) -> list[tuple[Engine, Fit]]:
    """The engines of a kind, best first, with what each says of this process."""
    return [(engine, engine.fit(subject)) for engine in engines if engine.kind == kind]
