"""`vitalsd incidents`: what was found, as the agent of this machine tells it; a list, or one in full."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from vitalsd.cli.client import ask
from vitalsd.cli.growing import ABOUT, growing
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings

__all__ = ["Incidents", "cut", "described", "facts", "listed", "moment", "short", "unix"]

HEADER = ("ID", "OPENED", "SEVERITY", "WORKER", "STATE", "LASTED", "COUNT")
WIDTH = 80
INDENT = "  "
MOST_FRAMES = 20
SHOWN_WITH_STACKS = ("stacks", "no_stack_reason", *ABOUT)
SHOWN_APART = (*SHOWN_WITH_STACKS, "stalls", "count")


class Incidents:
    """Show incidents: those that are open and those that were, or one with its timeline and its stacks."""

    name = "incidents"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("id", nargs="?", metavar="ID", help="show this one in full")
        parser.add_argument(
            "--state", choices=("open", "resolved", "all"), default="all", help="which to list (all)"
        )
        parser.add_argument("--target", metavar="T", help="list those of one target")
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="list the latest N (20)")
        parser.add_argument("--config", metavar="FILE", help="the agent's configuration")
        parser.add_argument("--control-listen", metavar="ADDR", help="where the agent serves its API")
        parser.add_argument("--json", action="store_true", help="print what the API answers")

    def run(self, args: argparse.Namespace) -> int:
        """Ask the agent and print; an id that does not exist is an error."""
        from vitalsd.cli.options import config_loader

        settings = config_loader(args)().settings
        answer = ask(settings, _path(args))
        if args.json:
            print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        elif args.id is not None:
            print(described(answer))
            print(_captures(settings, answer), end="")
        else:
            print(listed(answer["incidents"], time.time()))
            if "problem" in answer:
                print(f"note: {answer['problem']}")
        return 0


def listed(incidents: Iterable[dict[str, Any]], now: float) -> str:
    """The incidents as an aligned table of two lines each, the second with cause and culprit."""
    rows, causes = [HEADER], [""]
    for incident in incidents:
        rows.append(
            (
                incident["id"],
                moment(incident["opened_at"], now),
                incident["severity"],
                _where(incident),
                incident["state"],
                _lasted(incident, now),
                str(incident["count"]),
            )
        )
        causes.append(_what(incident))
    if len(rows) == 1:
        return "No incident: nothing of the kind was found, or `--state` and `--target` leave none."
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = []
    for row, cause in zip(rows, causes, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        lines += [cut(INDENT + cause)] if cause else []
    return "\n".join(lines)


def described(incident: dict[str, Any]) -> str:
    """One incident in full: the sentence, what happened when, the stalls and the stacks."""
    evidence = incident["evidence"]
    told = {
        "incident": incident["id"],
        "worker": _where(incident),
        "what": _what(incident),
        "severity": incident["severity"],
        "state": incident["state"],
        "opened": incident["opened_at"],
        "resolved": incident["resolved_at"],
        "last found": incident["updated_at"],
        "count": incident["count"],
        "captures": ", ".join(incident["captures"]),
    }
    apart = SHOWN_APART if "stalls" in evidence else SHOWN_WITH_STACKS
    others = {name: value for name, value in evidence.items() if name not in apart}
    parts = [
        incident["summary"],
        facts(told),
        "\n".join(
            [
                "timeline",
                *(f"{INDENT}{each['at']}  {each['event']:8}  {each['text']}" for each in incident["timeline"]),
            ]
        ),
        "\n".join(["evidence", *(f"{INDENT}{name}: {_plain(value)}" for name, value in others.items())])
        if others
        else "",
        growing(evidence),
        _stalls(evidence),
        *(_stack(stack) for stack in evidence.get("stacks", ())),
        f"no stack: {evidence['no_stack_reason']}" if evidence.get("no_stack_reason") else "",
    ]
    return "\n\n".join(part for part in parts if part)


def short(incident: dict[str, Any], now: float) -> str:
    """One incident in one line, for `vitalsd status`."""
    times = "once" if incident["count"] == 1 else f"{incident['count']} times"
    what = f"{incident['id']} {incident['severity']} {_where(incident)} {_what(incident)}"
    return f"{what}, open for {_lasted(incident, now)}, {times}"


def _captures(settings: Settings, incident: dict[str, Any]) -> str:
    """The captures that are evidence of it, with what is in each."""
    from vitalsd.cli.captured import sentence, summary

    path = f"/api/v1/captures?{urlencode({'incident': incident['id']})}"
    try:
        captures = ask(settings, path)["captures"]
    except VitalsdError as error:
        return f"\nnote: captures: {error}\n"
    told = [f"capture {each['id']}: {sentence(each)}\n\n{summary(each)}".rstrip() for each in captures]
    return "".join(f"\n{each}\n" for each in told)


def _path(args: argparse.Namespace) -> str:
    if args.id is not None:
        return f"/api/v1/incidents/{quote(args.id, safe='')}"
    filters = {"limit": args.limit, "target": args.target, "state": None if args.state == "all" else args.state}
    return "/api/v1/incidents?" + urlencode({name: value for name, value in filters.items() if value is not None})


def _where(incident: dict[str, Any]) -> str:
    return f"{incident['target']}/{incident['worker']}" if incident["worker"] else str(incident["target"])


def _what(incident: dict[str, Any]) -> str:
    """`stall/blocking_cpu in parse (orders.py:41)`."""
    what = "/".join(filter(None, (incident["kind"], incident["cause"])))
    culprit = incident["culprit"]
    if culprit is None:
        return what
    return f"{what} in {culprit['function']} ({culprit['file'].rpartition('/')[2]}:{culprit['line']})"


def moment(text: str | None, now: float) -> str:
    """In local time: the time of today, the date of another day."""
    at = unix(text)
    if at is None:
        return "-"
    here = datetime.fromtimestamp(at, UTC).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%b %d %H:%M")


def _lasted(incident: dict[str, Any], now: float) -> str:
    """From opening to resolving, or until now: `45s`, `12m`, `3h05m`, `2d04h`."""
    opened, resolved = unix(incident["opened_at"]), unix(incident["resolved_at"])
    if opened is None:
        return "-"
    seconds = max(0, int((resolved if resolved is not None else now) - opened))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3600:02}h"


def unix(text: str | None) -> float | None:
    """A time of the API's."""
    return datetime.fromisoformat(text).timestamp() if text else None


