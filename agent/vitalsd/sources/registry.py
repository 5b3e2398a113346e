"""
What a source is, where sources register, and how one is run so that its failure stays its own.

A source is one file: a docstring (what it reads, what that costs, what it needs), a class with `name`, `fills`
and `read`, and `@register`. It raises `NoData` when there is nothing to read, which is not a failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.segment.reader import SegmentFile
from vitalsd.settings.model import Settings

__all__ = ["Configured", "NoData", "Outcome", "Source", "Worker", "execute", "make_sources", "register"]


class NoData(Exception):  # noqa: N818 - it is an answer, not an error
    """There is nothing to report, and nothing is wrong."""


class Worker(msgspec.Struct, frozen=True):
    """One worker as the sources see it."""

    target: str
    key: WorkerKey
    segment: SegmentFile | None
    refusal: str | None = None
    """Why there is no segment to read, where that is known."""


class Source(Protocol):
    """One way of reading a worker."""

    name: str
    fills: str
    """The field of WorkerSample that a reading goes to."""

    def read(self, worker: Worker, missing: dict[str, str]) -> object:
        """What is there now; fields that may not be read are told in `missing` with the reason."""
        ...


@runtime_checkable
class Configured(Protocol):
    """A source that some key of the configuration is about."""

    def reconfigure(self, settings: Settings) -> None:
        """Take over what holds from now on."""
        ...


class Outcome(msgspec.Struct, frozen=True):
    """One reading of one source."""

    source: str
    value: object | None
    duration_seconds: float
    problem: str | None


S = TypeVar("S", bound="Source")
_factories: list[Callable[[], Source]] = []


def register(factory: type[S]) -> type[S]:
    """Make a source known to the sampler."""
    _factories.append(factory)
    return factory


def make_sources() -> tuple[Source, ...]:
    """One of each registered source."""
    return tuple(factory() for factory in _factories)


def execute(source: Source, worker: Worker, missing: dict[str, str]) -> Outcome:
    """Read one source of one worker; whatever it raises ends here."""
    began = time.monotonic()
    value: object | None = None
    problem = None
    try:
        value = source.read(worker, missing)
    except NoData:
        pass
    except (FileNotFoundError, ProcessLookupError):
        pass  # the worker went while we read; the finder will say so
    except Exception as error:  # noqa: BLE001 - one source must not take the others down
        problem = f"{type(error).__name__}: {error}"
    return Outcome(source.name, value, time.monotonic() - began, problem)
