"""
The app: it hears the agent, keeps the picture, and shows one screen of it after the other.

Rules: what waits for the network runs in threads that nobody waits for, not even at the end; news is taken over by
the loop that draws, and only the screen in front is told of it.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from textual.app import App
from textual.message import Message

from vitalsd.errors import VitalsdError
from vitalsd.top.asking import AskingScreen
from vitalsd.top.capture import CaptureScreen
from vitalsd.top.feed import Agent, Begun, Feed, Lost, Problems
from vitalsd.top.help import HelpScreen
from vitalsd.top.incident import IncidentScreen
from vitalsd.top.main import MainScreen
from vitalsd.top.picture import Picture
from vitalsd.top.screens import View
from vitalsd.top.worker import WorkerScreen

__all__ = ["Top"]

A = TypeVar("A")
TICK_SECONDS = 1.0


class Heard(Message):
    """There is news."""


class Answered(Message):
    """What was asked in a thread."""

    def __init__(self, then: Callable[[Any], None], answer: object) -> None:
        super().__init__()
        self.then, self.answer = then, answer


class Top(App[int]):
    """`vitalsd top`."""

    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "top.tcss"
    TITLE = "vitalsd top"
    BINDINGS: ClassVar = []

    def __init__(self, agent: Agent, clock: Callable[[], float] = time.time) -> None:
        # The sixteen colours of the terminal: its owner has chosen them, and every terminal has them.
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.agent = agent
        self.picture = Picture(clock)
        self._feed = Feed(agent, lambda: self.post_message(Heard()))

    def on_mount(self) -> None:
        """Listen, and end as people mean it who end it from elsewhere."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit, 0)
        self.push_screen(MainScreen())
        self.set_interval(TICK_SECONDS, self._tell)
        self._feed.start()

    def on_unmount(self) -> None:
        """Hear nothing more."""
        self._feed.end()

    def on_heard(self) -> None:
        """Take over all that has come."""
        for news in self._feed.take():
            if isinstance(news, Begun):
                self.picture.begin()
            elif isinstance(news, Lost):
                self.picture.lose(news.because)
            elif isinstance(news, Problems):
                self.picture.problems = news.sentences
            else:
                self.picture.hear(news)
        self._tell()

    def on_answered(self, message: Answered) -> None:
        """Who has asked goes on."""
        message.then(message.answer)

    def ask(self, question: Callable[[], A], then: Callable[[A | VitalsdError], None]) -> None:
        """Have a thread ask the agent, and go on with its answer, or with what was in the way."""

        def run() -> None:
            answer: A | VitalsdError
            try:
                answer = question()
            except VitalsdError as error:
                answer = error
            self.post_message(Answered(then, answer))

        threading.Thread(target=run, name="top-ask", daemon=True).start()

    def open_worker(self, place: tuple[str, str]) -> None:
        """Show one."""
        self.push_screen(WorkerScreen(place))

    def open_incident(self, name: str) -> None:
        """Show one."""
        self.push_screen(IncidentScreen(name))

    def capture(self, place: tuple[str, str], kind: str | None) -> None:
        """Take one of this kind, or ask which; of a target without workers there is none."""
        row = self.picture.row(place)
        if row is None or row.worker is None:
            self.notify("There is no worker to capture.", markup=False)
        elif kind is None:
            self.push_screen(AskingScreen(place))
        else:
            self.take(place, kind, None)

    def take(self, place: tuple[str, str], kind: str, seconds: float | None) -> None:
        """Ask for a capture and show what becomes of it."""
        self.push_screen(CaptureScreen(place, kind, seconds))

    def action_help(self) -> None:
        """All keys."""
        self.push_screen(HelpScreen())

    async def action_quit(self) -> None:
        """Good."""
        self.exit(0)

    def _tell(self) -> None:
        if isinstance(self.screen, View):
            self.screen.changed()
