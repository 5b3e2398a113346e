"""What a probe answers by its control socket: a census, tasks, stacks, who holds what, how tracking went."""

from __future__ import annotations

import msgspec

from fuzz.frame import Target, assert_sane
from vitalsd.capture.census import NoCensus, parse_census, parse_tasks
from vitalsd.capture.censusfile import as_text, summary_of, written
from vitalsd.capture.growing import growing_types
from vitalsd.capture.holders import parse_holders
from vitalsd.capture.probe_stacks import parse_stacks
from vitalsd.capture.stacktext import StackReport, as_json
from vitalsd.capture.stacktext import as_text as stack_text
from vitalsd.capture.stacktext import summary_of as stack_summary
from vitalsd.capture.tracking import parse_recording
from vitalsd.model import WorkerKey

PID = 4711
NOW = 1_782_907_200.0


def check(content: bytes) -> None:
    """The first line says what was asked for; what comes behind it is the answer."""
    kind, _, text = content.decode("utf-8", "replace").partition("\n")
    readers = {"census": _census, "tasks": _tasks, "stacks": _stacks, "holders": _holders, "track": _track}
    try:
        readers.get(kind, _census)(text)
    except NoCensus as error:
        assert len(str(error)) < 10_000


def _census(text: str) -> None:
    census = parse_census(text, PID)
    before = parse_census("stride=1\tlooked_at_bytes=1\tswapped_bytes=0\tuntold=0", PID)
    file = written(WorkerKey(PID, 99), NOW, census, None, None, growing_types(before, census))
    assert_sane(msgspec.to_builtins(file), plain=False)
    _as_text(as_text(file))
    assert_sane(msgspec.json.decode(msgspec.json.encode(summary_of(file, [], None))), plain=False)


def _tasks(text: str) -> None:
    tasks = parse_tasks(text, PID)
    _report(StackReport("shop/0", PID, NOW, "probe", [], 0, tasks, None))


def _stacks(text: str) -> None:
    stacks = parse_stacks(text, PID)
    assert_sane([stacks.untold, stacks.held_seconds])
    _report(StackReport("shop/0", PID, NOW, "probe", stacks.threads, stacks.untold, None, None))


def _report(report: StackReport) -> None:
    _as_text(stack_text(report))
    assert_sane(msgspec.json.decode(as_json(report)))
    assert_sane(stack_summary(report))


def _holders(text: str) -> None:
    holders = parse_holders(text, PID)
    assert_sane(msgspec.to_builtins(holders), plain=False)
    assert_sane([each.text for each in holders.chains] + [holders.cut], plain=False)


def _track(text: str) -> None:
    assert_sane(msgspec.to_builtins(parse_recording(text, PID, 9)), plain=False)


def _as_text(page: str) -> None:
    """A page for people is obeyed by no terminal."""
    for line in page.split("\n"):
        assert_sane(line)


TARGET = Target(
    "answers",
    "a probe's answers",
    check,
    words=(
        *(
            b"\t",
            b"\n",
            b"stride=1125899906842623",
            b"held_ns=",
            b"-1\t",
            b"9" * 4400 + b"\t",
            b"cut=0",
            b"\x1b[2J",
        ),
        *(
            b"holders\n",
            b"track\n",
            b"tasks\n",
            b"stacks\n",
            b"census\n",
            b"\tshop.Order\n",
            b"1_0\t",
            b"heap_bytes=1",
        ),
    ),
)
