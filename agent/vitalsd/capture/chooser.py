"""
What may take a capture now: the engines that fit, each asked of the policy with what is known at this moment.

Asked twice of each capture: when somebody wants it, and when its turn has come. Costs a few small files of /proc.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vitalsd.capture.choice import Choice, choose
from vitalsd.capture.engines.registry import Engine, Fit, Subject, ladder, make_engines
from vitalsd.capture.facts import read_facts
from vitalsd.capture.ledger import Ledger
from vitalsd.capture.model import CaptureKind, Refusal, Wanted
from vitalsd.capture.ownroom import for_programs, own_room
from vitalsd.capture.policy import refusal
from vitalsd.capture.shelf import Shelf
from vitalsd.capture.surroundings import Surroundings
from vitalsd.settings.model import Settings

__all__ = ["Chooser"]

AGENT_LOOK_SECONDS = 5.0


class Chooser:
    """The engines of this agent, and what is known to choose between them."""

    def __init__(
        self,
        around: Surroundings,
        ledger: Ledger,
        shelf: Shelf,
        settings: Settings,
        engines: Sequence[Engine] | None,
        clock: Callable[[], float],
    ) -> None:
        self._around = around
        self._ledger = ledger
        self._shelf = shelf
        self._settings = settings
        self._given = tuple(engines) if engines is not None else None
        self._made: tuple[Engine, ...] | None = None
        self._clock = clock
        self.closing = False
        """The agent ends: nothing is begun any more."""

    def reconfigure(self, settings: Settings) -> None:
        """Hold to this from now on."""
        self._settings, self._made = settings, None

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that are known here, by kind and rank; made when one is needed, which may be never."""
        if self._given is not None:
            return self._given
        if self._made is None:
            self._made = make_engines(self._settings)
        return self._made

    def choose(self, wanted: Wanted, subject: Subject, itself: str = "") -> Choice | Refusal:
        """
        The best engine that may; else why none may. `itself` is the capture's own id, when its turn has come.

        The disk is looked at then: what was free minutes ago, at the last look, keeps nobody from asking.
        """
        if self.closing or not self._ledger.tried:
            return Refusal("closed", "the agent begins or ends at this moment", 5.0)
        facts = read_facts(
            subject.worker,
            late_seconds=self._around.late_seconds(wanted.key),
            agent_late_seconds=self._around.agent_late_seconds(AGENT_LOOK_SECONDS),
            free=self._shelf.free_bytes if itself else None,
            own_left=for_programs(own_room().left_bytes()),
            busy_share=self._around.busy_share(subject),
            proc=subject.proc,
        )
        others = [capture for capture in self._ledger.recent() if capture.id != itself]

        def refuse(engine: Engine, fit: Fit) -> Refusal | None:
            captures, now, heavy = self._settings.capture, self._clock(), fit.weight == "heavy"
            return refusal(
                wanted,
                facts,
                others,
                captures,
                now,
                heavy=heavy,
                engine=engine.name,
                heaps=fit.heaps,
                holds_seconds=fit.holds_seconds,
                beside_bytes=fit.beside_bytes,
            )

        kinds: tuple[CaptureKind, ...] = (wanted.kind, "heap") if wanted.kind == "memory" else (wanted.kind,)
        rungs = [
            (engine, fit)
            for kind in kinds
            for engine, fit in ladder(self.engines, kind, subject)
            # A snapshot instead, which holds the service, is nothing that was asked for.
            if kind == wanted.kind or fit.holds_seconds is None
        ]
        return choose(rungs, refuse, wanted.kind)
