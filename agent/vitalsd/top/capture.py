"""A capture that was asked for: how far it is, what became of it, where its files are; of stacks, the stacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from vitalsd.capture.model import ACTIVE
from vitalsd.cli.captured import files, sentence, summary
from vitalsd.cli.figures import within
from vitalsd.cli.following import path_of
from vitalsd.cli.refused import is_forcible
from vitalsd.errors import VitalsdError
from vitalsd.top.keys import CAPTURE, Key, Keys, bindings
from vitalsd.top.screens import View, body, paragraphs

__all__ = ["CaptureScreen"]

REASON = "asked for in `vitalsd top`"
ANYWAY = "`f`"
"""The key that has cooldown and budget set aside."""
BAR = 30
MOST_BYTES = 200_000
"""Of a file that is shown: ten thousand lines, which nobody reads to the end."""
MARGIN, LEAST_COLUMNS, MOST_COLUMNS = 2, 30, 120


class CaptureScreen(View):
    """One capture; to go back leaves it to the agent."""

    BINDINGS = bindings(CAPTURE)

    def __init__(self, place: tuple[str, str], kind: str, seconds: float | None) -> None:
        super().__init__()
        self._place, self._kind, self._seconds = place, kind, seconds
        self._shown: Mapping[str, Any] | None = None
        self._folder: str | None = None
        self._stacks = ""
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Text that scrolls."""
        with VerticalScroll():
            yield Static(id="text")
        yield Keys(CAPTURE)

    def on_mount(self) -> None:
        """Ask for it."""
        self.query_one(VerticalScroll).focus()
        self.action_again()

    def on_resize(self) -> None:
        """Lines of another length."""
        self._draw()

    def changed(self) -> None:
        """The stream tells how far it is."""
        before = self._shown
        if before is None:
            return
        self._shown = self.top.picture.capture(before["id"]) or before
        if before["state"] in ACTIVE:
            self._draw()
            if self._shown["state"] not in ACTIVE:
                self._ended(self._shown)

    def action_anyway(self) -> None:
        """Ask for one that was refused for what a person may set aside."""
        if self._shown is not None and is_forcible(self._shown):
            self.action_again(force=True)

    def action_again(self, *, force: bool = False) -> None:
        """Ask for one; what is there of another goes."""
        if self._shown is not None and self._shown["state"] in ACTIVE:
            return
        self._shown, self._folder, self._stacks, self._problem = None, None, "", ""
        target, slot = self._place
        wanted: dict[str, Any] = {"kind": self._kind, "target": target, "worker": slot, "reason": REASON}
        if self._seconds is not None:
            wanted |= {"seconds": self._seconds}
        if force:
            wanted |= {"force": True}
        self._draw()
        self.top.ask(lambda: self.top.agent.ask_for(wanted), self._asked)

    def action_stop(self) -> None:
        """End it early."""
        capture = self._shown
        if capture is not None and capture["state"] in ACTIVE:
            self.top.ask(lambda: self.top.agent.stop(capture["id"]), self._stopped)

    def _asked(self, answer: dict[str, Any] | VitalsdError) -> None:
        if isinstance(answer, VitalsdError):
            self._problem = str(answer)
        else:
            self._shown = answer
            if answer["state"] not in ACTIVE:
                self._ended(answer)
        self.changed()
        self._draw()

    def _stopped(self, answer: VitalsdError | None) -> None:
        if answer is not None:
            self._problem = str(answer)
            self._draw()

    def _ended(self, capture: Mapping[str, Any]) -> None:
        self.top.ask(lambda: self.top.agent.folder(dict(capture)), self._lies)
        texts = [each["name"] for each in capture["artifacts"] if each["media_type"].startswith("text/plain")]
        if capture["kind"] == "stacks" and texts:
            path = path_of(capture, f"/files/{quote(texts[0], safe='')}")
            self.top.ask(lambda: self.top.agent.get(path), self._read)

    def _lies(self, answer: str | VitalsdError | None) -> None:
        self._folder = answer if isinstance(answer, str) else None
        self._draw()

    def _read(self, answer: bytes | VitalsdError) -> None:
        if isinstance(answer, VitalsdError):
            self._stacks = str(answer)
        else:
            self._stacks = answer[:MOST_BYTES].decode(errors="replace")
            self._stacks += "\n(the rest is in its files)" if len(answer) > MOST_BYTES else ""
        self._draw()

    def _draw(self) -> None:
        if self.is_mounted:
            self.query_one("#text", Static).update(self._told())
            self.query_one(Keys).tell(self._keys())

    def _keys(self) -> tuple[Key, ...]:
        """Those that do something now."""
        capture = self._shown
        active = capture["state"] in ACTIVE if capture is not None else not self._problem
        idle = {"a"} if active else {"x"}
        if capture is None or not is_forcible(capture):
            idle |= {"f"}
        return tuple(key for key in CAPTURE if key.shown not in idle)

    def _told(self) -> Text:
        capture = self._shown
        if capture is None and self._problem:
            return body(self._problem, "warning")
        if capture is None:
            return body(f"The agent is asked for a {self._kind} capture of {'/'.join(self._place)}.", "faint")
        if capture["state"] in ACTIVE:
            told = body(f"{sentence(capture)}\n\n{_bar(capture)}")
            return told.append_text(body(f"\n\n{self._problem}", "warning")) if self._problem else told
        columns = min(max(self.size.width - MARGIN, LEAST_COLUMNS), MOST_COLUMNS)
        with within(columns):
            said = sentence(capture, self.top.picture.clock(), f"by {ANYWAY}")
            parts = [
                said,
                summary(capture) if not self._stacks else "",
                self._stacks,
                files(capture, self._folder),
            ]
            if capture["artifacts"]:
                parts.append(f"`vitalsd captures {capture['id']} --download DIR` copies them.")
        tone = "good" if capture["state"] == "done" else "warning"
        return paragraphs("\n\n".join(part.rstrip("\n") for part in parts if part), tone)


def _bar(capture: Mapping[str, Any]) -> str:
    """As far as it is; what it waits for while it has not begun."""
    if capture.get("waits_for"):
        return f"It waits {capture['waits_for']}"
    share = capture.get("progress")
    if share is None:
        return ""
    full = round(min(max(share, 0.0), 1.0) * BAR)
    return f"[{'#' * full}{'.' * (BAR - full)}] {share:.0%}"
