"""`vitalsd status`: targets and workers as the agent of this machine sees them, what is wrong, and each rule."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec

from vitalsd.cli.client import NoAgentError, ask, page_address, page_link
from vitalsd.cli.ended import end_lines, gone_note, restart_lines
from vitalsd.cli.figures import INDENT, filled, plain, wide
from vitalsd.cli.incidents import short, whole
from vitalsd.cli.manual import Manual
from vitalsd.cli.options import add_agent_options, instead, settings_to_ask
from vitalsd.cli.pools import pool_lines
from vitalsd.cli.underway import LISTED, capture_lines
from vitalsd.model import OWN_TARGET, STOPPED
from vitalsd.settings.model import Settings

__all__ = ["Status", "remedy_lines", "rule_table", "table"]

HEADER = ("TARGET", "WORKER", "STATE", "LOOP", "BUSY", "DELAY P99", "STALLS", "MEMORY", "FDS", "SOURCE")
LATELY = ("BUSY", "last 60 s at most")
"""Stands above this column and the two after it: less, while a worker or the agent is younger."""
UP, VACANT = "up", "vacant"
WELL = (UP, VACANT)
"""States that are as somebody wanted them."""
SENTENCE = re.compile(r"No |and |[a-z][\w.:-]*( refused)?: ")
"""How lines begin that are no rows."""
LONGEST_CELL = 40
SEVERITIES = ("critical", "warning", "info")
RULES_HEADER = ("TARGET", "WORKER", "RULE", "STATE", "REASON")
MOST_ROWS = 40
MOST_SHOWN = 10
MOST_LISTED = 1000
GONE = "its process is gone and nothing has taken its place: see the log of the service"
MOST_NAMED = 4


class Status:
    """Show targets and workers as the agent of this machine sees them: what is wrong first."""

    name = "status"
    manual = Manual(
        examples={
            "vitalsd status": "what is wrong, and all workers",
            "vitalsd status --rules": "with each rule, and why it has fired or not",
            "vitalsd status --link": "with the link that opens the page",
            "vitalsd status --json": "for programs",
        },
        codes={
            0: "every target is up",
            1: "a target is down, no agent answers, or another than the usual",
        },
        read=(
            "docs/incidents.md",
            "docs/metrics.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument(
            "--all", action="store_true", help=f"show every worker, be there more than {MOST_ROWS}"
        )
        parser.add_argument("--rules", action="store_true", help="say of each rule why it has fired or has not")
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--link", action="store_true", help="print the link to the page, which has the token in it"
        )
        how.add_argument("--json", action="store_true", help="print everything as JSON, rules too")
        add_agent_options(parser, looks=True)

    def run(self, args: argparse.Namespace) -> int:
        """Ask the agent and print; 1 when a target is down."""
        named = settings_to_ask(args)
        settings = named if args.json else instead(named)
        try:
            answer = ask(settings, "/api/v1/targets")
        except NoAgentError as error:
            return _ended(settings, error, as_json=args.json)
        in_brief = "" if args.json else "&view=brief"
        path = f"/api/v1/incidents?state=open&limit={MOST_LISTED}{in_brief}"
        answer["incidents"] = whole(lambda path: ask(settings, path), path, MOST_LISTED)["incidents"]
        answer |= ask(settings, f"/api/v1/captures?limit={LISTED}")
        answer["agent"] = ask(settings, "/api/v1/agent")
        if args.json or args.rules:
            answer |= ask(settings, "/api/v1/rules")
        if args.json:
            print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        else:
            told = "\n".join(_lines(answer, time.time(), settings.capture.per_hour, whole=args.all))
            print("\n".join(map(_fitted, told.split("\n"))))
            if args.link:
                print(f"\npage: {page_link(settings)}")
            elif (
                sys.stdout.isatty()
            ):  # the link is the token, and terminals are recorded, shared and scrolled back
                print(f"\npage: {page_address(settings)} (its link: vitalsd status --link)")
            if args.rules:
                print(f"\n{rule_table(answer['rules'])}")
        return 0 if settings is named and all(target["up"] for target in answer["targets"]) else 1


def _lines(answer: dict[str, Any], now: float, per_hour: int, *, whole: bool) -> Iterator[str]:
    """What is wrong, then the table, then what is to be said of those in it."""
    found = [each for each in answer["incidents"] if each["target"] != OWN_TARGET]  # else a problem
    wrong = [*(f"problem: {plain(each)}" for each in answer["agent"]["problems"]), *_open_incidents(found, now)]
    yield from wrong
    if wrong:
        yield ""
    yield table(answer["targets"], now, {(each["target"], each["worker"]) for each in found}, whole=whole)
    yield from restart_lines(answer["targets"])
    yield from end_lines(answer["targets"], now)
    yield from remedy_lines(answer["targets"])
    yield from capture_lines(answer["captures"], answer["targets"], per_hour, now)


def _fitted(line: str) -> str:
    """A sentence in as many lines as a terminal needs; rows stay as they are, and so does what goes elsewhere."""
    is_sentence = SENTENCE.match(line) is not None
    return filled(line, others=INDENT) if is_sentence and sys.stdout.isatty() and len(line) > wide() else line


def _ended(settings: Settings, error: NoAgentError, *, as_json: bool) -> int:
    """Say that the service has ended, and its agent with it, if that is so."""
    from vitalsd.cli.absent import ended, ended_as_json, ended_text

    left = ended(settings, error)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(ended_as_json(left))).decode())
    else:
        print(ended_text(left, time.time()))
    return 1


def table(
    targets: Iterable[dict[str, Any]],
    now: float,
    in_trouble: Collection[tuple[str, str]] = (),
    *,
    whole: bool = True,
) -> str:
    """
    The targets as an aligned table, and below it what could not be read and why.

    Of more workers than anybody reads, those in trouble stand there first, and the others as far as there is room.
    """
    rows: list[_Row] = []
    notes: dict[str, list[str]] = {}
    known = list(targets)
    for target in known:
        for worker in target["workers"]:
            place = worker["target"], worker["slot"]
            rows += [(place, cells, place in in_trouble or cells[2] not in WELL) for cells in _rows(worker)]
            if not worker["up"]:
                gone = gone_note(target, worker["slot"], now) or GONE
                notes.setdefault(gone, []).append("/".join(place))
            for reason in dict.fromkeys(worker["missing"].values()):
                notes.setdefault(reason, []).append("/".join(place))
        if not target["workers"]:
            rows.append(((target["name"], "-"), (target["name"], "-", "down", *["-"] * (len(HEADER) - 3)), True))
    if not rows:
        return "No target is found: start a service with `vitalsd run`, or name one in the configuration."
    shown, others = (rows, "") if whole else _worst(rows)
    aligned = _aligned([HEADER, *(tuple(map(_short, cells)) for _, cells, _ in shown)])
    over = " " * aligned.index(LATELY[0]) + LATELY[1]
    pools = [line for target in known for line in pool_lines(target)]
    told = (f"note: {_some(who)}: {plain(note)}" for note, who in sorted(notes.items()))
    return "\n".join([over, aligned, *filter(None, [others]), *pools, *told])


_Row = tuple[tuple[str, str], tuple[str, ...], bool]
"""Target and slot, what stands in the columns, and whether it is in trouble."""


def _worst(rows: list[_Row]) -> tuple[list[_Row], str]:
    """As many as are read, those in trouble first, and what is left out."""
    if len(rows) <= MOST_ROWS:
        return rows, ""
    ranked = sorted(rows, key=lambda row: not row[2])
    left = ranked[MOST_ROWS:]
    in_trouble = sum(row[2] for row in left)
    what = f"and {len(left)} more rows, " + (f"{in_trouble} of workers in trouble" if in_trouble else "all well")
    return ranked[:MOST_ROWS], f"{what}: vitalsd status --all"


def _some(workers: list[str]) -> str:
    """The workers that a note is about, or the first of very many."""
    more = len(workers) - MOST_NAMED
    return ", ".join(workers[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def rule_table(rules: Iterable[dict[str, Any]]) -> str:
    """Each rule for each worker: its state, and why."""
    rows: list[tuple[str, ...]] = [RULES_HEADER]
    rows += [
        (rule["target"], rule["worker"] or "-", rule["rule"], rule["state"], rule["reason"]) for rule in rules
    ]
    if len(rows) == 1:
        return "No rule is at work: there is no worker to judge."
    return _aligned(rows)


def _open_incidents(incidents: list[dict[str, Any]], now: float) -> Iterable[str]:
    """A line each of the worst, the latest of these first."""
    worst = sorted(incidents, key=lambda incident: SEVERITIES.index(incident["severity"]))
    yield from (f"incident: {short(incident, now)}" for incident in worst[:MOST_SHOWN])
    if len(incidents) > MOST_SHOWN:
        at_least = "at least " if len(incidents) >= MOST_LISTED else ""
        yield f"and {at_least}{len(incidents) - MOST_SHOWN} more: vitalsd incidents --state open"


def remedy_lines(targets: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Where workers are recycled, or would be: what is at hand."""
    for target in targets:
        remedy = target["remedy"]
        if remedy["mode"] != "off":
            mode = " (dry run)" if remedy["mode"] == "dry_run" else ""
            yield f"remedy: {target['name']}{mode}: {remedy['state']}: {remedy['reason']}"


