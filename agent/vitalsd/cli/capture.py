"""
`vitalsd capture`: have the agent of this machine take a profile or a snapshot, wait for it, and show what is in
it.
"""

from __future__ import annotations

import argparse
import http.client
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from vitalsd.capture.model import ACTIVE, KINDS
from vitalsd.cli.captured import files, held_for, sentence, summary
from vitalsd.cli.client import send
from vitalsd.cli.downloads import save
from vitalsd.cli.following import follow
from vitalsd.cli.manual import Manual
from vitalsd.cli.options import add_agent_options, settings_to_ask
from vitalsd.errors import UsageError, VitalsdError
from vitalsd.settings.model import Settings

__all__ = ["Capture", "ask_for", "lie", "print_json"]

LONGEST_SECONDS = 3600
REASON = "asked for by `vitalsd capture`"
ADVICE = {
    "engine": "`vitalsd doctor --pid {pid}` says what is missing",
    "stopped": "`kill -CONT {pid}` lets it go on",
}
"""Word of a refusal -> what to do, where the sentence does not say it."""


class Capture:
    """Take a capture of a worker: stacks, a CPU profile, allocations or a heap census.

    Ctrl-C once ends it early and keeps what it has, twice throws it away.
    """

    name = "capture"
    manual = Manual(
        examples={
            "vitalsd capture cpu shop/0 --seconds 10": "a flame graph of worker 0",
            "vitalsd capture stacks --pid 4711": "where each thread is now",
            "vitalsd capture memory shop --output .": "what is allocated, with its files copied here",
        },
        codes={
            0: "it is taken, or asked for with --no-wait",
            1: "it was refused, failed or cancelled, and why is told",
        },
        read=(
            "docs/permissions.md",
            "docs/leaks.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
        parser.add_argument(
            "place", nargs="?", metavar="TARGET[/WORKER]", help="of this worker, else the first up"
        )
        parser.add_argument("--pid", type=int, metavar="P", help="of the worker that is this process")
        parser.add_argument(
            "--seconds", type=_seconds, metavar="S", help="how long to watch (the agent's default)"
        )
        parser.add_argument("--force", action="store_true", help="now, whatever cooldown and budget say")
        parser.add_argument("--redact", action="store_true", help="a heap snapshot without what its strings say")
        parser.add_argument("--reason", default=REASON, metavar="R", help="why, for those who look at it later")
        parser.add_argument("--output", metavar="DIR", help="copy its files there")
        parser.add_argument("--json", action="store_true", help="print the capture as JSON")
        parser.add_argument("--no-wait", action="store_true", help="ask, and do not wait")
        add_agent_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Ask, wait, show; 1 when it was refused, failed or cancelled."""
        body = _body(args)
        settings = settings_to_ask(args)
        capture = ask_for(settings, body)
        if capture["state"] in ACTIVE and (price := held_for(capture)) is not None:
            print(price, file=sys.stderr, flush=True)
        if capture["state"] != "refused" and not args.no_wait:
            capture = follow(settings, capture)
        saved = save(settings, capture, Path(args.output)) if args.output is not None else []
        if args.json:
            print_json(capture)
        problem = _problem(capture)
        if problem is not None:
            raise VitalsdError(problem)
        if not args.json:
            print(_told(settings, capture, saved))
        return 0


def print_json(answer: object) -> None:
    """One document."""
    print(msgspec.json.format(msgspec.json.encode(answer)).decode())


def lie(settings: Settings, capture: Mapping[str, Any]) -> str | None:
    """The folder on this machine in which the files of a capture lie, where this user can see it."""
    from vitalsd.settings.storage import storage_dir

    try:
        found = [each for each in storage_dir(settings.storage).glob("captures*/*") if each.name == capture["id"]]
    except (OSError, VitalsdError):
        return None
    return str(found[0]) if found else None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= LONGEST_SECONDS or math.isnan(seconds):
        raise argparse.ArgumentTypeError(f"from 0 to {LONGEST_SECONDS}")
    return seconds


def _body(args: argparse.Namespace) -> dict[str, Any]:
    """What the API is asked."""
    if (args.place is None) == (args.pid is None):
        raise UsageError("Say what to capture: TARGET, TARGET/WORKER or --pid P, one of them.")
    if args.no_wait and args.output is not None:
        raise UsageError("--output waits for the files, and --no-wait does not: give one of them.")
    target, _, worker = (args.place or "").partition("/")
    if args.place is not None and (not target or (not worker and "/" in args.place)):
        raise UsageError(f"`{args.place}` is no TARGET and no TARGET/WORKER.")
    wanted = {"kind": args.kind, "target": target or None, "worker": worker or None, "pid": args.pid}
    more = {"seconds": args.seconds, "reason": args.reason, "force": args.force}
    more["redact"] = args.redact or None
    return {name: value for name, value in (wanted | more).items() if value is not None}


def ask_for(settings: Settings, body: dict[str, Any]) -> dict[str, Any]:
    """The capture, a refused one too."""
    reply = send(settings, "POST", "/api/v1/captures", body)
    if reply.status == http.client.ACCEPTED:
        capture: dict[str, Any] = reply.json()
        return capture
    if reply.status in (http.client.CONFLICT, http.client.TOO_MANY_REQUESTS):
        refused: dict[str, dict[str, Any]] = reply.json()
        if "capture" in refused:
            return refused["capture"]
    raise reply.refusal()


def _problem(capture: Mapping[str, Any]) -> str | None:
    """Why there is none, and what to do; None where there is one, or may still be."""
    if capture["state"] not in ("refused", "failed", "cancelled"):
        return None
    said = sentence(capture, time.time())
    advice = ADVICE.get(capture["refusal"] or "")
    return f"{said[:-1]}; {advice.format(pid=capture['pid'])}." if advice is not None else said


def _told(settings: Settings, capture: Mapping[str, Any], saved: list[Path]) -> str:
    if capture["state"] != "done":
        return f"{sentence(capture)} See `vitalsd captures {capture['id']}`."
    parts = [sentence(capture), summary(capture)]
    if saved:
        parts.append("\n".join(["files", *(f"  {path}" for path in saved)]))
    else:
        parts.append(files(capture, lie(settings, capture)))
        if capture["artifacts"]:
            parts.append(f"`vitalsd captures {capture['id']} --download DIR` copies them.")
    return "\n\n".join(part for part in parts if part)
