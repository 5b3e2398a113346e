"""`vitalsd status`: targets and workers as the agent of this machine sees them, what is wrong, and each rule."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from vitalsd.cli.client import NoAgentError, ask
from vitalsd.cli.ended import end_lines, gone_note, restart_lines
from vitalsd.cli.figures import plain
from vitalsd.cli.incidents import short
from vitalsd.cli.manual import Manual
from vitalsd.cli.options import add_agent_options, settings_to_ask
from vitalsd.cli.pools import pool_lines
from vitalsd.cli.underway import LISTED, capture_lines
from vitalsd.model import OWN_TARGET, STOPPED
from vitalsd.settings.model import Settings

__all__ = ["Status", "remedy_lines", "rule_table", "table"]

HEADER = ("TARGET", "WORKER", "STATE", "LOOP", "BUSY", "DELAY P99", "STALLS", "MEMORY", "FDS", "SOURCE")
LATELY = ("BUSY", "last 60 s at most")
"""Stands above this column and the two after it: less, while a worker or the agent is younger."""
RULES_HEADER = ("TARGET", "WORKER", "RULE", "STATE", "REASON")
MOST_SHOWN = 10
MOST_LISTED = 1000
GONE = "its process is gone and nothing has taken its place: see the log of the service"
MOST_NAMED = 4


class Status:
    """Show targets and workers as the agent of this machine sees them."""

    name = "status"
    manual = Manual(
        examples={
            "vitalsd status": "what is wrong, and all workers",
            "vitalsd status --rules": "with each rule, and why it has fired or not",
            "vitalsd status --json": "for programs",
        },
        codes={0: "every target is up", 1: "a target is down, or no agent answers"},
        read=(
            "docs/incidents.md",
            "docs/metrics.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("--rules", action="store_true", help="say of each rule why it has fired or has not")
        parser.add_argument("--json", action="store_true", help="print everything as JSON, rules too")
        add_agent_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Ask the agent and print; 1 when a target is down."""
        settings = settings_to_ask(args)
        try:
            answer = ask(settings, "/api/v1/targets")
        except NoAgentError as error:
            return _ended(settings, error, as_json=args.json)
        answer |= ask(settings, f"/api/v1/incidents?state=open&limit={MOST_LISTED}")
        answer |= ask(settings, f"/api/v1/captures?limit={LISTED}")
        answer["agent"] = ask(settings, "/api/v1/agent")
        if args.json or args.rules:
            answer |= ask(settings, "/api/v1/rules")
        if args.json:
            print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        else:
            now = time.time()
            print(table(answer["targets"], now))
            for problem in answer["agent"]["problems"]:
                print(f"problem: {plain(problem)}")
            for line in (*restart_lines(answer["targets"]), *end_lines(answer["targets"], now)):
                print(line)
            found = [each for each in answer["incidents"] if each["target"] != OWN_TARGET]  # a problem, above
            for line in _open_incidents(found, now):
                print(line)
            for line in remedy_lines(answer["targets"]):
                print(line)
            for line in capture_lines(answer["captures"], answer["targets"], settings.capture.per_hour, now):
                print(line)
            if args.rules:
                print(f"\n{rule_table(answer['rules'])}")
        return 0 if all(target["up"] for target in answer["targets"]) else 1


def _ended(settings: Settings, error: NoAgentError, *, as_json: bool) -> int:
    """Say that the service has ended, and its agent with it, if that is so."""
    from vitalsd.cli.absent import ended, ended_as_json, ended_text

    left = ended(settings, error)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(ended_as_json(left))).decode())
    else:
        print(ended_text(left, time.time()))
    return 1


def table(targets: Iterable[dict[str, Any]], now: float) -> str:
    """The targets as an aligned table, and below it what could not be read and why."""
    rows: list[tuple[str, ...]] = [HEADER]
    notes: dict[str, list[str]] = {}
    known = list(targets)
    for target in known:
        rows += [row for worker in target["workers"] for row in _rows(worker)]
        for worker in target["workers"]:
            if not worker["up"]:
                gone = gone_note(target, worker["slot"], now) or GONE
                notes.setdefault(gone, []).append(f"{worker['target']}/{worker['slot']}")
            for reason in dict.fromkeys(worker["missing"].values()):
                notes.setdefault(reason, []).append(f"{worker['target']}/{worker['slot']}")
        if not target["workers"]:
            rows.append((target["name"], "-", "down", *["-"] * (len(HEADER) - 3)))
    if len(rows) == 1:
        return "No target is found: start a service with `vitalsd run`, or name one in the configuration."
    aligned = _aligned(rows)
    over = " " * aligned.index(LATELY[0]) + LATELY[1]
    pools = [line for target in known for line in pool_lines(target)]
    return "\n".join(
        [over, aligned, *pools, *(f"note: {_some(who)}: {note}" for note, who in sorted(notes.items()))]
    )


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
    yield from (f"incident: {short(incident, now)}" for incident in incidents[:MOST_SHOWN])
    if len(incidents) > MOST_SHOWN:
        yield f"and {len(incidents) - MOST_SHOWN} more: vitalsd incidents --state open"


def remedy_lines(targets: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Where workers are recycled, or would be: what is at hand."""
    for target in targets:
        remedy = target["remedy"]
        if remedy["mode"] != "off":
            mode = " (dry run)" if remedy["mode"] == "dry_run" else ""
            yield f"remedy: {target['name']}{mode}: {remedy['state']}: {remedy['reason']}"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _rows(worker: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    process, probe = worker["process"], worker["probe"]
    memory = _mebibytes(process["resident_bytes"]) if process else "-"
    files = str(process["open_fds"]) if process and process["open_fds"] is not None else "-"
    tail = (memory, files, worker["lag_source"])
    head = (worker["target"], worker["slot"])
    if not worker["up"]:
        yield (*head, "vacant" if worker["vacant"] else "down", "-", "-", "-", "-", *tail)
        return
    stopped = process is not None and process["state"] in STOPPED
    loops = probe["loops"] if probe else [{"name": "main"} | worker["observed"]] if worker["observed"] else []
    for loop in loops:
        stall = loop["current_stall"]
        state = "stopped" if stopped else f"stalled {stall['seconds']:.1f}s" if stall else "up"
        yield (*head, state, loop["name"], *_lately(loop.get("recent")), *tail)
    if not loops:
        yield (*head, "stopped" if stopped else "up", "-", "-", "-", "-", *tail)


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
