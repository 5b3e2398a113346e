"""
The rounds of an agent: who is there, what is read of them, and what that comes to; and between them, who lives.

A few milliseconds of the agent's loop every few seconds, half as often in calm and sooner when a worker ends, and
0.2 ms each second. What fails is told in the log, and the next round comes as planned.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from vitalsd.beat import next_beat
from vitalsd.detect.growth.book import GrowthBook
from vitalsd.history.history import History
from vitalsd.history.points import Point, point_of
from vitalsd.incidents.book import Book
from vitalsd.investigation.investigation import Investigation
from vitalsd.model import WorkerKey
from vitalsd.pace import Pace
from vitalsd.remedying import Remedying
from vitalsd.sources.exits.watch import ExitWatch
from vitalsd.sources.pulse.pulses import LOOK_SECONDS, Pulses
from vitalsd.sources.sampler import Sampler
from vitalsd.state import State
from vitalsd.targets.finder import Finder, Found

__all__ = ["Rounds"]

log = structlog.get_logger(__name__)


class Rounds:
    """One after the other, in the agent's loop."""

    def __init__(
        self,
        *,
        finder: Finder,
        exits: ExitWatch,
        pulses: Pulses,
        sampler: Sampler,
        state: State,
        book: Book,
        history: History,
        growth: GrowthBook,
        investigation: Investigation,
        remedying: Remedying,
        interval_seconds: float,
    ) -> None:
        self._finder = finder
        self._exits = exits
        self._pulses = pulses
        self._sampler = sampler
        self._state = state
        self._book = book
        self._history = history
        self._growth = growth
        self._investigation = investigation
        self._remedying = remedying
        self.interval_seconds = interval_seconds
        self._pace = Pace(math.floor(time.monotonic()))
        self._sooner = asyncio.Event()

    def leaves_out(self) -> bool:
        """Whether a round that would have come by now is being left out."""
        return self._pace.leaves_out(time.monotonic())

    async def run(self) -> None:
        """Sample on an absolute grid, and early when a worker ends; what takes too long shows in the interval."""
        pace, sooner = self._pace, self._sooner
        seated: set[WorkerKey | None] = set()

        def hear(tell: Callable[[float], None]) -> None:
            tell(time.monotonic())
            sooner.set()

        self._exits.ended, self._exits.told = lambda: hear(pace.ended), lambda: hear(pace.told)
        while True:
            now = time.monotonic()
            turn, at = pace.next(now)
            if at > now:
                sooner.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(at - now):
                        await sooner.wait()
                continue
            began, filled, calm = time.thread_time(), True, False
            try:
                found = self._find(now, again=turn != "round")
                before, seated = seated, {seat.key for seats in found.targets.values() for seat in seats}
                filled = None not in seated
                if seated - {None} - before:
                    pace.changed(now)
                if turn != "look":
                    self._round(found, now, early=turn == "early")
                calm = not self._stirs() and self._finder.interval_seconds > self.interval_seconds
            except Exception:
                log.exception("sampling_failed")
            spent = time.thread_time() - began
            pace.done(turn, now, spent, self.interval_seconds, filled=filled, calm=calm)
            if pace.next(time.monotonic())[1] <= time.monotonic():
                await asyncio.sleep(0.01)  # behind: the others have their turn all the same

    async def look_for_life(self) -> None:
        """Look at every worker each second, on an absolute grid."""
        while True:
            now = time.monotonic()
            await asyncio.sleep(next_beat(now, LOOK_SECONDS) - now)
            try:
                for back in self._pulses.look():
                    self._investigation.silent.silences.add(back.target, time.monotonic(), back.seconds)
                self._investigation.look_for_life(self._pulses.of, self._pulses.is_suspect)
                if self._stirs() and self._pace.stir():
                    self._sooner.set()
            except Exception:
                log.exception("looking_for_life_failed")

    def _stirs(self) -> bool:
        """Whether there is more to be told of by more readings, or somebody to tell it to."""
        stirs = self._investigation.stirs or self._state.is_watched()
        return stirs or self._finder.has_news() or self._exits.has_news()

    def _find(self, now: float, *, again: bool) -> Found:
        """Who is there, each watched for its end."""
        self._exits.remember(self._finder.restore(self._book.take_slots_left(), time.time()))
        found = self._finder.find(now, again=again)
        self._exits.follow(found)
        self._pulses.follow(found)
        self._book.keep_slots(self._finder.slots(self._exits.last, lambda target: self._exits.of(target)[0]))
        return found

    def note_ends(self) -> None:
        """This agent is about to end with its service: the next one is to know how that has ended."""
        self._find(time.monotonic(), again=True)

    def _round(self, found: Found, now: float, *, early: bool) -> None:
        """Read everything once, and have it judged."""
        self._investigation.follow(found)
        sampled = self._sampler.sample(found)
        sampled = replace(sampled, targets=self._investigation.work.take(sampled.targets))
        self._exits.note(sampled.targets)
        self._state.update(found, sampled, now, early=early)
        workers = (worker for target in sampled.targets for worker in target.workers)
        self._take([point for worker in workers if (point := point_of(worker)) is not None])
        self._investigation.look(sampled.targets, early=early)
        self._remedying.look(sampled.targets)

    def _take(self, points: list[Point]) -> None:
        """What growth is judged by, of each worker of a round."""
        self._history.keep(points)
        self._growth.take(points)
        self._growth.forget(time.time())
