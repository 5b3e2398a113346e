"""One worker: its loops and their last minutes, what it was late for, what is missing, and its incidents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from vitalsd.cli.figures import figure, filled, plain, wide, within
from vitalsd.cli.moments import lasting, moment
from vitalsd.detect.culprit import find_culprit
from vitalsd.detect.growth.words import rate, size
from vitalsd.detect.words import short
from vitalsd.model import STAND_INS
from vitalsd.times import unix
from vitalsd.top.columns import COLUMNS
from vitalsd.top.header import clock_text, header
from vitalsd.top.keys import WORKER, Keys, bindings
from vitalsd.top.lines import Lines
from vitalsd.top.rows import Row
from vitalsd.top.screens import View, body, heading
from vitalsd.top.tables import IncidentList
from vitalsd.top.told import Loop, PastStall, Target, Worker
from vitalsd.top.tones import STYLES
from vitalsd.top.trail import KEPT, drawn, late_level

__all__ = ["WorkerScreen", "stalled_in"]

MOST_STALLS = 5
MOST_ENDS = 3
INCIDENT_LINES = 6
LABEL, LEGEND = 9, 8
MARGIN, LEAST_COLUMNS = 1, 30
CELL = {column.name: column.cell for column in COLUMNS}


class WorkerScreen(View):
    """What is known of it now, and the incidents that are about it."""

    BINDINGS = bindings(WORKER)

    def __init__(self, place: tuple[str, str]) -> None:
        super().__init__()
        self._place = place

    def compose(self) -> ComposeResult:
        """Text that scrolls, and a list."""
        yield Static(id="header")
        with VerticalScroll():
            yield Static(id="text")
        yield IncidentList(self.top.picture.clock, name="incidents", title="INCIDENTS")
        yield Keys(WORKER)

    def on_mount(self) -> None:
        """The list has the keys."""
        self.query_one(IncidentList).focus()
        self.changed()

    def changed(self) -> None:
        """As it is now, or that it is no longer there."""
        picture = self.top.picture
        row, now = picture.row(self._place), picture.clock()
        name = "/".join(self._place)
        view = Text(plain(name), STYLES["head"])
        self.query_one("#header", Static).update(header(picture, self.top.agent.name, view, now))
        incidents = picture.incidents_of(*self._place)
        shown = self.query_one(IncidentList)
        shown.styles.height = min(max(len(incidents), 1) + 1, INCIDENT_LINES)
        shown.show(incidents)
        if row is None:
            told = body(f"{name} is no longer there: its target has one place less, or is gone.")
        else:
            with within(max(self.size.width - MARGIN, LEAST_COLUMNS)):
                told = Text("\n").join(described(row, picture.target(row.target), now))
        self.query_one("#text", Static).update(told)

    @on(Lines.Opened)
    def opened(self, message: Lines.Opened) -> None:
        """An incident of its."""
        self.top.open_incident(cast("dict[str, str]", message.row)["id"])

    def action_stack(self) -> None:
        """Of this worker, now."""
        self.top.capture(self._place, "stacks")

    def action_capture(self) -> None:
        """Of this worker."""
        self.top.capture(self._place, None)


def described(row: Row, target: Target | None, now: float) -> Iterator[Text]:
    """Lines about one worker."""
    worker = row.worker
    yield _state(row, now)
    if worker is None:
        return
    if worker.command:
        yield _line("command", plain(worker.command[:400]))
    if row.trail is not None:
        points = row.trail.points(min(KEPT, wide() - LABEL - LEGEND), 1, now)
        yield _drawing("delay", [late_level(late) for late, _ in points], " 1ms..3s")
        yield _drawing("busy", [busy for _, busy in points], " 0..100%")
    yield _line("memory", _memory(row, worker))
    yield _line("process", _process(row, worker))
    yield from _loops(worker)
    yield from _stalls(worker, now)
    yield from _ends(row, target, now)
    if worker.missing:
        yield Text("")
        yield heading("not known, and why")
        for field, why in worker.missing.items():
            yield body(f"  {field}: {why}")


def _line(label: str, text: str) -> Text:
    """In as many lines as it takes."""
    line = Text(filled(plain(text), f"{label:{LABEL}}"))
    line.stylize(STYLES["faint"], 0, LABEL)
    return line


def _drawing(label: str, levels: list[float | None], scale: str) -> Text:
    return Text.assemble((f"{label:{LABEL}}", STYLES["faint"]), drawn(levels), (scale, STYLES["faint"]))


def _state(row: Row, now: float) -> Text:
    cell, worker = CELL["state"](row, now), row.worker
    facts = [cell.text]
    if worker is not None and worker.key is not None:
        started = unix(worker.process.started_at) if worker.process is not None else None
        facts += [f"{worker.probe.runtime} {worker.probe.version}"] if worker.probe is not None else []
        facts += [f"pid {worker.key.pid % STAND_INS}"]
        facts += [f"up for {lasting(now - started)}"] if started is not None else []
        facts += [f"seen by {worker.lag_source}"]
    line = _line("state", ", ".join(facts))
    line.stylize(STYLES[cell.tone], LABEL, LABEL + len(cell.text))
    return line


def _memory(row: Row, worker: Worker) -> str:
    if row.memory_bytes is None:
        return "-"
    told = size(row.memory_bytes)
    if row.limit_bytes is not None:
        limit = f"the limit of {size(row.limit_bytes)}"
        told += f"; {row.limit_share:.0%} of {limit} used" if row.limit_share is not None else f"; {limit}"
    per_second = worker.trend.bytes_per_second if worker.trend is not None else None
    if per_second is not None:
        told += f"; grows by {rate(per_second)}" if per_second > 0 else "; does not grow"
    if row.left_seconds is not None:
        told += f", full in {lasting(row.left_seconds)}"
    return told


def _process(row: Row, worker: Worker) -> str:
    process = worker.process
    facts = [f"{row.restarts} restarts"]
    if row.cpu_share is not None:
        facts.insert(0, f"{row.cpu_share:.0%} of a processor")
    if process is not None:
        facts += [f"{process.threads} threads"] if process.threads is not None else []
        most = f" of {process.max_fds}" if process.max_fds is not None else ""
        facts += [f"{process.open_fds}{most} descriptors"] if process.open_fds is not None else []
    if worker.probe is not None and worker.probe.tasks is not None:
        facts.append(f"{worker.probe.tasks} tasks")
    return ", ".join(facts)


def _loops(worker: Worker) -> Iterator[Text]:
    if not worker.loops:
        return
    yield Text("")
    yield Text(
        f"{'LOOP':16} {'NOW':>14} {'DELAY P99':>10} {'BUSY':>6} {'STALLS':>7}  last 60 s at most", STYLES["head"]
    )
    for loop in worker.loops:
        recent = loop.recent
        cells = Row(
            target="", slot="", state="up", delay=recent.delay_p99_between_seconds if recent else None,
            busy_share=recent.busy_share if recent else None, stalls=recent.stalls if recent else None,
        )  # fmt: skip
        line = Text(f"{plain(loop.name)[:16]:16} ")
        line.append(*_now(loop))
        for name, width in (("delay", 10), ("busy", 6), ("stalls", 7)):
            cell = CELL[name](cells, 0.0)
            line.append(f" {cell.text:>{width}}", STYLES[cell.tone])
        yield line


def _now(loop: Loop) -> tuple[str, Style]:
    stall = loop.current_stall
    if stall is None:
        return f"{'on time':>14}", STYLES[""]
    return f"{'stalled ' + figure('seconds', stall.seconds):>14}", STYLES["critical"]


def _stalls(worker: Worker, now: float) -> Iterator[Text]:
    found = [(loop.name, stall) for loop in worker.loops for stall in loop.past_stalls()]
    if not found:
        return
    yield Text("")
    yield heading("latest stalls")
    for name, stall in sorted(found, key=lambda each: str(each[1].ended_at), reverse=True)[:MOST_STALLS]:
        ended = unix(stall.ended_at)
        when = f"{clock_text(ended)} UTC" if ended is not None else "-"
        ago = f", {lasting(round(now - ended))} ago" if ended is not None and ended <= now else ""
        yield body(f"  {when}{ago}: {name} for {figure('seconds', stall.duration_seconds)}{stalled_in(stall)}")


def stalled_in(stall: PastStall) -> str:
    """The culprit, by the rule that its incident goes by: the service's own code, not what it has called."""
    culprit = find_culprit(stall.stacks)
    if culprit is None:
        return ""
    frame = culprit.frame
    return f" in {frame.function[:100]} ({short(frame.file)[:100]}:{frame.line})"


def _ends(row: Row, target: Target | None, now: float) -> Iterator[Text]:
    ends = [each for each in target.exits if each.slot == row.slot] if target is not None else []
    if not ends:
        return
    yield Text("")
    yield heading("who sat here before")
    for each in reversed(ends[-MOST_ENDS:]):
        yield body(f"  {moment(each.ended_at, now)} ended, {each.reason}: {each.evidence}")
