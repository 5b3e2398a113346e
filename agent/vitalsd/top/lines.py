"""
A list of any length of which only what is in view is made: a line of cells for each row, one of them chosen.

Who is chosen stays so while the rows change places; until somebody has moved, that is whoever comes first. An
update draws only the lines that have changed, which is what a slow connection has to carry.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from vitalsd.top.tones import STYLES

__all__ = ["Lines", "padded"]

T = TypeVar("T")


class Lines(ScrollView, Generic[T], can_focus=True):
    """The rows, below a line of headings."""

    BINDINGS = [  # noqa: RUF012 - as textual has it
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "first", show=False),
        Binding("end", "last", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """Somebody wants to see more of a row."""

        def __init__(self, row: object) -> None:
            super().__init__()
            self.row = row

    class Chosen(Message):
        """Another row is chosen."""

    def __init__(self, *, name: str, empty: str = "") -> None:
        super().__init__(name=name, id=name)
        self.rows: Sequence[T] = ()
        self.empty = empty
        """What stands there while there is no row."""
        self._at = 0
        self._chosen: Hashable = None
        """Whose row it is; None for whoever is first."""
        self._drawn: dict[int, Strip] = {}

    def key_of(self, row: T) -> Hashable:
        """What tells a row from others while it changes."""
        raise NotImplementedError

    def heading(self, width: int) -> list[Segment]:
        """The line above."""
        raise NotImplementedError

    def line(self, row: T, width: int) -> list[Segment]:
        """A row as it is drawn."""
        raise NotImplementedError

    @property
    def chosen(self) -> T | None:
        """The row that is chosen."""
        return self.rows[self._at] if self.rows else None

    def show(self, rows: Sequence[T]) -> None:
        """Have these rows from now on."""
        self.rows = rows
        if self._chosen is not None:
            places = (place for place, row in enumerate(rows) if self.key_of(row) == self._chosen)
            self._at = next(places, min(self._at, max(0, len(rows) - 1)))
        else:
            self._at = 0
        size = Size(self.size.width, len(rows) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        self.redraw()

    def redraw(self) -> None:
        """Draw anew what looks different by now."""
        drawn = {y: self._strip(y) for y in range(self.size.height)}
        for y, strip in drawn.items():
            if self._drawn.get(y) != strip:
                self.refresh_line(y + self.scroll_offset.y)
        self._drawn = drawn

    def render_line(self, y: int) -> Strip:
        """Textual asks for one."""
        return self._strip(y)

    def on_focus(self) -> None:
        """The chosen row is marked while keys are for it."""
        self.redraw()

    def on_blur(self) -> None:
        """And not when they are for something else."""
        self.redraw()

    def on_resize(self) -> None:
        """Stay where the chosen row is."""
        self.show(self.rows)
        self._into_view()

    def action_move(self, by: int) -> None:
        """To the next, or the one before."""
        self._choose(self._at + by)

    def action_page(self, by: int) -> None:
        """By as many as are in view."""
        self._choose(self._at + by * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """To whoever is first, and stay there."""
        self._choose(0)
        self._chosen = None

    def action_last(self) -> None:
        """To the last."""
        self._choose(len(self.rows) - 1)

    def action_open(self) -> None:
        """More of it."""
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def _choose(self, place: int) -> None:
        if self.rows:
            self._at = min(max(place, 0), len(self.rows) - 1)
            self._chosen = self.key_of(self.rows[self._at])
            self._into_view()
            self.redraw()
            self.post_message(self.Chosen())

    def _into_view(self) -> None:
        top, room = self.scroll_offset.y, max(1, self.size.height - 1)
        if self._at < top:
            self.scroll_to(y=self._at, animate=False, immediate=True)
        elif self._at >= top + room:
            self.scroll_to(y=self._at - room + 1, animate=False, immediate=True)

    def _strip(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        place = y - 1 + self.scroll_offset.y
        if y == 0:
            segments = self.heading(width)
        elif not self.rows and y == 1:
            segments = [Segment(self.empty, STYLES["faint"])]
        elif place >= len(self.rows):
            return Strip.blank(width)
        else:
            segments = self.line(self.rows[place], width)
        style = STYLES[""]
        if y > 0 and self.has_focus and self.rows and place == self._at:
            style = STYLES["chosen"]
            segments = [Segment(segment.text, style) for segment in segments]
        return Strip(segments).adjust_cell_length(width, style)


def padded(text: str, width: int, style: Style, *, right: bool = False) -> Segment:
    """A cell of exactly this width; what is too long ends in an ellipsis."""
    if cell_len(text) > width:
        text = set_cell_size(text, max(0, width - 1)).rstrip() + "…"
    blank = " " * max(0, width - cell_len(text))
    return Segment(blank + text if right else text + blank, style)
