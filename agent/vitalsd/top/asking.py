"""What is to be captured of a worker, and for how long."""

from __future__ import annotations

import math

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from vitalsd.capture.model import KINDS
from vitalsd.cli.capture import LONGEST_SECONDS
from vitalsd.top.keys import ASKING, Keys, bindings
from vitalsd.top.screens import View, body
from vitalsd.top.tones import STYLES

__all__ = ["AskingScreen"]

ABOUT = {
    "stacks": "where each thread is now, and each task: a moment",
    "cpu": "where its time goes: a flame graph, and a profile to look into",
    "memory": "what it allocates and keeps, by the line that does",
    "heap": "what is alive, by type: a census, or a snapshot of Node's heap",
}


class AskingScreen(View):
    """Kinds to choose from, and seconds."""

    BINDINGS = bindings(ASKING)

    def __init__(self, place: tuple[str, str]) -> None:
        super().__init__()
        self._place = place

    def compose(self) -> ComposeResult:
        """A question and two ways to answer."""
        yield Static(body(f"Capture of {'/'.join(self._place)}", "head"))
        yield Static(body("The agent may refuse, and says why: it protects the service.", "faint"))
        yield Static("")
        yield OptionList(*(Option(_said(kind), id=kind) for kind in KINDS), compact=True)
        yield Static("")
        yield Static(body("for how many seconds (empty: as long as the agent would by itself)"))
        yield Input(id="seconds", placeholder="the agent's default", compact=True)
        yield Static(id="wrong")
        yield Keys(ASKING)

    def on_mount(self) -> None:
        """Kinds first."""
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def chosen(self, message: OptionList.OptionSelected) -> None:
        """Go."""
        self._start(str(message.option.id))

    @on(Input.Submitted)
    def submitted(self) -> None:
        """Go, with the kind that is chosen."""
        self._start(KINDS[self.query_one(OptionList).highlighted or 0])

    def _start(self, kind: str) -> None:
        given = self.query_one("#seconds", Input).value.strip()
        try:
            seconds = float(given) if given else None
        except ValueError:
            seconds = math.nan
        if seconds is not None and not 0 < seconds <= LONGEST_SECONDS:
            self.query_one("#wrong", Static).update(body(f"Seconds are from 0 to {LONGEST_SECONDS}.", "warning"))
            self.query_one("#seconds").focus()
            return
        self.app.pop_screen()
        self.top.take(self._place, kind, seconds)


def _said(kind: str) -> Text:
    return Text.assemble((f"{kind:8}", STYLES["head"]), ABOUT[kind])
