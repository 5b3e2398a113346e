"""The lines above the table: how many workers and incidents, how it is sorted, and whether the agent is there."""

from __future__ import annotations

from rich.text import Text

from vitalsd.cli.captured import where
from vitalsd.cli.figures import plain
from vitalsd.cli.moments import lasting
from vitalsd.times import rfc3339
from vitalsd.top.columns import COLUMNS, TROUBLE
from vitalsd.top.picture import Picture
from vitalsd.top.rows import SEVERITIES
from vitalsd.top.tones import STYLES

__all__ = ["clock_text", "counts_line", "header", "view_line"]

LATE_SECONDS = 5.0
"""The agent tells something each second."""


def header(picture: Picture, agent: str, view: Text, now: float) -> Text:
    """Which agent and when, what is looked at, and a line for each thing that is wrong with the agent."""
    told = Text.assemble(("vitalsd top", STYLES["head"]), f"  {agent}  {clock_text(now)} UTC\n")
    told.append_text(view)
    for line, tone in _wrong(picture, now):
        told.append("\n")
        told.append(plain(line), STYLES[tone])
    return told


def counts_line(picture: Picture) -> Text:
    """How many workers and open incidents there are."""
    workers, down, found = picture.counts()
    told = Text()
    told.append(f"{workers} worker{'' if workers == 1 else 's'}")
    if down:
        told.append(", ")
        told.append(f"{down} down", STYLES["critical"])
    told.append("  ")
    said = [(count, severity) for count, severity in zip(found, SEVERITIES, strict=True) if count]
    for place, (count, severity) in enumerate(said):
        told.append(", " if place else "")
        told.append(f"{count} {severity}", STYLES[severity])
    if not said and picture.heard_at is not None:
        told.append("no incident", STYLES["good"])
    return told


def view_line(picture: Picture, sorted_by: str, words: str, count: int, *, reverse: bool) -> Text:
    """How the table is sorted, what it is filtered by, and which captures are under way."""
    order = "what is wrong"
    if sorted_by != TROUBLE:
        order = next(each.title for each in COLUMNS if each.name == sorted_by).lower()
    line = Text()
    if words:
        line.append(f"{count} of {len(picture.rows)} with `{plain(words)}`, esc shows all  ", STYLES["warning"])
    line.append(f"sorted by {order}{', reversed' if reverse else ''}", STYLES["faint"])
    for each in picture.captures_under_way()[:1]:
        share = each.get("progress")
        done = f" {share:.0%}" if share is not None else ""
        line.append(f"  {each['kind']} of {where(each)} {each['state']}{done}", STYLES["info"])
    return line


def clock_text(at: float) -> str:
    """`12:00:00`, to be compared with logs."""
    return (rfc3339(at) or "-")[11:19]


def _wrong(picture: Picture, now: float) -> list[tuple[str, str]]:
    if picture.gone_since is not None:
        since, lasts = clock_text(picture.gone_since), lasting(max(0.0, round(now - picture.gone_since)))
        then = "" if picture.heard_at is None else " What is shown is of then."
        gone = f"The agent has been gone for {lasts}, since {since} UTC.{then}"
        return [(f"{gone} {picture.gone_because}", "critical")]
    if picture.heard_at is None:
        return [("The agent is asked.", "faint")]
    wrong = [(f"problem: {problem}", "warning") for problem in picture.problems]
    if now - picture.heard_at > LATE_SECONDS:
        wrong.insert(0, (f"The agent has told nothing for {lasting(round(now - picture.heard_at))}.", "warning"))
    return wrong
