"""
When the next round of sampling is due, and how an end brings it forward. Pure and told the time.

After an end there are looks: who is there now, so that the replacement is watched before it can end as well. They
come at growing distances until every place is filled, or it is too late to wait for that. And there are early
rounds, so that what has ended is told within two seconds: soon, and again when a replacement has had its time.

Both are paid from one bucket of processor time that fills by SHARE of a core, looks before rounds. So a crash
loop of any number of workers on a host of any size costs that much and no more; where that is not enough, lives
are missed. Rounds that would have come anyway cost nothing here: of those each is followed by as much time as
keeps them below ROUNDS_SHARE of a core, so that workers beyond some five hundred are read less often, and not at
a higher price. And while nothing stirs anywhere every second one is left out, until something does; of those that
have been missed altogether, none is made up for.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Pace", "Turn"]

Turn = Literal["round", "early", "look"]
ROUNDS_SHARE = 0.05
CALM = 2
"""Places of the grid from a round to the next one while nothing stirs."""
CALM_SECONDS = 12.0
"""No more than that: detectors have the samples of a minute."""
SHARE = 0.02
BUCKET_SECONDS = 0.2
RESERVED_SECONDS = 0.1
"""For looks: an early round takes its turn only above this."""
FIRST_LOOK_SECONDS = 0.02
LOOKS_SECONDS = (0.08, 0.2, 0.4)
"""After an end; from then on each LOOK_SECONDS."""
LOOK_SECONDS = 0.4
LOOKED_FOR_SECONDS = 10.0
"""A place that is empty for longer is filled in the next search, like any other."""
AGAIN_SECONDS = 1.0
EARLY_SECONDS = (0.1, 1.2)
"""After an end: most supervisors have replaced it, or nobody has."""
EARLY_APART_SECONDS = 0.5
PROBE_SECONDS = 1.4
"""After somebody new sits down: a probe becomes active in a process that is a second old."""


class Pace:
    """What is to be done next, and when. All times are CLOCK_MONOTONIC."""

    def __init__(self, now: float) -> None:
        self._due = self._due_if_stirred = now
        self._early: list[float] = []
        self._early_at = now - EARLY_APART_SECONDS
        self._looked_at = now
        self._unseen_at: float | None = None
        """The first end since the last look."""
        self._ended_at: float | None = None
        """The latest, while places are empty."""
        self._again_at: float | None = None
        self._left, self._filled_at = BUCKET_SECONDS, now

    def ended(self, now: float) -> None:
        """A worker has ended: look who takes its place."""
        self._ended_at = now
        self._unseen_at = now if self._unseen_at is None else self._unseen_at

    def told(self, now: float) -> None:
        """It is known how one has ended: there is something to tell."""
        self._want(*(now + after for after in EARLY_SECONDS))

    def changed(self, now: float) -> None:
        """
        Somebody new sits there: look once more, since a young master looks like a worker at first.

        And read what its probe says as soon as it says something: services often stall right after their start.
        """
        if self._again_at is None:
            self._again_at = now + AGAIN_SECONDS
        self._want(now + PROBE_SECONDS)

    def stir(self) -> bool:
        """Something is going on: no round is left out any more. The answer is whether one would have been."""
        sooner = self._due_if_stirred < self._due
        self._due = self._due_if_stirred
        return sooner

    def leaves_out(self, now: float) -> bool:
        """Whether a round that would have come by now is being left out."""
        return self._due_if_stirred <= now < self._due

    def next(self, now: float) -> tuple[Turn, float]:
        """The next thing to do, and when."""
        self._fill(now)
        turns: list[tuple[float, Turn]] = [(self._due, "round")]
        if self._early:
            wanted = max(self._early[0], self._early_at + EARLY_APART_SECONDS)
            turns.append((max(wanted, now + self._wait(RESERVED_SECONDS)), "early"))
        if self._ended_at is not None:
            turns.append((max(self._look_at(self._ended_at), now + self._wait(0.0)), "look"))
        if self._again_at is not None:
            turns.append((max(self._again_at, now + self._wait(0.0)), "look"))
        at, turn = min(turns)
        return turn, at

    def done(
        self,
        turn: Turn,
        began: float,
        spent_seconds: float,
        interval_seconds: float,
        *,
        filled: bool,
        calm: bool = False,
    ) -> None:
        """It was done, for so much processor time; `filled`: every place has somebody, `calm`: nothing stirs."""
        self._fill(began)
        self._looked_at, self._unseen_at = began, None
        if self._again_at is not None and began >= self._again_at:
            self._again_at = None
        if turn == "round":
            least, grid = began + spent_seconds / ROUNDS_SHARE, self._due
            missed = max(0, round((began - grid) / interval_seconds))
            self._due_if_stirred = self._due = max(grid + (missed + 1) * interval_seconds, least)
            if calm and self._ended_at is None and CALM * interval_seconds <= CALM_SECONDS:
                self._due = max(grid + (missed + CALM) * interval_seconds, least)
        else:
            self._left -= spent_seconds
        if turn != "look":
            self._early_at = began
            self._early = [at for at in self._early if at > began]
        if self._ended_at is not None and (filled or began - self._ended_at > LOOKED_FOR_SECONDS):
            self._ended_at = None

    def _want(self, *early: float) -> None:
        """Early rounds at these times, or fewer: of all that are wanted, the first and the last."""
        wanted = sorted([*self._early, *early])
        self._early = [wanted[0], wanted[-1]] if len(wanted) > 1 else wanted

    def _look_at(self, ended_at: float) -> float:
        if self._unseen_at is not None:
            return self._unseen_at + FIRST_LOOK_SECONDS
        planned = (ended_at + after for after in LOOKS_SECONDS)
        return next((at for at in planned if at > self._looked_at), self._looked_at + LOOK_SECONDS)

    def _wait(self, reserved_seconds: float) -> float:
        """How long it takes until there is something to spend."""
        return max(0.0, reserved_seconds - self._left) / SHARE

    def _fill(self, now: float) -> None:
        if now > self._filled_at:
            self._left = min(BUCKET_SECONDS, self._left + SHARE * (now - self._filled_at))
            self._filled_at = now
