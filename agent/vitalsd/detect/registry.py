"""
What a detector is, where detectors register, and how one is run so that its failure stays its own.

A detector is one file: a docstring (what it finds and from what), a pure function of what was seen of one worker,
and a class with `kind`, `judge` and `is_quiet` that is registered. It is told the time and keeps nothing.
What only a pool shows (who has ended, who takes all the work) a `TargetDetector` judges, from the whole target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.history.past import Past
from vitalsd.history.work import Load
from vitalsd.model import Finding, Hold, RuleState, Silence, StallEvidence, TargetSnapshot, Verdict, WorkerSample
from vitalsd.settings.model import Settings

__all__ = [
    "Detector",
    "Failed",
    "Judgement",
    "Seen",
    "SeenTarget",
    "StateName",
    "TargetDetector",
    "ToldStall",
    "concerned",
    "find_all",
    "find_in_target",
    "fired",
    "judge_all",
    "judge_target",
    "make_detectors",
    "make_target_detectors",
    "nothing",
    "register",
    "register_for_target",
]

StateName = Literal["quiet", "watching", "fired", "unavailable"]
ToldStall = tuple[StallEvidence, Verdict, float]
"""A stall, what it comes to, and the unix time at which it began."""


class Seen(msgspec.Struct, frozen=True):
    """What was seen of one worker up to now."""

    target: str
    worker: str
    now: float
    """Unix time."""
    samples: Sequence[WorkerSample]
    """Oldest first; a detector takes from the end what its window holds."""
    stalls: Sequence[ToldStall] = ()
    """Those that are new or went on since the last judgement."""
    quiet_since: float | None = None
    """Unix time since when no stall was found: the end of the last one, or the beginning of the watch."""
    growth: GrowthWatch | None = None
    """Its series over time; None where there are no points of it yet."""
    peers: Sequence[GrowthWatch] = ()
    """Those of all workers of the target."""
    past: Past | None = None
    """What goes further back than the samples."""
    holds: Sequence[Hold] = ()
    """Captures of ours that are known to hold it, of late."""


class SeenTarget(msgspec.Struct, frozen=True):
    """What was seen of one target as a whole up to now."""

    now: float
    """Unix time."""
    latest: TargetSnapshot
    """Its workers as they are, and the exits of late."""
    silences: Mapping[str, Silence] = {}
    """Slot -> how long it has shown no life, beyond what is allowed; its supervisor's under no slot."""
    came_back_seconds: float = 0.0
    """From the longest silence of a heartbeat file that one of its workers has come back by itself, in a day."""
    loads: Mapping[str, tuple[Load, Load]] = {}
    """Slot -> what it did in the last `workers.imbalance_window` and the one before; of who has lived for both."""
    holds: Mapping[str, Sequence[Hold]] = {}
    """Slot -> captures of ours that are known to hold the worker there, of late."""


class Judgement(msgspec.Struct, frozen=True):
    """What one detector has to say of one worker."""

    findings: tuple[Finding, ...]
    state: RuleState


def fired(kind: str, seen: Seen, *findings: Finding) -> Judgement:
    """Something was found; the first of it is the reason."""
    return Judgement(findings, RuleState(kind, seen.target, seen.worker, "fired", findings[0].summary))


def nothing(kind: str, seen: Seen, state: StateName, reason: str) -> Judgement:
    """Nothing was found, and why."""
    return Judgement((), RuleState(kind, seen.target, seen.worker, state, reason))


class Detector(Protocol):
    """One kind of finding."""

    kind: str

    def judge(self, seen: Seen) -> Judgement:
        """What there is to find now, and why or why not."""
        ...

    def is_quiet(self, seen: Seen) -> bool:
        """Whether `judge` would find nothing, as far as can be told for next to nothing."""
        ...


class TargetDetector(Protocol):
    """One kind of finding about a target's workers as a pool."""

    kind: str

    def judge(self, seen: SeenTarget) -> Sequence[Judgement]:
        """What there is to find now, one judgement for each worker that it concerns, or one for the target."""
        ...

    def is_quiet(self, seen: SeenTarget) -> bool:
        """Whether `judge` would find nothing, as far as can be told for next to nothing."""
        ...


Failed = Callable[[str, str, Exception], None]
"""Hears of a detector that has raised: its kind, the target, and what it was."""