def _aligned(given: list[tuple[str, ...]]) -> str:
    rows = [tuple(map(plain, row)) for row in given]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _short(cell: str) -> str:
    """As much as a column has room for: a loop is called whatever its thread is."""
    return cell if len(cell) <= LONGEST_CELL else f"{cell[: LONGEST_CELL - 3]}..."


def _rows(worker: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    process, probe = worker["process"], worker["probe"]
    memory = _mebibytes(worker.get("memory_bytes"))
    files = str(process["open_fds"]) if process and process["open_fds"] is not None else "-"
    tail = (memory, files, worker["lag_source"])
    head = (worker["target"], worker["slot"])
    if not worker["up"]:
        yield (*head, VACANT if worker["vacant"] else "down", "-", "-", "-", "-", *tail)
        return
    stopped = process is not None and process["state"] in STOPPED
    loops = probe["loops"] if probe else [{"name": "main"} | worker["observed"]] if worker["observed"] else []
    for loop in loops:
        stall = loop["current_stall"]
        state = "stopped" if stopped else f"stalled {stall['seconds']:.1f}s" if stall else UP
        yield (*head, state, loop["name"], *_lately(loop.get("recent")), *tail)
    if not loops:
        yield (*head, "stopped" if stopped else UP, "-", "-", "-", "-", *tail)


def _lately(recent: dict[str, Any] | None) -> tuple[str, str, str]:
    """Share of time at work, the bucket of the 99th percentile, and stalls, all of the last minute."""
    if recent is None:
        return "-", "-", "-"
    busy = "-" if recent["busy_share"] is None else f"{100 * recent['busy_share']:.1f}%"
    return busy, _bucket(recent["delay_p99_between_seconds"]), str(recent["stalls"])


def _bucket(bounds: tuple[float, float | None] | None) -> str:
    if bounds is None:
        return "-"
    return f">{bounds[0]:g}s" if bounds[1] is None else f"<={bounds[1] * 1000:g}ms"


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f}MiB"
