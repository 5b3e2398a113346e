"""
What is known of the agent's services at this moment: targets, incidents, captures, and whether the agent is there.

Everything is changed and read by the loop that draws. The clock is given, so minutes pass in a test at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vitalsd.capture.model import ACTIVE
from vitalsd.model import OWN_TARGET
from vitalsd.top.rows import SEVERITIES, Row, rows_of
from vitalsd.top.told import Captures, Event, Gone, Incidents, Target, Targets
from vitalsd.top.trail import Trail

__all__ = ["Picture"]


class Picture:
    """All that the screens show."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.targets: tuple[Target, ...] = ()
        self.rows: list[Row] = []
        self.problems: tuple[str, ...] = ()
        """What is wrong with the agent itself, a sentence each."""
        self.heard_at: float | None = None
        """Unix time of the latest news; None before the first."""
        self.gone_since: float | None = None
        """Unix time from when on the agent has not answered, if that is so."""
        self.gone_because = ""
        self._incidents: dict[str, Mapping[str, Any]] = {}
        self._captures: dict[str, Mapping[str, Any]] = {}
        self._trails: dict[tuple[str, str], Trail] = {}
        self._anew: set[type[Event]] = set()
        """What the agent is about to tell from the beginning."""

    def hear(self, event: Event) -> None:
        """Take over what the agent tells."""
        now = self.clock()
        self.heard_at, self.gone_since, self.gone_because = now, None, ""
        if isinstance(event, Targets):
            self.targets = event.targets
            self._follow(now)
        elif isinstance(event, Incidents):
            self._incidents = self._before(event) | {each["id"]: each for each in event.incidents}
        elif isinstance(event, Captures):
            self._captures = self._before(event) | {each["id"]: each for each in event.captures}
        elif isinstance(event, Gone):
            for name in event.gone:
                self._incidents.pop(name, None)
                self._captures.pop(name, None)
        self.rows = rows_of(self.targets, self._trails, self.open_incidents(), now)

    def begin(self) -> None:
        """The agent is asked anew and will tell everything: what it does not tell then is no longer so."""
        self._anew = {Incidents, Captures}

    def lose(self, because: str) -> None:
        """The agent does not answer; what it said last is still shown."""
        if self.gone_since is None:
            self.gone_since = self.clock()
        self.gone_because = because

    def open_incidents(self) -> Sequence[Mapping[str, Any]]:
        """Those of services that are open now, latest opened first; the agent's own are among its problems."""
        found = [
            each for each in self._incidents.values() if each["state"] == "open" and each["target"] != OWN_TARGET
        ]
        return sorted(found, key=_opened, reverse=True)

    def incidents_of(self, target: str, slot: str) -> Sequence[Mapping[str, Any]]:
        """Those of one worker, and those of its target as a whole: first what is open, latest opened first."""
        found = [
            each for each in self._incidents.values() if each["target"] == target and each["worker"] in ("", slot)
        ]
        latest = sorted(found, key=_opened, reverse=True)
        return sorted(latest, key=lambda each: bool(each["state"] != "open"))

    def incident(self, name: str) -> Mapping[str, Any] | None:
        """The incident of this id, as far as it is known here."""
        return self._incidents.get(name)

    def captures_of(self, incident: str) -> Sequence[Mapping[str, Any]]:
        """The captures that are evidence of an incident."""
        return [each for each in self._captures.values() if each["incident"] == incident]

    def capture(self, name: str) -> Mapping[str, Any] | None:
        """The capture of this id."""
        return self._captures.get(name)

    def captures_under_way(self) -> Sequence[Mapping[str, Any]]:
        """Those that wait or run."""
        return [each for each in self._captures.values() if each["state"] in ACTIVE]

    def row(self, place: tuple[str, str]) -> Row | None:
        """The worker in this place."""
        return next((row for row in self.rows if row.place == place), None)

    def target(self, name: str) -> Target | None:
        """The target of this name."""
        return next((target for target in self.targets if target.name == name), None)

    def counts(self) -> tuple[int, int, tuple[int, int, int]]:
        """How many workers there are and how many of them are down, and open incidents by severity."""
        found = [each["severity"] for each in self.open_incidents()]
        critical, warning, info = (found.count(severity) for severity in SEVERITIES)
        places = [row for row in self.rows if row.worker is not None]
        return len(places), sum(row.state == "down" for row in self.rows), (critical, warning, info)

    def _before(self, event: Incidents | Captures) -> dict[str, Mapping[str, Any]]:
        """What of its kind is known and holds beside it."""
        if type(event) in self._anew:
            self._anew.discard(type(event))
            return {}
        return self._incidents if isinstance(event, Incidents) else self._captures

    def _follow(self, now: float) -> None:
        places = {(worker.target, worker.slot) for target in self.targets for worker in target.workers}
        self._trails = {place: trail for place, trail in self._trails.items() if place in places}
        for target in self.targets:
            for worker in target.workers:
                self._trails.setdefault((worker.target, worker.slot), Trail()).add(worker, now)


def _opened(incident: Mapping[str, Any]) -> str:
    """RFC 3339 in UTC sorts as text."""
    return str(incident["opened_at"])
