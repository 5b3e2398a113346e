"""
Long answers in slices of a few milliseconds, between which the agent's loop is everybody's.

Health, scrapes and captures wait for nobody's list. Costs a look at the clock per thing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

__all__ = ["Slices", "encoded"]

SLICE_SECONDS = 0.002
"""What is made in one piece; a thing that takes longer is one."""
PART_BYTES = 64 * 1024
T = TypeVar("T")


class Slices:
    """One piece of work, which from time to time gives the loop back."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def turn(self) -> None:
        """Let others have their turn, if this slice has taken its time."""
        if time.perf_counter() - self._began >= SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


async def encoded(things: Iterable[T], tell: Callable[[T], object]) -> AsyncIterator[bytes]:
    """The things as JSON has them in a list, without its brackets: in parts, of which none has all."""
    slices = Slices()
    part = bytearray()
    comma = b""
    for thing in things:
        part += comma + msgspec.json.encode(tell(thing))
        comma = b","
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
        await slices.turn()
    if part:
        yield bytes(part)
