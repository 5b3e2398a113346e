"""`vitalsd status`: targets and workers as the agent of this machine sees them, what is wrong, and each rule."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from vitalsd.cli.client import ask
from vitalsd.cli.incidents import short

__all__ = ["Status", "rule_table", "table"]

HEADER = ("TARGET", "WORKER", "STATE", "LOOP", "BUSY", "DELAY P99", "STALLS", "MEMORY", "FDS", "SOURCE")
RULES_HEADER = ("TARGET", "WORKER", "RULE", "STATE", "REASON")
MOST_SHOWN = 10
MOST_LISTED = 1000


class Status:
    """Show targets and workers as the agent of this machine sees them."""

    name = "status"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("--config", metavar="FILE", help="the agent's configuration")
        parser.add_argument("--control-listen", metavar="ADDR", help="where the agent serves its API")
        parser.add_argument("--rules", action="store_true", help="say of each rule why it has fired or has not")
        parser.add_argument("--json", action="store_true", help="print everything as JSON, rules too")

    def run(self, args: argparse.Namespace) -> int:
        """Ask the agent and print; 1 when a target is down."""
        from vitalsd.cli.options import config_loader

        settings = config_loader(args)().settings
        answer = ask(settings, "/api/v1/targets") | ask(
            settings, f"/api/v1/incidents?state=open&limit={MOST_LISTED}"
        )
        if args.json or args.rules:
            answer |= ask(settings, "/api/v1/rules")
        if args.json:
            print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        else:
            print(table(answer["targets"]))
            for line in _open_incidents(answer["incidents"], time.time()):
                print(line)
            if args.rules:
                print(f"\n{rule_table(answer['rules'])}")
        return 0 if all(target["up"] for target in answer["targets"]) else 1


def table(targets: Iterable[dict[str, Any]]) -> str:
    """The targets as an aligned table, and below it what could not be read and why."""
    rows: list[tuple[str, ...]] = [HEADER]
    notes: set[str] = set()
    for target in targets:
        rows += [row for worker in target["workers"] for row in _rows(worker)]
        notes.update(reason for worker in target["workers"] for reason in worker["missing"].values())
        if not target["workers"]:
            rows.append((target["name"], "-", "down", *["-"] * (len(HEADER) - 3)))
    if len(rows) == 1:
        return "No target is found: start a service with `vitalsd run`, or name one in the configuration."
    return "\n".join([_aligned(rows), *(f"note: {note}" for note in sorted(notes))])


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
        yield (*head, "down", "-", "-", "-", "-", *tail)
        return
    loops = probe["loops"] if probe else [{"name": "main"} | worker["observed"]] if worker["observed"] else []
    for loop in loops:
        stall = loop["current_stall"]
        state = f"stalled {stall['seconds']:.1f}s" if stall else "up"
        total = loop["busy_seconds"] + loop["idle_seconds"]
        busy = f"{100 * loop['busy_seconds'] / total:.1f}%" if total else "-"
        yield (*head, state, loop["name"], busy, _p99(loop["delay"]), str(loop["stalls"]), *tail)
    if not loops:
        yield (*head, "up", "-", "-", "-", "-", *tail)


def _p99(histogram: dict[str, Any]) -> str:
    """The bucket in which the 99th percentile since the start of the probe lies."""
    total = histogram["buckets"][-1]
    if not total:
        return "-"
    for bound, count in zip(histogram["bounds"], histogram["buckets"], strict=False):
        if count >= 0.99 * total:
            return f"<={bound * 1000:g}ms"
    return f">{histogram['bounds'][-1]:g}s"


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f}MiB"
