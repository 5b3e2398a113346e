"""One incident in full, in the words of `vitalsd incidents ID`."""

from __future__ import annotations

from typing import Any

import msgspec
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from vitalsd.cli.figures import within
from vitalsd.cli.incidents import described
from vitalsd.errors import VitalsdError
from vitalsd.top.keys import INCIDENT, Keys, bindings
from vitalsd.top.screens import View, body, paragraphs

__all__ = ["IncidentScreen"]

LEAST_COLUMNS, MOST_COLUMNS = 30, 120
MARGIN = 2


class IncidentScreen(View):
    """The sentence, what to do, cause and culprit, the stack, what else is known, and what happened when."""

    BINDINGS = bindings(INCIDENT)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._incident = name
        self._in_full: dict[str, Any] | None = None
        """With its evidence, which the agent is asked for where the stream does not tell it."""
        self._problem = ""
        self._forgotten = False
        """Whether it was told, and is no more."""

    def compose(self) -> ComposeResult:
        """Text that scrolls."""
        with VerticalScroll():
            yield Static(id="text")
        yield Keys(INCIDENT)

    def on_mount(self) -> None:
        """Show what is known, and ask for all of it."""
        self.query_one(VerticalScroll).focus()
        self._ask()
        self.changed()

    def on_resize(self) -> None:
        """Lines of another length."""
        self.changed()

    def changed(self) -> None:
        """An incident goes on while one reads it: what changes comes with the stream."""
        picture = self.top.picture
        told = picture.incident(self._incident)
        self._notice(is_told=told is not None)
        incident = {**(self._in_full or {}), **(told or {})}
        if "timeline" not in incident:  # where there is no stream, it is told in brief
            self.query_one("#text", Static).update(body(self._problem or "The agent is asked for it."))
            return
        columns = min(max(self.size.width - MARGIN, LEAST_COLUMNS), MOST_COLUMNS)
        with within(columns):
            text = described(incident, picture.captures_of(self._incident), picture.clock())
        tone = incident["severity"] if incident["state"] == "open" else ""
        self.query_one("#text", Static).update(paragraphs(text, tone if tone != "info" else ""))

    def action_worker(self) -> None:
        """Whom it is about."""
        incident = self.top.picture.incident(self._incident)
        if incident is not None and incident["worker"]:
            self.top.open_worker((incident["target"], incident["worker"]))

    def _notice(self, *, is_told: bool) -> None:
        """All that are open are told: one that is no more is over, and the agent may know how that came."""
        if is_told:
            self._forgotten = False
        elif self._in_full is not None and self._in_full["state"] == "open":
            self._in_full["state"] = "resolved"
            if not self._forgotten:
                self._forgotten = True
                self._ask()

    def _ask(self) -> None:
        self.top.ask(lambda: self.top.agent.get(f"/api/v1/incidents/{self._incident}"), self._told)

    def _told(self, answer: bytes | VitalsdError) -> None:
        if isinstance(answer, VitalsdError):
            self._problem = str(answer)
        else:
            self._in_full = msgspec.json.decode(answer)
        if self.is_mounted:
            self.changed()
