"""
A capture that somebody waits for: how far it is, and Ctrl-C, which once ends it early and twice throws it away.

An interrupt is counted and never raised, so that it cannot come in the middle of a request. The third time,
whoever waits is let go, and the capture is the agent's.
"""

from __future__ import annotations

import http.client
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

from vitalsd.capture.model import ACTIVE
from vitalsd.cli.captured import where
from vitalsd.cli.client import send
from vitalsd.cli.figures import plain
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings

__all__ = ["follow", "path_of"]

POLL_SECONDS = 0.25
MOST_FAILURES = 3
"""In a row: an agent whose host is busy may once answer late."""
PLAIN_SECONDS = 10.0
"""Between two lines where there is no terminal."""


class Shown(Protocol):
    """Whoever shows how far a capture is."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, capture: Mapping[str, Any]) -> None:
        """As it is now."""
        ...

    def say(self, text: str) -> None:
        """A line beside that."""
        ...


def follow(settings: Settings, capture: dict[str, Any]) -> dict[str, Any]:
    """Wait until the capture has ended; as it is then."""
    shown: Shown = _Bar() if sys.stderr.isatty() else _Lines()
    with _Interrupts() as interrupts, shown:
        heard, failures = 0, 0
        while capture["state"] in ACTIVE:
            shown.show(capture)
            if interrupts.count > heard:
                heard += 1
                _interrupt(settings, capture, heard, shown)
            time.sleep(POLL_SECONDS)
            try:
                capture = _now(settings, capture)
                failures = 0
            except VitalsdError as error:
                failures += 1
                if failures >= MOST_FAILURES or interrupts.count > heard:
                    raise VitalsdError(
                        f"The agent has not answered since it was asked for {capture['id']}: if it has ended, so "
                        f"has the capture; ask again once there is an agent. {error}"
                    ) from error
        shown.show(capture)
    return capture


def path_of(capture: Mapping[str, Any], more: str = "") -> str:
    """Where the API has it."""
    return f"/api/v1/captures/{quote(capture['id'], safe='')}{more}"


def _now(settings: Settings, capture: dict[str, Any]) -> dict[str, Any]:
    reply = send(settings, "GET", path_of(capture))
    if reply.status == http.client.NOT_FOUND:
        return {**capture, "state": "cancelled"}  # and deleted by now
    if reply.status != http.client.OK:
        raise reply.refusal()
    now: dict[str, Any] = reply.json()
    return now


def _interrupt(settings: Settings, capture: Mapping[str, Any], times: int, shown: Shown) -> None:
    if times > 2:
        raise KeyboardInterrupt
    if times == 1:
        send(settings, "POST", path_of(capture, "/stop"))
        shown.say("ending it early and keeping what it has; Ctrl-C again throws it away")
    else:
        if send(settings, "POST", path_of(capture, "/cancel")).status == http.client.ACCEPTED:
            shown.say("cancelling it")  # else it has ended by itself, and is kept


class _Interrupts:
    """SIGINT as a count."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


def _state(capture: Mapping[str, Any]) -> str:
    """`running`, or what it waits for."""
    state = str(capture["state"])
    return f"{state} {plain(capture['waits_for'])}" if capture.get("waits_for") else state


class _Lines:
    """A line when something changes, and one now and then."""

    def __init__(self) -> None:
        self._said = ""
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, capture: Mapping[str, Any]) -> None:
        """Where it is news."""
        state, share, now = _state(capture), capture.get("progress"), time.monotonic()
        if state == self._said and now < self._next:
            return
        self._said, self._next = state, now + PLAIN_SECONDS
        done = f", {share:.0%} done" if share else ""
        self.say(f"{capture['kind']} of {where(capture)}: {state}{done}")

    def say(self, text: str) -> None:
        """On standard error: standard output is for the answer."""
        print(text, file=sys.stderr, flush=True)


class _Bar:
    """A progress bar on the terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, capture: Mapping[str, Any]) -> None:
        """As far as it is; without an end while that is not known."""
        share = capture.get("progress")
        text = f"{capture['kind']} of {where(capture)} {_state(capture)}"
        self._progress.update(
            self._task, description=text, total=None if share is None else 1.0, completed=share or 0.0
        )

    def say(self, text: str) -> None:
        """Above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)
