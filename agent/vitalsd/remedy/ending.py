"""
Has one worker end, step by step, each written down and told: asked, killed after its time of grace, ended.

Written down first: a worker is asked to end when that lies on the disk. An agent that begins goes on with what
the one before has begun: who was asked is waited for, and has no more time of grace than it would have had. Who
was not, as far as is written down, is left alone, and so is whom somebody looks into meanwhile. What comes after
the end, the replacement and whether it has helped, is told by `judge`, from round to round.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec.structs import replace

from vitalsd.model import Supervisor, WorkerKey
from vitalsd.remedy.actor import Gone, Held, NotPermitted, held
from vitalsd.remedy.facts import looked_into, objection
from vitalsd.remedy.judge import judged
from vitalsd.remedy.model import Judged, Recycling
from vitalsd.remedy.recyclings import Recyclings
from vitalsd.settings.model import Remedy

__all__ = ["Ending"]

log = structlog.get_logger(__name__)
KILLED_SECONDS = 10.0
"""What is killed has ended long before, unless it waits in the kernel."""


class Ending:
    """The way from being asked to having ended."""

    def __init__(
        self,
        recyclings: Recyclings,
        settings: Callable[[], Remedy],
        tell: Callable[[Recycling, str, str], None],
        expect: Callable[[WorkerKey], None],
        unwanted: Callable[[Recycling], str | None],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
    ) -> None:
        self._recyclings = recyclings
        self._settings = settings
        self._tell = tell
        """Has the incident of a recycling say something: an event, and its text."""
        self._expect = expect
        self._unwanted = unwanted
        """Why the worker of a recycling is not to be ended any more, if that is so; asked before each signal."""
        self._clock = clock
        self._monotonic = monotonic
        self._proc = proc

    async def begin(self, recycling: Recycling, supervisor: Supervisor) -> str | None:
        """Ask a worker to end, and see to it that it does; why nothing was begun, if that is so."""
        problem = await self._recyclings.written(recycling)
        if problem is None:
            await self._end(recycling, supervisor)
        return problem

    async def resume(self, recycling: Recycling) -> None:
        """Go on where the agent before was ended."""
        await self._end(recycling, None)

    async def _end(self, recycling: Recycling, supervisor: Supervisor | None) -> None:
        try:
            with held(recycling.key, self._proc) as process:
                asked = recycling
                if supervisor is not None:
                    asked = await self._ask(recycling, supervisor, process)
                elif recycling.sent_at is None:
                    self._give_up(recycling, "unknown", "whether it was asked is not known: it is left alone")
                if asked.sent_at is None:
                    return
                self._expect(recycling.key)
                await self._wait(asked, process)
        except Gone as error:
            if supervisor is None:
                self._ended(recycling)
            else:
                self._give_up(replace(recycling, ended_at=self._clock()), "unknown", str(error))
        except NotPermitted as error:
            self._give_up(recycling, "unknown", str(error))
        except Exception as error:  # whatever it is, it is told, and the service is left alone
            log.exception("remedy_failed", target=recycling.target, worker=recycling.worker)
            self._give_up(recycling, "unknown", f"the agent failed at it: {type(error).__name__}")

    async def _ask(self, recycling: Recycling, supervisor: Supervisor, process: Held) -> Recycling:
        """Send the signal that asks, and write that down, unless something has come up since that was decided."""
        against = self._unwanted(recycling) or objection(recycling.key, supervisor, self._proc)
        if against is not None:
            self._give_up(recycling, "unknown", against)
            return recycling
        self._expect(recycling.key)
        process.send(signal.Signals[recycling.signal])
        recycling = replace(recycling, sent_at=self._clock(), sent_monotonic=self._monotonic())
        if await self._recyclings.written(recycling) is not None:
            self._recyclings.put(recycling)  # the next agent may leave it alone for want of that
        who = f"worker {recycling.worker} (pid {recycling.key.pid})"
        grace = f"{self._settings().grace:g} s"
        self._tell(recycling, "asked", f"{who} was asked to end by {recycling.signal}, and has {grace} for it")
        return recycling

    async def _wait(self, recycling: Recycling, process: Held) -> None:
        left = max(0.0, self._settings().grace - self._since_asked(recycling))
        if recycling.killed_at is None and not await process.ended(left):
            unwanted = self._unwanted(recycling)
            if unwanted is not None:
                self._give_up(recycling, "unknown", f"it has not ended, and is left alone: {unwanted}")
                return
            against = looked_into(recycling.key, self._proc)
            if against is not None:
                self._give_up(recycling, "unknown", f"it has not ended, and is not killed: {against}")
                return
            process.send(signal.SIGKILL)
            recycling = replace(recycling, killed_at=self._clock())
            self._recyclings.put(recycling)
            after = self._since_asked(recycling)
            self._tell(recycling, "killed", f"it had not ended after {after:.0f} s, and was killed")
        if recycling.killed_at is not None and not await process.ended(KILLED_SECONDS):
            self._give_up(recycling, "not_replaced", "it was killed and does not end: it waits in the kernel")
            return
        self._ended(recycling)

    def _since_asked(self, recycling: Recycling) -> float:
        """By a clock that nobody sets; where it is not known, no time has passed."""
        since = recycling.sent_monotonic
        return max(0.0, self._monotonic() - since) if since is not None else 0.0

    def _ended(self, recycling: Recycling) -> None:
        recycling = replace(recycling, ended_at=self._clock())
        self._recyclings.put(recycling)
        seconds = self._since_asked(recycling)
        self._tell(recycling, "ended", f"it has ended, {seconds:.1f} s after it was asked")

    def _give_up(self, recycling: Recycling, outcome: Judged, text: str) -> None:
        self._recyclings.put(judged(recycling, outcome, self._clock()))
        self._tell(recycling, "given_up", text)
