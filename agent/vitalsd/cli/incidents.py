"""`vitalsd incidents`: what was found, as the agent of this machine tells it; a list, or one in full."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from vitalsd.cli.client import NoAgentError, ask
from vitalsd.cli.figures import INDENT, cut, facts, filled, plain
from vitalsd.cli.manual import Manual
from vitalsd.cli.moments import moment, unix, when
from vitalsd.cli.moments import short as short_span
from vitalsd.cli.options import add_agent_options, settings_to_look
from vitalsd.detect.words import times
from vitalsd.errors import VitalsdError
from vitalsd.incidents.grower import without_grower
from vitalsd.incidents.query import Wanted
from vitalsd.incidents.wording import sentence, without_advice, without_orders
from vitalsd.settings.model import Settings

__all__ = ["Incidents", "described", "listed", "short", "what", "where", "whole"]

MOST_CAPTURES = 100
QUIET_SECONDS = 5.0
"""An incident is open for a minute after what it is about was over: longer than this ago is worth a word."""
STATES = ("open", "resolved", "all")
HEADER = ("ID", "OPENED", "SEVERITY", "WORKER", "STATE", "LASTED", "COUNT")


class Incidents:
    """Show incidents: those that are open and those that were, or one with its timeline and its stacks."""

    name = "incidents"
    manual = Manual(
        examples={
            "vitalsd incidents": "the latest twenty",
            "vitalsd incidents --state open --target shop": "what is wrong with shop now",
            "vitalsd incidents 1ngdqswbdrk": "one, with evidence and timeline",
        },
        codes={
            0: "they were printed, be there some or none",
            1: "there is none of that ID, or no agent answers and none has left any",
        },
        read=(
            "docs/incidents.md",
            "docs/leaks.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("id", nargs="?", metavar="ID", help="show this one in full")
        parser.add_argument(
            "--state", choices=STATES, default="all", metavar="STATE", help=f"list {', '.join(STATES)} (all)"
        )
        parser.add_argument("--target", metavar="T", help="list those of one target")
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="list the latest N (20)")
        parser.add_argument("--json", action="store_true", help="print what the API answers")
        add_agent_options(parser, looks=True)

    def run(self, args: argparse.Namespace) -> int:
        """Ask the agent and print; an id that does not exist is an error."""
        settings = settings_to_look(args, strictly=args.json)
        try:
            answer = whole(lambda path: ask(settings, path), _path(args), args.limit)
        except NoAgentError as error:
            answer = _left(settings, args, error)
        if args.json:
            print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        elif args.id is not None:
            captures, problem = _captures(settings, answer, args.listen)
            print(described(answer, captures, time.time()))
            if "problem" in answer:
                print(f"\nnote: {answer['problem']}")
            if problem is not None:
                print(f"\nnote: captures: {problem}")
        else:
            print(listed(answer["incidents"], time.time()))
            if "problem" in answer:
                print(f"note: {answer['problem']}")
        return 0


def whole(asked: Callable[[str], dict[str, Any]], path: str, limit: int) -> dict[str, Any]:
    """A list of so many that the agent tells in several answers, where one would be too long."""
    answer = asked(path)
    while "next" in answer and len(answer["incidents"]) < limit:
        more = asked(f"{path}&before={quote(answer['next'], safe='')}")
        answer = more | {"incidents": (answer["incidents"] + more["incidents"])[:limit]}
    return answer


def listed(incidents: Iterable[dict[str, Any]], now: float) -> str:
    """The incidents as an aligned table of two lines each, the second with cause and culprit."""
    rows, causes = [HEADER], [""]
    for incident in incidents:
        rows.append(
            (
                incident["id"],
                moment(incident["opened_at"], now),
                incident["severity"],
                where(incident),
                incident["state"],
                _lasted(incident, now),
                str(incident["count"]),
            )
        )
        causes.append(what(incident))
    if len(rows) == 1:
        return "No incident: nothing of the kind was found, or `--state` and `--target` leave none."
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = []
    for row, cause in zip(rows, causes, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        lines += [cut(INDENT + cause)] if cause else []
    return "\n".join(lines)


def described(incident: Mapping[str, Any], captures: Sequence[Mapping[str, Any]], now: float) -> str:
    """One incident in full: the sentence, the evidence, what was captured, and what happened when."""
    from vitalsd.cli.captured import brief
    from vitalsd.cli.evidence import evidence

    told = {
        "incident": incident["id"],
        "worker" if incident["worker"] else "target": where(incident),
        "what": what(incident),
        "state": f"{incident['state']}, {incident['severity']}",
        "opened": when(incident["opened_at"], now),
        "found": _found(incident, now),
        "resolved": _resolved(incident, now),
        "captures": ", ".join(incident["captures"]),
    }
    in_captures = {name: value for each in captures for name, value in each["summary"].items()}
    parts = [
        filled(_past(incident, plain(incident["summary"]))),
        facts(told),
        evidence(incident, in_captures, now),
        *map(brief, captures),
        "\n".join(["timeline", *(_event(each, incident) for each in incident["timeline"])]),
    ]
    return "\n\n".join(part for part in parts if part)


def _event(entry: Mapping[str, Any], incident: Mapping[str, Any]) -> str:
    """One line of the timeline or more; the summary, which stands above, is not said again."""
    text = _past(incident, plain(entry["text"]))
    severity, _, said = text.partition(": ")
    above = without_grower(without_advice(sentence(incident["summary"]), incident.get("advice", "")))
    above = _past(incident, plain(above))
    text = severity if said and said == above else text
    return filled(text, f"{INDENT}{entry['at']}  {entry['event']:8}  ")


def _past(incident: Mapping[str, Any], text: str) -> str:
    """What is over gives no orders: an agent takes them away as it ends one, and one of before has not."""
    return text if incident["state"] == "open" else without_orders(text)


def _found(incident: Mapping[str, Any], now: float) -> str:
    """How often, and when last where that is not when it was opened."""
    often, last = times(incident["count"]), incident["updated_at"]
    return often if last == incident["opened_at"] else f"{often}, last {when(last, now)}"


def _resolved(incident: Mapping[str, Any], now: float) -> str | None:
    """When, and why."""
    at, entries = when(incident["resolved_at"], now), incident["timeline"]
    if at is None:
        return None
    why = f": {plain(entries[-1]['text'])}" if entries and entries[-1]["event"] == "resolved" else ""
    return f"{at}{why}"


def short(incident: dict[str, Any], now: float) -> str:
    """One incident in one line, for `vitalsd status`."""
    told = f"{incident['id']} {incident['severity']} {where(incident)} {what(incident)}"
    updated = unix(incident["updated_at"])
    quiet = now - updated if updated is not None else 0.0
    last = f", last found {short_span(quiet)} ago" if quiet >= QUIET_SECONDS else ""
    return f"{told}, open for {_lasted(incident, now)}, {times(incident['count'])}{last}"


def _captures(
    settings: Settings, incident: Mapping[str, Any], listen: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """The captures that are evidence of it; and what is in the way, if something is."""
    try:
        answer = _captures_of(settings, incident, listen)
    except VitalsdError as error:
        return [], str(error)
    return list(answer["captures"]), None


def _captures_of(settings: Settings, incident: Mapping[str, Any], listen: str | None) -> dict[str, Any]:
    wanted = {"incident": incident["id"]}
    try:
        answer: dict[str, Any] = ask(settings, f"/api/v1/captures?{urlencode(wanted)}")
    except NoAgentError as error:
        if not incident["captures"]:
            return {"captures": []}
        from vitalsd.cli.absent import captures_listed

        return captures_listed(settings, wanted, MOST_CAPTURES, error, listen)
    return answer


def _left(settings: Settings, args: argparse.Namespace, error: NoAgentError) -> dict[str, Any]:
    """What the last agent has left, where there is none to ask."""
    from vitalsd.cli.absent import incident_left, incidents_listed

    if args.id is not None:
        return incident_left(settings, args.id, error, args.listen)
    state = None if args.state == "all" else args.state
    wanted = Wanted(state=state, target=args.target, limit=args.limit)
    return incidents_listed(settings, wanted, error, args.listen)


def _path(args: argparse.Namespace) -> str:
    if args.id is not None:
        return f"/api/v1/incidents/{quote(args.id, safe='')}"
    filters = {"limit": args.limit, "target": args.target, "state": None if args.state == "all" else args.state}
    return "/api/v1/incidents?" + urlencode({name: value for name, value in filters.items() if value is not None})


def where(incident: Mapping[str, Any]) -> str:
    """`shop/0`, or the target where it is about no one worker."""
    return plain(f"{incident['target']}/{incident['worker']}" if incident["worker"] else incident["target"])


def what(incident: Mapping[str, Any]) -> str:
    """`stall/blocking_cpu in parse (orders.py:41)`, `worker_down/SIGSEGV`."""
    fault = incident.get("fault", "").partition(",")[0]
    told = "/".join(filter(None, (incident["kind"], incident["cause"] or fault)))
    culprit = incident["culprit"]
    if culprit is None:
        return plain(told)
    return plain(f"{told} in {culprit['function']} ({culprit['file'].rpartition('/')[2]}:{culprit['line']})")


def _lasted(incident: dict[str, Any], now: float) -> str:
    """From opening to resolving, or until now: `45s`, `12m`, `3h05m`, `2d04h`."""
    opened, resolved = unix(incident["opened_at"]), unix(incident["resolved_at"])
    if opened is None:
        return "-"
    return short_span((resolved if resolved is not None else now) - opened)
