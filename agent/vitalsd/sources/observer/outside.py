"""
What looks from outside make of one loop: where a stretch begins and ends, and what is booked of it. Pure.

A stretch begins with the first look that does not find the thread in its loop's own epoll and ends with the next
that does. Where it began, between two looks, is told by the time that the thread has run since the first of them
if it is computing; otherwise it is taken to be half of a look earlier.

A thread that computes at two looks may have been in its epoll in between: its voluntary switches tell. One visit
is one switch; but handing the interpreter lock to another thread and back takes two, or five if they collide
(measured with Python 3.11). So a few are let pass unless they come in every other gap, or leave the thread idle.
In a lock, or in call after call, a thread is switched at each, which is no sign of anything: there, the long gap
before the frequent looks is counted only when the stretch lasts as long again.

Where the interpreter's memory tells when the present turn of the loop began, none of this is guessed: looks at one
and the same turn are one stretch, which began when the turn did, and a look at a later turn, or between two, ends
it. A thread that was stopped between two, or waits for the interpreter there, is late all the same. And a look
that tells nothing proves nothing: the stretch has lasted to the last one that did.

Else a stretch with much computation may as well have been a loop that turns and turns: it waits here for somebody
who has seen its stacks, and counts if nobody comes.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

from vitalsd.model import ObservedLoop, StallInProgress
from vitalsd.sources.observer.books import Books
from vitalsd.sources.observer.events import Look
from vitalsd.sources.observer.stretch import Stretch

__all__ = ["Outside"]

LOOKS_THAT_COUNT = 3
"""Two and a half intervals: two looks in a row are no stretch yet."""
SATURATED_SHARE = 0.7
DOUBTFUL_SHARE = 0.3
"""Of the looks: a stall that computed for so much may turn out to have been none."""
SETTLE_SECONDS = 10.0
BURST_SECONDS = 2.0
HALF_LOOK_SECONDS = 0.025
"""The most that is added at an end which no look has seen: half of the longest planned interval."""
HOLE_SECONDS = 0.025
PROOF_SECONDS = 0.05
"""A gap in which the thread has been switched counts when the stretch goes on for as long after it."""
HANDOVER_SWITCHES = 2
COLLIDING_SWITCHES = 8
NEVER_IDLE_SHARE = 0.8
"""Of a long gap: a thread that ran, or waited for a processor, for so much of it was not waiting for events."""
WINDOW_SECONDS = 0.04
LONG_TURN_SECONDS = 0.05
"""A turn of this age is worth frequent looks, even of a loop that is never idle."""
OLDER_SECONDS = 0.001
"""A turn that began before the loop was last seen idle is over: the next has not begun to call."""
READING_SECONDS = 0.1
"""A turn may begin while a look is being taken, since its moment is that before the first reading."""
WINDOW_GAPS = 4
"""Of the gaps within the window: the thread was switched in so many of them, and so it goes on."""
PENDING = 128


class Outside:
    """One loop without a probe."""

    def __init__(self, threshold_seconds: float) -> None:
        self.books = Books(threshold_seconds)
        self.current: Stretch | None = None
        self._threshold = threshold_seconds
        self._before: Look | None = None
        self._idle_at = -math.inf
        self._pending: deque[Stretch] = deque()
        self._forget()

    def _forget(self) -> None:
        """Forget what belongs to the current stretch alone."""
        self._held = 0.0
        """Busy time of the current stretch, in no bucket yet."""
        self._opening: tuple[float, float] | None = None
        """The gap before its first look and how much of it belongs to it, booked at the second, which may know."""
        self._sure = False
        """Whether it is in the histogram while it lasts, and so has to stay there."""
        self._proof_at: float | None = None
        self._since_if_unproven = 0.0
        self._burst_at: float | None = None
        self._window: deque[Look] = deque()

    def reconfigure(self, threshold_seconds: float) -> None:
        """A stall is what lasts for so long, from the next stretch on."""
        if self.current is None:
            self._threshold = self.books.threshold_seconds = threshold_seconds

    @property
    def suspect(self) -> bool:
        """Whether the next look should not wait for long."""
        return self.current is not None

    def bursting(self, now: float) -> bool:
        """Whether looks should be frequent, and whole."""
        if self._burst_at is not None and now < self._burst_at + BURST_SECONDS:
            return True
        began = self.current.turn_began if self.current is not None else None
        return began is not None and LONG_TURN_SECONDS <= now - began < LONG_TURN_SECONDS + BURST_SECONDS

    def counts(self) -> Stretch | None:
        """The stretch in progress, if there is one that others may be told of."""
        stretch = self.current
        if stretch is None or stretch.was_stall is False:
            return None
        proven = stretch.looks >= LOOKS_THAT_COUNT and self._proof_at is None
        return stretch if proven or stretch.turn_began is not None else None

    def look(self, look: Look) -> Stretch | None:
        """One look; the answer is a stretch that it found to be over, if that was beyond the threshold."""
        self._expire(look.at)
        before, self._before = self._before, look
        gap = look.at - before.at if before is not None else 0.0
        idle = look.doing == "loop"
        if self.current is None:
            if idle:
                self._idle_at = look.at
                self.books.pass_time(0.0, gap)
            else:
                self._begin(look, gap)
            return None
        assert before is not None  # a stretch begins with a look
        if idle:
            self._settle_opening()
            credit = min(gap / 2, HALF_LOOK_SECONDS)
            self.current.gather(look)
            self.books.pass_time(credit, gap - credit)
            self._held += credit
            self._idle_at = look.at
            return self._close(self._ended_at(before.at + credit))
        began, known = self._turn(look), self.current.turn_began
        if began is not None and known is None and began <= self.current.first_at:
            self._know(began)
            known = began
        self._settle_opening()
        if self._turned(look, gap) or (began is not None and began != known):
            return self._next_turn(before, look, gap, began)
        left_at = self._left_at(before, look) if self.current.turn_began is None else None
        if left_at is not None:
            return self._restart(left_at, look, gap)
        self._extend(before, look, gap)
        return None

    def lost(self, died: bool) -> Stretch | None:
        """The thread is gone, or its loop is: a stretch that its process died in has been one, any other not."""
        stretch, self._before = self.current, None
        if stretch is None:
            return None
        self._settle_opening()
        if died or self._sure:
            return self._close(stretch.last_at)
        self._drop()
        return None

    @property
    def certain(self) -> bool:
        """Whether what the stretch in progress is has been settled."""
        return self._sure

    def settle(self, since: float, was_stall: bool) -> None:
        """Somebody has seen the stacks of this stretch."""
        if self.current is not None and self.current.since == since and not self._sure:
            self.current.was_stall = was_stall
            self._sure = was_stall
        for stretch in list(self._pending):
            if stretch.since == since:
                self._pending.remove(stretch)
                self._book(stretch, was_stall)

    def observed(self, thread_id: int) -> ObservedLoop:
        """The books up to this instant."""
        books, sure = self.books, self.current if self._sure else None
        in_progress = sure.seconds if sure is not None else 0.0
        late = sure is not None and in_progress >= self._threshold
        return ObservedLoop(
            delay=books.delay(in_progress),
            delay_max_seconds=max(books.delay_max_seconds, in_progress),
            busy_seconds=books.busy_seconds,
            idle_seconds=books.idle_seconds,
            stalls=books.stalls,
            stall_seconds=books.stall_seconds,
            current_stall=StallInProgress(sure.since, in_progress, ()) if sure is not None and late else None,
            thread_id=thread_id,
        )

    def _begin(self, look: Look, gap: float) -> None:
        credit = min(gap / 2, HALF_LOOK_SECONDS)
        if look.doing == "running" and look.ready_seconds is not None:
            credit = min(gap, look.ready_seconds)
        elif look.earlier:
            credit = gap
        self._forget()
        self._opening = gap, credit
        self.current = Stretch(look.at - credit)
        self.current.add(look)
        self._window.append(look)

    def _settle_opening(self) -> None:
        if self._opening is not None:
            gap, credit = self._opening
            self.books.pass_time(credit, gap - credit)
            self._held += credit
            self._opening = None

    def _turn(self, look: Look) -> float | None:
        """When the turn began that the loop is in, as far as that is told and can be."""
        began = look.turn.turn_began if look.turn is not None else None
        if began is None or not self._idle_at - OLDER_SECONDS <= began <= look.at + READING_SECONDS:
            return None
        return began

    def _turned(self, look: Look, gap: float) -> bool:
        """Whether it was seen to turn: who only wakes to ask for the interpreter, between two turns, is late."""
        ran = look.doing == "running" and (look.ready_seconds is None or look.ready_seconds >= gap / 2)
        return ran and look.turn is not None and look.turn.turned

    def _know(self, began: float) -> None:
        """The stretch is a turn of the loop, which began then; who was told of it has another name for that."""
        stretch = self.current
        assert stretch is not None
        stretch.turn_began = began
        self._proof_at = None
        if self._opening is not None:
            gap, credit = self._opening
            self._opening = gap, min(gap, max(0.0, credit + stretch.since - began))
        elif began < stretch.since:
            return  # what is before that has been booked as idle
        if not stretch.told:
            stretch.since = began

    def _next_turn(self, before: Look, look: Look, gap: float, began: float | None) -> Stretch | None:
        """The loop has turned since the stretch began, be it once or often: another one."""
        since = min(began, look.at) if began is not None else look.at
        young = min(gap, look.at - since)
        busy = gap if look.ready_seconds is None else min(gap, max(young, look.ready_seconds))
        self.books.pass_time(busy, gap - busy)
        self._held += busy - young
        burst_at = self._burst_at
        later = min((gap - young) / 2, HALF_LOOK_SECONDS, busy - young)
        ended = self._close(self._ended_at(min(before.at, since) + later))
        self._burst_at = burst_at if burst_at is not None else look.at
        self._held = young
        self.current = Stretch(since)
        self.current.turn_began = began
        self.current.add(look)
        self._window.append(look)
        return ended

    def _ended_at(self, at: float) -> float:
        """When the stretch ended that seems to have done so then: looks that read no turn may be at later ones."""
        stretch = self.current
        assert stretch is not None
        guessed = stretch.turn_began is None or at - stretch.last_at <= HALF_LOOK_SECONDS
        return at if guessed else stretch.last_at

    def _extend(self, before: Look, look: Look, gap: float) -> None:
        stretch = self.current
        assert stretch is not None
        self.books.pass_time(gap, 0.0)
        self._held += gap
        proven = stretch.turn_began is None or look.earlier or self._turn(look) == stretch.turn_began
        stretch.add(look, until=None if proven else stretch.last_at)
        self._window.append(look)
        while look.at - self._window[0].at > WINDOW_SECONDS and len(self._window) > 2:
            self._window.popleft()
        if self._burst_at is None:
            self._burst_at = look.at
        early = not stretch.told and not self._sure and stretch.turn_began is None
        if gap >= HOLE_SECONDS and early and _switches(before, look) > HANDOVER_SWITCHES:
            self._proof_at = look.at + PROOF_SECONDS
            self._since_if_unproven = look.at - min(gap / 2, HALF_LOOK_SECONDS)
        elif self._proof_at is not None and look.at >= self._proof_at:
            self._proof_at = None
        if not self._sure and self.counts() is stretch and stretch.seconds >= self._threshold:
            known = stretch.turn_began is not None or stretch.running_share() < DOUBTFUL_SHARE
            self._sure = known and stretch.was_stall is None

    def _left_at(self, before: Look, look: Look) -> float | None:
        """The last look before the thread has been in its epoll unseen; None if it has not, or nobody can tell."""
        if look.doing != "running" or any(one.doing != "running" for one in self._window):
            return None
        switches, gap = _switches(before, look), look.at - before.at
        never_idle = gap < HOLE_SECONDS or (look.ready_seconds or 0.0) >= NEVER_IDLE_SHARE * gap
        if switches > (COLLIDING_SWITCHES if never_idle else HANDOVER_SWITCHES):
            return before.at
        looks = [one for one in (*self._window, look) if look.at - one.at <= WINDOW_SECONDS]
        switched = [first.at for first, second in pairwise(looks) if _switches(first, second) > 0]
        if len(switched) >= WINDOW_GAPS:
            return before.at if self._sure else switched[0]
        return None

    def _restart(self, left_at: float, look: Look, gap: float) -> Stretch | None:
        """End the stretch after `left_at` and begin another with this look."""
        credit = min(gap / 2, HALF_LOOK_SECONDS)
        self.books.pass_time(gap, 0.0)
        self._held += gap - credit
        ended = self._close(left_at + credit)
        self._held = credit
        self.current = Stretch(look.at - credit)
        self.current.add(look)
        self._window.append(look)
        return ended

    def _drop(self) -> None:
        """Whatever it was, it was no stretch: busy time that has delayed nobody for all that is known."""
        self.books.no_delay(self._held)
        self.current = None
        self._forget()

    def _close(self, at: float) -> Stretch | None:
        stretch = self.current
        assert stretch is not None
        if self._proof_at is not None:
            stretch.since = max(stretch.since, self._since_if_unproven)
        stretch.ended_at = max(at, stretch.since)
        guessed = stretch.turn_began is None and not self._sure
        stall = stretch.seconds >= self._threshold
        doubtful = guessed and stretch.running_share() >= (DOUBTFUL_SHARE if stall else SATURATED_SHARE)
        few = guessed and stretch.looks < LOOKS_THAT_COUNT
        if few or stretch.was_stall is False or (doubtful and not stall):
            self._drop()
            return None
        if doubtful:
            self._pending.append(stretch)
            if len(self._pending) > PENDING:
                self._book(self._pending.popleft(), True)
        else:
            self._book(stretch, True)
        self.books.no_delay(max(0.0, self._held - stretch.seconds))
        self.current = None
        self._forget()
        return stretch if stall else None

    def _book(self, stretch: Stretch, was_stall: bool) -> None:
        if was_stall:
            self.books.stretch(stretch.seconds)
        else:
            self.books.no_delay(stretch.seconds)

    def _expire(self, now: float) -> None:
        while self._pending and now - (self._pending[0].ended_at or 0.0) > SETTLE_SECONDS:
            self._book(self._pending.popleft(), True)


def _switches(before: Look, after: Look) -> int:
    """How often the thread has been switched of its own will between two looks; 0 where nobody knows."""
    first = before.times.voluntary_switches if before.times is not None else None
    last = after.times.voluntary_switches if after.times is not None else None
    return last - first if first is not None and last is not None else 0
