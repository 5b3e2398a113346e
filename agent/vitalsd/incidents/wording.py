"""
What people read of an incident: its timeline, and its one sentence with how often and how bad.

Pure text; times are in UTC, as in the log of a service.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from vitalsd.model import Frame

__all__ = [
    "Entry",
    "Event",
    "extended",
    "moment",
    "repeated",
    "seconds_text",
    "sentence",
    "sound",
    "sound_frame",
    "without_advice",
    "without_orders",
]

Event = Literal["opened", "worse", "evidence", "captured", "notified", "remedy", "resolved", "reopened"]
Entry = dict[str, object]
"""`at` (unix time), `event` and `text`."""

MOST_ENTRIES = 50
TEXT = 1000
UNSOUND = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters that are not white space, what turns the direction of writing, and halves of characters."""
ORDER = re.compile(r"[;:,] [^;`]*`kill -[A-Z]+ [^`]*`[^;.(]*")
REPEATED = re.compile(r" \(\d+ times since [^()]*\)(?=\.?$)")


def extended(timeline: tuple[Entry, ...], at: float, event: Event, text: str) -> tuple[Entry, ...]:
    """
    The timeline with one more entry, still bounded; how it began is always kept.

    What is only more of the same replaces what was said of it before, or it would push everything else out.
    """
    if event == "evidence" and timeline and timeline[-1]["event"] == "evidence":
        timeline = timeline[:-1]
    entry: Entry = {"at": at, "event": event, "text": text}
    if len(timeline) >= MOST_ENTRIES:
        timeline = (timeline[0], *timeline[2 - MOST_ENTRIES :])
    return (*timeline, entry)


def repeated(summary: str, count: int, since: float, until: float, worst_seconds: float | None) -> str:
    """The summary of the worst so far and, when there was more than one, how often since when."""
    bare = sentence(summary)
    if count < 2:
        return bare
    worst = "" if worst_seconds is None else f", worst {seconds_text(worst_seconds)}"
    stop = "." if bare.endswith(".") else ""
    return f"{bare.removesuffix('.')} ({count} times since {moment(since, until)}{worst}){stop}"


def sentence(summary: str) -> str:
    """A summary without what `repeated` has added to it."""
    return REPEATED.sub("", summary)


def without_advice(summary: str, advice: str) -> str:
    """A summary without what was to be done while it was so."""
    return summary.replace(f"; {advice}", "") if advice else summary


def without_orders(text: str) -> str:
    """A text about what is over without the signals to be sent: the pid may be somebody else's by now."""
    return ORDER.sub("", text)


def moment(at: float, seen_from: float) -> str:
    """`12:03:10 UTC`, with the date where it is not the day of `seen_from`."""
    try:
        then, now = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(seen_from, UTC)
    except (OverflowError, ValueError, OSError):
        return "an unknown time"
    same_day = then.date() == now.date()
    return then.strftime("%H:%M:%S UTC" if same_day else "%Y-%m-%d %H:%M:%S UTC")


def seconds_text(seconds: float) -> str:
    """`1.20 s`."""
    return f"{seconds:.2f} s"


def sound(text: str) -> str:
    """`text` as one line, not endless, and without what JSON cannot hold or a terminal would obey."""
    return " ".join(UNSOUND.sub("?", text[:TEXT]).split())


def sound_frame(frame: Frame | None) -> Frame | None:
    """The same of a frame's names: those of files may hold bytes that no text has."""
    return Frame(sound(frame.function), sound(frame.file), frame.line) if frame is not None else None
