"""The first screen: all workers, and below them what is wrong."""

from __future__ import annotations

from typing import cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Static

from vitalsd.top.columns import COLUMNS, TROUBLE, ordered
from vitalsd.top.header import counts_line, header, view_line
from vitalsd.top.keys import FILTER, MAIN, Keys, bindings
from vitalsd.top.lines import Lines
from vitalsd.top.rows import Row, fitting
from vitalsd.top.screens import View, body
from vitalsd.top.tables import IncidentList, WorkerTable

__all__ = ["MainScreen"]

INCIDENTS_SHARE = 3
"""Incidents have this part of the screen or what workers do not need, and no more lines than there are."""
OTHER_LINES = 6
"""Above, between and below the lists."""
TALL = 30
"""From so many lines on the sentence of an incident is shown beside it."""
SORTED = (TROUBLE, *(column.name for column in COLUMNS if not column.name.endswith("_trail")))


class MainScreen(View):
    """Workers and incidents."""

    BINDINGS = bindings(MAIN) + bindings(FILTER)

    def __init__(self) -> None:
        super().__init__()
        self._sorted_by, self._reverse, self._words = TROUBLE, False, ""

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Static(id="header")
        yield WorkerTable(self.top.picture.clock)
        yield IncidentList(self.top.picture.clock, name="incidents", title="OPEN INCIDENTS")
        yield Static(id="sentence")
        yield Input(id="filter", placeholder="filter by words of names, states and commands", compact=True)
        yield Keys(MAIN)

    def on_mount(self) -> None:
        """The list of workers has the keys."""
        self.query_one("#filter").display = False
        self.query_one(WorkerTable).focus()
        self.changed()

    def changed(self) -> None:
        """Show what is known now."""
        picture, table = self.top.picture, self.query_one(WorkerTable)
        fit = fitting(picture.rows, self._words) if self._words else picture.rows
        table.sorted_by = self._sorted_by
        if self._words:
            table.empty = "No worker fits the filter."
        elif picture.heard_at is not None:
            table.empty = (
                "No target is found: start a service with `vitalsd run`, or name one in the configuration."
            )
        else:
            table.empty = ""
        table.show(ordered(fit, self._sorted_by, reverse=self._reverse))
        found = picture.open_incidents()
        incidents = self.query_one(IncidentList)
        incidents.title = f"OPEN INCIDENTS {len(found)}" if found else "OPEN INCIDENTS"
        left = self.size.height - len(fit) - OTHER_LINES
        incidents.styles.height = min(max(len(found), 1) + 1, max(3, self.size.height // INCIDENTS_SHARE, left))
        incidents.show(found)
        self._say_sentence()
        order = view_line(picture, self._sorted_by, self._words, len(fit), reverse=self._reverse)
        view = Text("  ").join([counts_line(picture), order])
        self.query_one("#header", Static).update(header(picture, self.top.agent.name, view, picture.clock()))

    @on(Lines.Opened)
    def opened(self, message: Lines.Opened) -> None:
        """A worker, or an incident."""
        if isinstance(message.row, Row):
            self.top.open_worker(message.row.place)
        else:
            self.top.open_incident(cast("dict[str, str]", message.row)["id"])

    @on(Lines.Chosen)
    def chosen(self) -> None:
        """Another incident has another sentence."""
        self._say_sentence()

    def action_sort(self, by: int) -> None:
        """By the next column that is shown, or the one before."""
        there = {*self.query_one(WorkerTable).columns(), TROUBLE, self._sorted_by}
        names = [name for name in SORTED if name in there]
        self._sorted_by, self._reverse = names[(names.index(self._sorted_by) + by) % len(names)], False
        self.changed()

    def action_reverse(self) -> None:
        """The other end first."""
        self._reverse = not self._reverse
        self.changed()

    def action_filter(self) -> None:
        """Have the words typed."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()
        self.query_one(Keys).tell(FILTER)

    def action_clear_filter(self) -> None:
        """All workers again."""
        self.query_one("#filter", Input).value = ""
        self._keep()

    @on(Input.Changed)
    def typed(self, message: Input.Changed) -> None:
        """Each letter filters at once."""
        self._words = message.value.strip()
        self.changed()

    @on(Input.Submitted)
    def _keep(self) -> None:
        """Back to the list, filtered."""
        self.query_one("#filter").display = False
        self.query_one(WorkerTable).focus()
        self.query_one(Keys).tell(MAIN)

    def action_stack(self) -> None:
        """Of the worker that is chosen."""
        self._capture(kind="stacks")

    def action_capture(self) -> None:
        """Of the worker that is chosen."""
        self._capture(kind=None)

    def _say_sentence(self) -> None:
        incident, place = self.query_one(IncidentList).chosen, self.query_one("#sentence", Static)
        place.display = incident is not None and self.size.height >= TALL
        if incident is not None:
            place.update(body(incident["summary"]))

    def _capture(self, kind: str | None) -> None:
        row = self.query_one(WorkerTable).chosen
        if row is not None:
            self.top.capture(row.place, kind)
