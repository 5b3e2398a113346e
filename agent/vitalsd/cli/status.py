"""`vitalsd status`: targets and workers as the agent of this machine sees them, in one table."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import msgspec

from vitalsd.cli.client import ask

__all__ = ["Status", "table"]

HEADER = ("TARGET", "WORKER", "STATE", "LOOP", "BUSY", "DELAY P99", "STALLS", "MEMORY", "FDS", "SOURCE")


class Status:
    """Show targets and workers as the agent of this machine sees them."""

    name = "status"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("--config", metavar="FILE", help="the agent's configuration")
        parser.add_argument("--control-listen", metavar="ADDR", help="where the agent serves its API")
        parser.add_argument("--json", action="store_true", help="print everything as JSON")

    def run(self, args: argparse.Namespace) -> int:
        """Ask the agent and print; 1 when a target is down."""
        from vitalsd.cli.options import config_loader

        settings = config_loader(args)().settings
        answer = ask(settings, "/api/v1/targets")
        if args.json:
            print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        else:
            print(table(answer["targets"]))
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
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in sorted(notes))])


def _rows(worker: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    process, probe = worker["process"], worker["probe"]
    memory = _mebibytes(process["resident_bytes"]) if process else "-"
    files = str(process["open_fds"]) if process and process["open_fds"] is not None else "-"
    tail = (memory, files, worker["lag_source"])
    head = (worker["target"], worker["slot"])
    if not worker["up"]:
        yield (*head, "down", "-", "-", "-", "-", *tail)
    elif not probe or not probe["loops"]:
        yield (*head, "up", "-", "-", "-", "-", *tail)
    else:
        for loop in probe["loops"]:
            stall = loop["current_stall"]
            state = f"stalled {stall['seconds']:.1f}s" if stall else "up"
            total = loop["busy_seconds"] + loop["idle_seconds"]
            busy = f"{100 * loop['busy_seconds'] / total:.1f}%" if total else "-"
            yield (*head, state, loop["name"], busy, _p99(loop["delay"]), str(loop["stalls"]), *tail)


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