def unheard(_kind: str, _target: str, _error: Exception) -> None:
    """For whoever reads it in the detector's state."""


D = TypeVar("D", bound="Detector")
T = TypeVar("T", bound="TargetDetector")
_factories: list[Callable[[Settings], Detector]] = []
_target_factories: list[Callable[[Settings], TargetDetector]] = []


def register(factory: Callable[[Settings], D]) -> Callable[[Settings], D]:
    """Make a detector known; it takes from the configuration what it needs."""
    _factories.append(factory)
    return factory


def make_detectors(settings: Settings) -> tuple[Detector, ...]:
    """One of each registered detector; again when the configuration changes, since they keep nothing."""
    from vitalsd.detect import (  # noqa: F401 - importing a detector registers it
        counts,
        error_surge,
        exhaustion,
        fd_exhaustion,
        gc_pressure,
        heap_exhaustion,
        leak,
        pool_saturation,
        stall,
        starvation,
    )

    return tuple(factory(settings) for factory in _factories)


def register_for_target(factory: Callable[[Settings], T]) -> Callable[[Settings], T]:
    """Make a detector of whole targets known."""
    _target_factories.append(factory)
    return factory


def make_target_detectors(settings: Settings) -> tuple[TargetDetector, ...]:
    """One of each that judges whole targets."""
    from vitalsd.detect import (  # noqa: F401 - importing a detector registers it
        crash_loop,
        imbalance,
        oom_kill,
        worker_down,
        worker_hung,
        zombie,
    )

    return tuple(factory(settings) for factory in _target_factories)


def find_in_target(
    detectors: Iterable[TargetDetector], seen: SeenTarget, failed: Failed = unheard
) -> list[Finding]:
    """What there is to find in a target as a whole; mostly nothing, and then no reasons are put into words."""
    asked = [detector for detector in detectors if not _is_quiet_in(detector, seen)]
    return [finding for judgement in judge_target(asked, seen, failed) for finding in judgement.findings]


def _is_quiet_in(detector: TargetDetector, seen: SeenTarget) -> bool:
    try:
        return detector.is_quiet(seen)
    except Exception:  # noqa: BLE001 - `judge` will say so
        return False


def judge_target(
    detectors: Iterable[TargetDetector], seen: SeenTarget, failed: Failed = unheard
) -> tuple[Judgement, ...]:
    """Ask every detector of targets; one that fails says so in its state and costs the others nothing."""
    told: list[Judgement] = []
    for detector in detectors:
        try:
            told += detector.judge(seen)
        except Exception as error:  # noqa: BLE001 - one detector must not take the others down
            failed(detector.kind, seen.latest.name, error)
            reason = f"this detector failed: {type(error).__name__}: {error}"
            told.append(Judgement((), RuleState(detector.kind, seen.latest.name, "", "unavailable", reason)))
    return tuple(told)


def concerned(detectors: Iterable[Detector], seen: Seen) -> list[Detector]:
    """Those that may have something to find now; most of the time none has."""
    return [detector for detector in detectors if not _is_quiet(detector, seen)]


def find_all(detectors: Iterable[Detector], seen: Seen, failed: Failed = unheard) -> list[Finding]:
    """What there is to find now, of those whom it concerns: so nobody puts into words why there is nothing."""
    asked = concerned(detectors, seen)
    return [finding for detector in asked for finding in _judge(detector, seen, failed).findings]


def judge_all(detectors: Iterable[Detector], seen: Seen, failed: Failed = unheard) -> tuple[Judgement, ...]:
    """Ask every detector; one that fails says so in its state and costs the others nothing."""
    return tuple(_judge(detector, seen, failed) for detector in detectors)


def _is_quiet(detector: Detector, seen: Seen) -> bool:
    try:
        return detector.is_quiet(seen)
    except Exception:  # noqa: BLE001 - `judge` will say so
        return False


def _judge(detector: Detector, seen: Seen, failed: Failed) -> Judgement:
    try:
        return detector.judge(seen)
    except Exception as error:  # noqa: BLE001 - one detector must not take the others down
        failed(detector.kind, seen.target, error)
        reason = f"this detector failed: {type(error).__name__}: {error}"
        return nothing(detector.kind, seen, "unavailable", reason)
