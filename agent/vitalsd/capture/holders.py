"""
Asks a process's probe who holds the objects of a type: chains of referrers, from a few of its instances up.

By the control socket, as a census is; `probe/python/referrers.py` says how they are found and what that costs.
"""

from __future__ import annotations

from binascii import crc32
from pathlib import Path

import msgspec

from vitalsd.capture.census import PATIENCE_SECONDS, NoCensus, ask_probe, number, split_answer
from vitalsd.detect.growth.words import size
from vitalsd.probe.python.protocol import MAGIC, REFERRERS, REQUEST, VERSION

__all__ = ["Chain", "Holders", "find_holders", "parse_holders"]

MOST_STEPS = 32
MOST_CPU_SECONDS = 4.0
"""After which a probe gives up."""


class Chain(msgspec.Struct, frozen=True):
    """One way in which objects are held."""

    samples: int
    """How many of the samples are held so."""
    rooted: bool
    """Whether its first step is one that ends there: a module, a class, a function that runs."""
    steps: tuple[str, ...]
    """From there on, the type itself last."""

    @property
    def text(self) -> str:
        """In one line."""
        return " -> ".join(self.steps if self.rooted else ("?", *self.steps))


class Holders(msgspec.Struct, frozen=True):
    """Who holds the objects of one type."""

    chains: tuple[Chain, ...]
    """Those of most samples first."""
    samples: int
    complete: bool
    """Whether it was searched for as long as there was something to find."""
    held_seconds: float = 0.0
    """For how long the interpreter was held at a time, at the most."""
    searches: int = 0
    """Of the whole memory, from the first to the last byte: one or two for each step up."""
    reached_share: float | None = None
    """Of the memory, what the search that was given up had looked at; None where none was, or it is not known."""
    heap_bytes: int = 0

    @property
    def cut(self) -> str | None:
        """That there may be more, where it was not searched to the end, and how far it came."""
        if self.complete:
            return None
        told = f"the search was ended after {MOST_CPU_SECONDS:g} s of a processor"
        if self.reached_share is not None:
            told += f", in its pass {self.searches + 1} at {self.reached_share:.0%} of {size(self.heap_bytes)}"
        return f"{told}: who holds these further up, or besides, is not known"


async def find_holders(path: Path, pid: int, kind: str, *, patience: float = PATIENCE_SECONDS) -> Holders:
    """Who holds objects of this type in process `pid`. Raises NoCensus, whatever goes wrong."""
    request = REQUEST.pack(MAGIC, VERSION, REFERRERS, 1, crc32(kind.encode()))
    return parse_holders(await ask_probe(path, pid, request, patience), pid)


def parse_holders(text: str, pid: int) -> Holders:
    """The answer of process `pid`. Raises NoCensus."""
    head, rows = split_answer(text)
    try:
        chains = [
            Chain(number(count), bool(number(rooted)), tuple(steps[:MOST_STEPS])) for count, rooted, *steps in rows
        ]
        held = number(head.get("held_ns", "0")) / 1e9
        heap = number(head.get("heap_bytes", "0"))
        reached = min(1.0, number(head.get("reached_bytes", "0")) / heap) if heap else None
        searches = number(head.get("searches", "0"))
        return Holders(
            tuple(chains), number(head["samples"]), not number(head["cut"]), held, searches, reached, heap
        )
    except (ValueError, KeyError) as error:
        raise NoCensus(f"What holds objects of process {pid} cannot be read: {error}") from None
