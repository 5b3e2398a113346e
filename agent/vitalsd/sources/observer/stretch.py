"""
One stretch in which a loop did not come back, and the evidence that looks have gathered of it. Pure.

Shares and rates are taken over the window between the first and the last look that read the thread's counters;
what the thread was doing is counted over all looks.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from vitalsd.model import Doing, HostEvidence, StallEvidence, ThreadEvidence, TurnEvidence
from vitalsd.sources.interpreter import Turn
from vitalsd.sources.observer.events import Look, Times

__all__ = ["Stretch"]


class Stretch:
    """One stretch that begins at `since`, as it grows."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.last_at = since
        """The last moment at which it is known to have lasted."""
        self.first_at = since
        """When it was looked at first."""
        self.ended_at: float | None = None
        self.looks = 0
        self.told = False
        """Whether others know of it by now: from then on `since` is its name."""
        self.was_stall: bool | None = None
        """What others have found it to be."""
        self.host = HostEvidence()
        self.agent_late_seconds = 0.0
        self.sibling_cpu_share: float | None = None
        self.turn_began: float | None = None
        """When the turn of the loop began that all of it is, where that is known."""
        self._turns = _Turns()
        self._doing: Counter[Doing] = Counter()
        self._states: Counter[str] = Counter()
        self._peers: Counter[str] = Counter()
        self._frozen = self._freezer_looks = 0
        self._traced = False
        self._first: tuple[float, Times] | None = None
        self._last: tuple[float, Times] | None = None

    @property
    def seconds(self) -> float:
        """How long it is, or is known to have lasted so far."""
        return (self.ended_at if self.ended_at is not None else self.last_at) - self.since

    @property
    def window(self) -> tuple[float, float] | None:
        """The first and the last look at the counters."""
        return (self._first[0], self._last[0]) if self._first is not None and self._last is not None else None

    def running_share(self) -> float:
        """In which share of the looks the thread computed."""
        return self._doing["running"] / self.looks if self.looks else 0.0

    def add(self, look: Look, until: float | None = None) -> None:
        """One more look that found it late, which it is known to have been until then."""
        if self.looks == 0:
            self.first_at = look.at
        self.looks += 1
        self.last_at = max(self.last_at, look.at if until is None else until)
        self._doing[look.doing] += 1
        if look.state is not None:
            self._states[look.state] += 1
        if look.peer is not None:
            self._peers[look.peer] += 1
        self._traced |= look.traced
        if look.turn is not None:
            self._turns.add(look.turn, self.turn_began)
        self.gather(look)

    def lasts(self, at: float, until: float) -> None:
        """It is known to have been late until then, by a look that sees nothing of its thread."""
        if self.last_at == self.since:
            self.first_at = at
        self.last_at = max(self.last_at, until)

    def gather(self, look: Look) -> None:
        """Take the counters, of the look after it too: time in a run queue is counted when it is over."""
        if look.times is not None:
            if self._first is None:
                self._first = look.at, look.times
            self._last = look.at, look.times

    def add_frozen(self, frozen: bool) -> None:
        """One look at the freezer of its group."""
        self._freezer_looks += 1
        self._frozen += frozen

    def evidence(self, loop: str, runtime: str) -> StallEvidence:
        """All that is known of it."""
        return StallEvidence(
            loop=loop,
            since=self.since,
            seconds=self.seconds,
            in_progress=self.ended_at is None,
            runtime=runtime,
            thread=self._thread() if self.looks else None,
            turn=self._turns.evidence(self.turn_began is not None),
            host=msgspec.structs.replace(
                self.host,
                agent_late_seconds=self.agent_late_seconds,
                swap_bytes=self._swap(),
                frozen_share=self._frozen / self._freezer_looks if self._freezer_looks else None,
            ),
        )

    def _swap(self) -> int | None:
        return self._last[1].swap_bytes if self._last is not None else None

    def _thread(self) -> ThreadEvidence:
        nothing = (0.0, Times())
        (began, first), (ended, last) = self._first or nothing, self._last or nothing
        return ThreadEvidence(
            seconds=ended - began,
            looks=self.looks,
            doing=dict(self._doing),
            states=dict(self._states),
            cpu_seconds=_grown(first.cpu_seconds, last.cpu_seconds),
            runqueue_seconds=_grown(first.runqueue_seconds, last.runqueue_seconds),
            voluntary_switches=_counted(first.voluntary_switches, last.voluntary_switches),
            major_faults=_counted(first.major_faults, last.major_faults),
            traced=self._traced,
            sibling_cpu_share=self.sibling_cpu_share,
            peer=self._peers.most_common(1)[0][0] if self._peers else None,
        )


class _Turns:
    """What the interpreter's memory told at each look."""

    def __init__(self) -> None:
        self._looks = self._collecting = 0
        self._ready: int | None = None
        self._ran: list[int] = []
        """The first and the last count."""

    def add(self, turn: Turn, began: float | None) -> None:
        """One more look, at a turn that began then."""
        self._looks += 1
        self._collecting += bool(turn.collecting)
        if began is None or turn.turn_began != began:
            return
        self._ready = turn.ready if turn.ready is not None else self._ready
        if turn.ran is not None:
            self._ran[1:] = [turn.ran]

    def evidence(self, one_turn: bool) -> TurnEvidence | None:
        """All of it; None where nothing was told."""
        if not self._looks:
            return None
        ran = self._ran[1] - self._ran[0] if len(self._ran) > 1 else None
        return TurnEvidence(self._looks, self._collecting, one_turn, self._ready, ran)


def _grown(before: float | None, after: float | None) -> float | None:
    return max(0.0, after - before) if before is not None and after is not None else None


def _counted(before: int | None, after: int | None) -> int | None:
    return max(0, after - before) if before is not None and after is not None else None
