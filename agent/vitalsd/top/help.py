"""What each key does, and what the figures are."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from vitalsd.top.keys import HELP, SCREENS, Keys, bindings
from vitalsd.top.screens import View
from vitalsd.top.tones import STYLES

__all__ = ["HelpScreen"]

FIGURES = """\
DELAY     what 99 of 100 callbacks of the latest loop waited at most, BUSY its share of time at work, STALLS how
          often it stood still: of the last minute
3 MINUTES the delay, from 1 ms to 3 s in powers of ten, or the share of work: a third of a minute each, since
          this view was opened
LIMIT     how much of the memory limit is used; FULL IN when it is met at the present pace
OPEN      incidents that are open, the worst first
Columns have room in this order, each where there is some left: WORKER, STATE, DELAY, BUSY, OPEN, MEMORY, FULL IN,
STALLS, 3 MINUTES of DELAY, CPU, RESTARTS, LIMIT, 3 MINUTES of BUSY."""
MOVES = "Arrows, PgUp, PgDn, Home and End move."


class HelpScreen(View):
    """All keys."""

    BINDINGS = bindings(HELP)

    def compose(self) -> ComposeResult:
        """Text that scrolls."""
        with VerticalScroll():
            yield Static(told())
        yield Keys(HELP)

    def on_mount(self) -> None:
        """Arrows scroll."""
        self.query_one(VerticalScroll).focus()


def told() -> Text:
    """By screen."""
    text = Text(MOVES)
    for screen, keys in SCREENS.items():
        text.append(f"\n\n{screen}", STYLES["head"])
        for key in keys:
            text.append("\n")
            text.append(f"  {key.shown:<6}", STYLES["key"])
            text.append(key.sentence)
    text.append("\n\nFigures\n", STYLES["head"])
    text.append(FIGURES)
    return text
