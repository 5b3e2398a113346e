"""What all screens have: that they are told of news, and the way back; and text that others have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.screen import Screen

from vitalsd.cli.figures import plain
from vitalsd.top.tones import STYLES

if TYPE_CHECKING:
    from vitalsd.top.app import Top

__all__ = ["View", "body", "heading", "paragraphs"]


class View(Screen[Any]):
    """A screen that shows the picture, and is told when it changes."""

    @property
    def top(self) -> Top:
        """The app."""
        from vitalsd.top.app import Top

        assert isinstance(self.app, Top)
        return self.app

    def changed(self) -> None:
        """The picture is another, or a second has passed."""

    def action_back(self) -> None:
        """To the screen before."""
        self.app.pop_screen()


def body(text: str, tone: str = "") -> Text:
    """Lines that others have written: nothing in them is obeyed by a terminal, and brackets are brackets."""
    return Text("\n".join(map(plain, text.split("\n"))), STYLES[tone])


def heading(text: str) -> Text:
    """A line above others."""
    return body(text, "head")


def paragraphs(text: str, first: str) -> Text:
    """A text as other commands print it: the first paragraph in a tone, and headings above what is indented."""
    told = Text()
    for number, part in enumerate(text.split("\n\n")):
        if number == 0:
            told.append_text(body(part, first))
            continue
        head, _, rest = part.partition("\n")
        told.append("\n\n")
        told.append_text(heading(head) if rest.startswith("  ") and not head.startswith(" ") else body(head))
        if rest:
            told.append("\n")
            told.append_text(body(rest))
    return told
