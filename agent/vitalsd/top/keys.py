"""
Every key there is: what it does, in one word below the screen and in a sentence in the help and in docs/top.md.
"""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from vitalsd.top.tones import STYLES

__all__ = [
    "ASKING",
    "CAPTURE",
    "FILTER",
    "HELP",
    "INCIDENT",
    "MAIN",
    "SCREENS",
    "WORKER",
    "Key",
    "Keys",
    "bindings",
]


class Key(NamedTuple):
    """One key, or two that belong together."""

    shown: str
    word: str
    sentence: str
    actions: dict[str, str]
    """Textual's name of a key -> what is called."""


BACK = Key("esc", "back", "back to where you came from", {"escape": "back"})
QUIT = Key("q", "quit", "end; Ctrl-C does too", {"q": "app.quit", "ctrl+c": "app.quit"})
STACK = Key("k", "stack", "take the stacks of the worker now, and show them", {"k": "stack"})
TAKE = Key("c", "capture", "take a capture of the worker: choose its kind and for how long", {"c": "capture"})
HELP_KEY = Key("?", "help", "show this page", {"question_mark": "app.help"})

SORTS = {"less_than_sign": "sort(-1)", "greater_than_sign": "sort(1)"}

MAIN = (
    Key("enter", "open", "open the chosen worker or incident", {}),
    Key("tab", "list", "go to the other list, of workers or of incidents", {}),
    Key("/", "filter", "show only workers whose name, state or command has these words", {"slash": "filter"}),
    Key("<>", "sort", "sort by another column, or by what is wrong first", SORTS),
    Key("r", "reverse", "the other end of the list first", {"r": "reverse"}),
    STACK,
    TAKE,
    HELP_KEY,
    QUIT,
)  # fmt: skip
FILTER = (
    Key("enter", "keep", "keep the filter, and go back to the list", {}),
    Key("esc", "clear", "show all workers again", {"escape": "clear_filter"}),
)
WORKER = (
    Key("enter", "open", "open the chosen incident", {}),
    Key("tab", "list", "go to the other part of the screen", {}),
    STACK,
    TAKE,
    BACK,
    HELP_KEY,
    QUIT,
)
INCIDENT = (
    Key("w", "worker", "open the worker that the incident is about", {"w": "worker"}),
    BACK,
    HELP_KEY,
    QUIT,
)
ASKING = (
    Key("enter", "start", "take a capture of the chosen kind", {}),
    Key("tab", "seconds", "go to the field of seconds, or back", {}),
    BACK,
)
CAPTURE = (
    Key("x", "end early", "end the capture that runs, and keep what it has", {"x": "stop"}),
    Key("a", "again", "take another of the same kind", {"a": "again"}),
    Key("f", "anyway", "one that was refused: take it whatever cooldown and budget say", {"f": "anyway"}),
    BACK,
    QUIT,
)
HELP = (BACK, QUIT)
SCREENS = {
    "Workers and incidents": MAIN,
    "While filtering": FILTER,
    "One worker": WORKER,
    "One incident": INCIDENT,
    "Asking for a capture": ASKING,
    "A capture": CAPTURE,
    "This page": HELP,
}


def bindings(keys: tuple[Key, ...]) -> list[BindingType]:
    """The same for textual; what has no action is a key of the list that has the focus."""
    return [
        Binding(name, action, key.word, show=False, priority=name == "ctrl+c")
        for key in keys
        for name, action in key.actions.items()
    ]


class Keys(Static):
    """The keys of a screen in its last line."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        super().__init__()
        self._keys = keys

    def on_resize(self) -> None:
        """Closer together where there is little room."""
        self.tell(self._keys)

    def tell(self, keys: tuple[Key, ...]) -> None:
        """Show these."""
        self._keys = keys
        self.update(line_of(keys, self.size.width))


def line_of(keys: tuple[Key, ...], width: int) -> Text:
    """`q quit  ? help`, closer together where there is little room, and in two lines where there is less."""
    told = [Text.assemble((key.shown, STYLES["key"]), f" {key.word}") for key in keys]
    line = Text("  ").join(told)
    if line.cell_len <= width:
        return line
    lines = [Text()]
    for key in told:
        if lines[-1] and lines[-1].cell_len + 1 + key.cell_len > width:
            lines.append(Text())
        lines[-1] = Text(" ").join([lines[-1], key]) if lines[-1] else key
    return Text("\n").join(lines)
