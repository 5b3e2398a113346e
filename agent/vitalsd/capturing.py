"""
Has incidents ask for their captures, and writes into them what came of that: the wiring between desk and book.

An incident asks once for each capture that its kind is worth (`capture/triggers.py`). What is refused for a reason
that passes is asked for again while the incident is open; the incident says why there is none. Costs a look at a
table for each incident that has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from vitalsd.capture.desk import Desk
from vitalsd.capture.engines.registry import Subject
from vitalsd.capture.holding import Holding
from vitalsd.capture.ledger import Ledger
from vitalsd.capture.model import Capture, RefusalWord
from vitalsd.capture.store import Store
from vitalsd.capture.triggers import TRIGGERS, Trigger, triggered
from vitalsd.errors import NotFound
from vitalsd.incidents.book import Book
from vitalsd.model import Finding, Hold, Incident, WorkerKey, WorkerSample
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import storage_dir
from vitalsd.sources.observer.observer import Observer
from vitalsd.state import State

__all__ = ["Capturing"]

PASSES: frozenset[RefusalWord] = frozenset(
    {"overload", "cooldown", "budget", "queue", "host", "stalling", "disk", "closed"}
)
"""What may be otherwise a little later."""
AGAIN_SECONDS = 60.0
SOON_SECONDS, SOON_TRIES = 2.0, 10
"""Where a loop stalls, which is seldom for long: who is near the limit of its heap may not live for a minute."""
LEAST_SECONDS = 5.0
MOST_TRIES = 30
KEPT = 1024
TOLD_WITH = {
    "holders": ("held_type", "holders_cut"),
    "growing_types": ("census_at", "census_seconds", "census_share"),
}
"""A list of a capture's -> what it cannot be read without."""


class _Order(msgspec.Struct):
    """What one incident has asked for."""

    trigger: Trigger
    tries: int = 0


