"""
Tells all Alertmanagers of all incidents: looks once in a second whether any has changed, and shows each peer
what is.

Does nothing at all without peers. Costs a look at one object each second, microseconds for each incident when
one has changed, and a message to each peer each minute while there is something to tell. An agent that ends tells
what was found last, within a bounded time: with a service that crashes its agent ends too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from vitalsd.model import Incident
from vitalsd.settings.model import Alertmanager, AlertmanagerPeer
from vitalsd_exporters.alertmanager.alert import Alert, Labels, Wording
from vitalsd_exporters.alertmanager.board import Board
from vitalsd_exporters.alertmanager.peer import Peer
from vitalsd_exporters.state import Notified

__all__ = ["Notifier"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
ANEW_SECONDS = 10.0
"""Time alone ends what is told late, and what is told of the past."""
LAST_SECONDS = 3.0
"""For what is told when the agent ends: whoever comes after it waits for its ports."""
LEAST_HOLD_SECONDS = 60.0
"""Twice what an Alertmanager waits for more of a group, by default."""


class Notifier:
    """All of them."""

    def __init__(
        self,
        incidents: Callable[[], tuple[Incident, ...]],
        note: Callable[[str, str], None],
        settings: Alertmanager,
        control_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._incidents = incidents
        self._note = note
        """Told the incident that somebody was told of for the first time, and how to say so."""
        self._control_url = control_url
        self._clock = clock
        self._settings = settings
        self._board = Board((), LEAST_HOLD_SECONDS, self._settings.keep_firing_for)
        self._peers: dict[AlertmanagerPeer, tuple[Peer, asyncio.Task[None]]] = {}
        self._seen: tuple[Incident, ...] | None = None
        self._seen_at = 0.0
        self._alerts: Mapping[Labels, Alert] = {}
        self._left_out = False
        self._changed = asyncio.Event()

    def reconfigure(self, settings: Alertmanager) -> None:
        """Go by these from now on; a peer that stays as it is goes on as it was."""
        self._settings = settings
        self._changed.set()

    def counts(self) -> tuple[Notified, ...]:
        """How it went with each peer."""
        peers = [peer for peer, _ in self._peers.values()]
        return tuple(Notified(peer.settings.url, peer.sent, peer.failed, peer.problem) for peer in peers)

    async def run(self) -> None:
        """Tell them, for ever."""
        async with asyncio.TaskGroup() as tasks:
            self._changed.set()
            while True:
                if self._changed.is_set():
                    self._changed.clear()
                    self._settle(tasks)
                if self._peers:
                    self._look()
                try:
                    async with asyncio.timeout(LOOK_SECONDS if self._peers else None):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def finish(self) -> None:
        """When `run` has been cancelled: tell each what it has not heard, once, all at once, and not for long."""
        self._look()
        telling = [asyncio.create_task(peer.finish()) for peer, _ in self._peers.values()]
        if telling:
            await asyncio.wait(telling, timeout=LAST_SECONDS)
            for each in telling:
                each.cancel()
        for peer, _ in self._peers.values():
            if peer.untold:
                log.warning("alerts_not_told", peer=peer.settings.url, count=peer.untold)

    def _settle(self, tasks: asyncio.TaskGroup) -> None:
        """Have a task for each peer that is configured, and none for others."""
        settings = self._settings
        for gone in self._peers.keys() - set(settings.peers):
            self._peers.pop(gone)[1].cancel()
        for each in settings.peers:
            if each not in self._peers:
                peer = Peer(each, self._told)
                self._peers[each] = peer, tasks.create_task(peer.run())
        static = tuple((label.name, label.value) for label in settings.labels)
        wording = Wording(settings.external_url or self._control_url, settings.runbooks, static)
        self._board.static = static
        self._board.keep_seconds = settings.keep_firing_for
        self._board.hold_seconds = max(LEAST_HOLD_SECONDS, settings.interval)
        for peer, _ in self._peers.values():
            peer.pace(settings.interval, settings.timeout, wording)
        self._seen = None

    def _look(self) -> None:
        """Show the peers what there is, if it may have changed; an agent does not end of what it pushes."""
        try:
            self._show()
        except Exception:
            log.exception("alerts_not_made")

    def _show(self) -> None:
        incidents, now = self._incidents(), self._clock()
        if incidents is self._seen and 0 <= now - self._seen_at < ANEW_SECONDS:
            return
        self._seen, self._seen_at = incidents, now
        self._alerts = self._board.take(incidents, now)
        if (self._board.left_out > 0) != self._left_out:
            self._left_out = self._board.left_out > 0
            log.warning("alerts_left_out", count=self._board.left_out, told=len(self._alerts))
        for peer, _ in self._peers.values():
            peer.show(self._alerts)

    def _told(self, alert: Alert) -> None:
        """The first who takes it is noted in the incident, by which the next agent knows."""
        for name in self._board.told(alert, self._clock()):
            self._note(name, f"Alertmanager was told, as {dict(alert.labels)['alertname']}")
