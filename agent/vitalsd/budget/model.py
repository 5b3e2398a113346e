"""A run and what it comes to: limits, what each process did, and each check. Frozen, and pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.model import Frame, Histogram, StallEvidence, Verdict

__all__ = [
    "Check",
    "Dropped",
    "Errors",
    "Growth",
    "Limits",
    "LoopRun",
    "NotMeasured",
    "Outcome",
    "ProcessRun",
    "Report",
    "Run",
    "RunStall",
]

Outcome = Literal["good", "exceeded", "unmeasured"]


class Limits(msgspec.Struct, frozen=True):
    """What may not be exceeded; None is not judged."""

    max_stall_seconds: float | None = None
    p99_delay_seconds: float | None = None
    max_growth_bytes: int | None = None
    max_errors: int | None = None
    after_seconds: float = 0.0
    """What each process does in so much of its life is left out."""


class RunStall(msgspec.Struct, frozen=True):
    """One stall, with its cause."""

    evidence: StallEvidence
    verdict: Verdict
    started_at: float
    """Unix time."""
    pardon: str = ""
    """Why it is not held against the process, if it is not."""
    own_seconds: float | None = None
    """How long it was without what the host had it wait, where that is not its whole length."""

    @property
    def seconds(self) -> float:
        """What is judged."""
        return self.evidence.seconds if self.own_seconds is None else self.own_seconds


class Dropped(msgspec.Struct, frozen=True):
    """Stalls that count and are not kept one by one, since longer ones are."""

    over: int = 0
    """How many were longer than --max-stall allows."""
    over_seconds: float = 0.0
    """Of these, all together."""
    beyond_seconds: float = 0.0
    """By how much they were longer than --p99-delay allows, all together."""

    def with_one(self, stall: RunStall, limits: Limits) -> Dropped:
        """One more."""
        seconds, longest, p99 = stall.seconds, limits.max_stall_seconds, limits.p99_delay_seconds
        is_over = longest is not None and seconds > longest
        return Dropped(
            self.over + is_over,
            self.over_seconds + (seconds if is_over else 0.0),
            self.beyond_seconds + (max(0.0, seconds - p99) if p99 is not None else 0.0),
        )


class LoopRun(msgspec.Struct, frozen=True):
    """One event loop over the run."""

    name: str
    thread: str
    delay: Histogram
    """Without what was pardoned, and without what the host had it wait."""
    stalls: tuple[RunStall, ...] = ()
    """The longest first."""
    dropped: Dropped = Dropped()
    lost: int = 0
    """How many came faster than they were read."""
    lost_seconds: float = 0.0
    """How long the longest was, where it is one of those."""
    lost_at_most_seconds: float = 0.0
    """How long one of those may have been."""


class Growth(msgspec.Struct, frozen=True):
    """How much a process held early and late in its life."""

    what: str
    """What was measured: `live heap after full collections`."""
    before_bytes: int
    after_bytes: int
    before_seconds: float
    """How old the process was."""
    after_seconds: float

    @property
    def grown_bytes(self) -> int:
        """Below 0 where it gave something back."""
        return self.after_bytes - self.before_bytes


class NotMeasured(msgspec.Struct, frozen=True):
    """Why something could not be measured."""

    reason: str
    is_young: bool = False
    """The process had not lived for long enough, so there was nothing to be missed."""


class Errors(msgspec.Struct, frozen=True):
    """Unhandled errors of one channel, and what the latest that was looked at had been."""

    channel: str
    count: int
    type: str = ""
    frames: tuple[Frame, ...] = ()


class ProcessRun(msgspec.Struct, frozen=True):
    """One process with a probe in it."""

    name: str
    """Its command line, shortened and without secrets; another of the same has a number behind it."""
    pid: int
    runtime: str
    version: str
    lived_seconds: float
    loops: tuple[LoopRun, ...] = ()
    growth: Growth | NotMeasured = NotMeasured("nothing was told of its heap")
    errors: tuple[Errors, ...] | None = ()
    """None where nothing was told of them."""
    pardon: str = ""
    """Why all of it is left out, if it is."""
    unread: str = ""
    """Why nothing of it was read, or nothing from some moment on, if so: it cannot be good."""
    problems: tuple[str, ...] = ()
    """What the probe could not tell."""


class Run(msgspec.Struct, frozen=True):
    """A command, from its start to its end."""

    command: str
    started_at: float
    """Unix time."""
    seconds: float
    exit_code: int
    """As a shell has it: 128 and the signal's number where one has ended it."""
    processes: tuple[ProcessRun, ...] = ()
    problem: str = ""
    """Why nothing was recorded from some moment on, if that is so."""


class Check(msgspec.Struct, frozen=True):
    """One budget and one process; of a budget that nobody could be measured by, all of them."""

    budget: str
    """The option: `max-stall`."""
    limit: str
    """As it was given: `100ms`."""
    process: str
    outcome: Outcome
    sentence: str
    """What was measured; of what exceeds, the culprit first."""
    value: float | None = None
    """In seconds, bytes or errors."""
    cause: str | None = None
    culprit: Frame | None = None
    stacks: tuple[dict[str, object], ...] = ()
    counts: bool = True
    """Whether a run cannot be good for it: not where it is unmeasured, and nothing was to be expected."""


class Report(msgspec.Struct, frozen=True):
    """All that is told of a run."""

    run: Run
    checks: tuple[Check, ...]
    outcome: Outcome
    exit_code: int

    def of(self, outcome: Outcome) -> tuple[Check, ...]:
        """The checks that came out so."""
        return tuple(check for check in self.checks if check.outcome == outcome)

    @property
    def unjudged(self) -> tuple[Check, ...]:
        """What could not be judged, and for which the run cannot be good."""
        return tuple(check for check in self.of("unmeasured") if check.counts)