class Capturing:
    """The desk, and what it needs to know of the rest of the agent."""

    def __init__(self, state: State, observer: Observer, book: Book, settings: Settings) -> None:
        self._state = state
        self._observer = observer
        self._book = book
        self._automatic = settings.capture.automatic
        self._memory_seconds = settings.capture.memory_duration
        listen = settings.exporters.prometheus.listen
        self.ledger = Ledger(lambda: storage_dir(settings.storage), listen)
        store = Store(lambda: storage_dir(settings.storage), listen)
        self.desk = Desk(self, self.ledger, store, settings)
        self._holding = Holding()
        self._orders: OrderedDict[tuple[str, str], _Order] = OrderedDict()
        """Incident and kind of capture -> what became of it."""

    def start(self) -> None:
        """Go on with what is stored."""
        self.ledger.start()

    def reconfigure(self, settings: Settings) -> None:
        """Hold to this from now on."""
        self._automatic = settings.capture.automatic
        self._memory_seconds = settings.capture.memory_duration
        self.desk.reconfigure(settings)

    def follow(self, incidents: Iterable[Incident]) -> None:
        """Have incidents that were opened, or have changed, ask for what they are worth."""
        if not self._automatic:
            return
        for incident in incidents:
            for trigger in triggered(incident, late=self._is_late(incident)):
                place = incident.id, trigger.kind
                if place not in self._orders:
                    self._orders[place] = _Order(trigger)
                    self._ask(incident, self._orders[place])
        while len(self._orders) > KEPT:
            self._orders.popitem(last=False)

    def _is_late(self, incident: Incident) -> bool:
        """Whether its worker's loop is, where that makes a difference: to know it, the segment is read."""
        if not any(trigger.when == "late" for trigger in TRIGGERS.get(incident.kind, ())):
            return False
        worker = self._state.worker(incident.target, incident.worker)
        return worker is not None and worker.key is not None and self.late_seconds(worker.key) is not None

    def _ask(self, incident: Incident, order: _Order) -> None:
        order.tries += 1
        trigger = order.trigger
        with contextlib.suppress(NotFound):  # the worker has gone, and the incident with it
            self.desk.ask(
                trigger.kind,
                incident.target,
                incident.worker,
                seconds=self._in_time(incident, trigger),
                reason=trigger.reason,
                asked_by="incident",
                who=incident.id,
                incident=incident.id,
                about=_about(incident),
            )

    def _in_time(self, incident: Incident, trigger: Trigger) -> float | None:
        """For how long to watch where the process will not live for as long as usual; None where it may."""
        left = incident.evidence.get("time_to_limit_seconds")
        if (incident.kind, trigger.kind) != ("heap_exhaustion", "memory") or not isinstance(left, int | float):
            return None
        return max(LEAST_SECONDS, min(self._memory_seconds, left / 2))

    def captured(self, capture: Capture) -> None:
        """One has ended, one way or another: tell its incident, and try again later what may pass."""
        if capture.harm is not None:
            self._book.take([_harmful(capture)])
        if capture.incident is None:
            return
        order = self._orders.get((capture.incident, capture.kind))
        if capture.state == "done":
            self._book.attach(
                capture.incident, capture.id, _told(capture), f"{capture.kind} captured: {capture.id}"
            )
            return
        reason = {"no_capture_reason": f"{capture.kind}: {capture.problem or capture.state}"}
        self._book.attach(capture.incident, None, reason, None)
        if order is not None and capture.refusal in PASSES and order.tries < MOST_TRIES:
            soon = capture.refusal == "stalling" and order.tries <= SOON_TRIES
            wait = max(SOON_SECONDS if soon else AGAIN_SECONDS, capture.retry_after_seconds or 0.0)
            asyncio.get_running_loop().call_later(wait, self._again, capture.incident, order)

    def _again(self, name: str, order: _Order) -> None:
        """Ask once more, if there is still an incident to ask for."""
        incident = next((each for each in self._book.incidents() if each.id == name), None)
        if incident is not None and incident.state == "open":
            self._ask(incident, order)

    def holds_of(self, worker: WorkerSample) -> Sequence[Hold]:
        """The captures of late that are known to hold this worker."""
        return self._holding.of(worker, self.ledger.recent())

    def subject(self, target: str, worker: str | None) -> Subject:
        """The worker as it is now, the first that is up where none is named; raises NotFound."""
        return self._state.subject(target, worker)

    def late_seconds(self, key: WorkerKey) -> float | None:
        """For how long a loop of this worker has been stalling; None where none is."""
        return max((stall.seconds for stall in self._observer.in_progress(key)), default=None)

    def busy_share(self, subject: Subject) -> float | None:
        """Of the last minute, of the loop of this worker that is busiest; None where it has none that is known."""
        shares = [loop.busy_share for loop in self._state.recent(subject.worker).values()]
        return max((share for share in shares if share is not None), default=None)

    def agent_late_seconds(self, seconds: float) -> float:
        """By how much the agent itself was late in this time, at the most."""
        now = time.monotonic()
        return max(0.0, self._observer.late_seconds(now - seconds, now))

    async def close(self) -> None:
        """End what runs, and write down what is known."""
        await self.desk.close()


def _about(incident: Incident) -> str:
    """What it says, whichever worker it is of: `stall blocking_call /srv/app.py:fetch`."""
    culprit = incident.culprit
    whom = f"{culprit.file}:{culprit.function}" if culprit is not None else ""
    return " ".join(filter(None, (incident.kind, incident.cause, whom)))


def _told(capture: Capture) -> dict[str, object]:
    """What an incident says of its capture: the few lines that a person looks at first."""
    lists = {name: value for name, value in capture.summary.items() if isinstance(value, list) and value}
    about = {name for told in lists for name in TOLD_WITH.get(told, ())}
    return lists | {name: value for name, value in capture.summary.items() if name in about}


def _harmful(capture: Capture) -> Finding:
    return Finding(
        kind="capture_harmful",
        target=capture.target,
        worker=capture.worker,
        severity="warning",
        at=capture.ended_at or capture.asked_at,
        summary=(
            f"A `{capture.kind}` capture by {capture.engine} has harmed worker {capture.worker} of "
            f"`{capture.target}`: {capture.harm}. {capture.engine} is not used for `{capture.kind}` there for an "
            f"hour or more; see capture {capture.id}."
        ),
        evidence={"capture": capture.id, "engine": capture.engine, "pause_seconds": capture.pause_seconds},
    )
