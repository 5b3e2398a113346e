"""
The thread that listens to the agent for as long as the terminal is open, whatever becomes of the agent.

It reads the stream; where there is none it asks again each second; and where nobody answers it says so and begins
anew, with the token as it is then. What it hears waits here, and the loop that draws is told once: of targets only
the latest counts, so a slow terminal is late and never behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from vitalsd.errors import VitalsdError
from vitalsd.top.told import Event, Targets, decoded, events

__all__ = ["Agent", "Begun", "Feed", "Lost", "News", "Problems"]

STREAM = "/api/v1/stream"
ASKED = {
    b"targets": "/api/v1/targets",
    b"incidents": "/api/v1/incidents?state=open&limit=1000&view=brief",
    b"captures": "/api/v1/captures?limit=100",
}
"""What is asked for where the stream is not to be had."""
PAUSE_SECONDS = 1.0
PROBLEMS_SECONDS = 10.0
"""Between two questions of what is wrong with the agent itself."""


class Agent(Protocol):
    """The agent, as far as it is asked. Every answer may be late, and raises VitalsdError where there is none."""

    name: str

    def listen(self, path: str) -> Iterator[bytes]:
        """The pieces of an answer that does not end."""
        ...

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        ...

    def ask_for(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Ask for a capture; as it is then, one that is refused too."""
        ...

    def stop(self, capture: str) -> None:
        """End a capture early, and keep what it has."""
        ...

    def folder(self, capture: dict[str, Any]) -> str | None:
        """Where its files lie on this machine, where this user can see it."""
        ...


class Begun(msgspec.Struct, frozen=True):
    """From now on everything is told anew."""


class Lost(msgspec.Struct, frozen=True):
    """The agent does not answer."""

    because: str


class Problems(msgspec.Struct, frozen=True):
    """What is wrong with the agent itself."""

    sentences: tuple[str, ...]


News = Event | Begun | Lost | Problems


class Feed:
    """News of one agent, in the order in which they came."""

    def __init__(self, agent: Agent, tell: Callable[[], object]) -> None:
        self._agent, self._tell = agent, tell
        self._lock = threading.Lock()
        self._waiting: list[News] = []
        self._ended = threading.Event()
        self._problems_at = float("-inf")

    def start(self) -> None:
        """Listen from now on; a thread that waits for the network keeps nobody from leaving."""
        threading.Thread(target=self._run, name="top-feed", daemon=True).start()

    def end(self) -> None:
        """Tell nothing any more."""
        self._ended.set()

    def take(self) -> list[News]:
        """What has come since it was last asked."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen()
            except VitalsdError as error:
                self._ask(error)
            self._ended.wait(PAUSE_SECONDS)

    def _listen(self) -> None:
        """Until the agent ends it, which a healthy one does not do."""
        self._problems_at = float("-inf")
        begun = False
        for name, data in events(self._agent.listen(STREAM)):
            if self._ended.is_set():
                return
            event = decoded(name, data)
            if event is not None:
                if not begun:
                    self._put(Begun())
                begun = True
                self._put(event)
            self._look_for_problems()
        raise VitalsdError(f"The agent on {self._agent.name} has ended.")

    def _ask(self, because: VitalsdError) -> None:
        """Once, for all that the stream would have told; the agent is gone where that fails too."""
        try:
            told = [decoded(name, self._agent.get(path)) for name, path in ASKED.items()]
        except VitalsdError as error:
            self._put(Lost(str(error) or str(because)))
            return
        self._put(Begun())
        for event in told:
            if event is not None:
                self._put(event)

    def _look_for_problems(self) -> None:
        now = time.monotonic()
        if now - self._problems_at < PROBLEMS_SECONDS:
            return
        self._problems_at = now
        try:
            told = msgspec.json.decode(self._agent.get("/api/v1/agent"), type=_State)
        except (VitalsdError, msgspec.DecodeError):
            return  # the stream will tell that it is gone
        self._put(Problems(told.problems))

    def _put(self, news: News) -> None:
        with self._lock:
            is_first = not self._waiting
            if isinstance(news, Targets):
                self._waiting = [each for each in self._waiting if not isinstance(each, Targets)]
            self._waiting.append(news)
        if is_first and not self._ended.is_set():
            self._tell()


class _State(msgspec.Struct):
    problems: tuple[str, ...] = ()