def facts(told: dict[str, Any]) -> str:
    """A line for each that is known."""
    width = max(map(len, told))
    return "\n".join(f"{name:{width}}  {value}" for name, value in told.items() if value not in (None, ""))


def _stalls(evidence: dict[str, Any]) -> str:
    stalls = [stall for stall in evidence.get("stalls", ()) if isinstance(stall, dict)]
    if not stalls:
        return ""
    count = evidence.get("count", len(stalls))
    head = f"stalls, the latest {len(stalls)} of {count}"
    return "\n".join(
        [
            head,
            *(
                f"{INDENT}{stall.get('started_at')}  {stall.get('duration_seconds'):>8}s  {stall.get('cause')}"
                for stall in stalls
            ),
        ]
    )


def _stack(stack: dict[str, Any]) -> str:
    frames = stack.get("frames", [])
    lines = [f"stack, seen {stack.get('samples')} times, innermost first"]
    lines += [f"{INDENT}{each['function']} ({each['file']}:{each['line']})" for each in frames[:MOST_FRAMES]]
    lines += [f"{INDENT}and {len(frames) - MOST_FRAMES} more: --json"] if len(frames) > MOST_FRAMES else []
    return "\n".join(lines)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def cut(line: str) -> str:
    """As much as a terminal has room for."""
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
