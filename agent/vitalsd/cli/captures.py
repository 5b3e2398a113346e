"""`vitalsd captures`: what was captured, as the agent of this machine tells it, and what is to become of it."""

from __future__ import annotations

import argparse
import http.client
import time
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote, urlencode

from vitalsd.capture.model import ACTIVE, KINDS, CaptureState
from vitalsd.cli.capture import lie, print_json
from vitalsd.cli.captured import described, files, listed
from vitalsd.cli.client import NoAgentError, ask, send
from vitalsd.cli.downloads import save
from vitalsd.cli.manual import Manual
from vitalsd.cli.options import add_agent_options, settings_to_look
from vitalsd.errors import UsageError, VitalsdError
from vitalsd.settings.model import Settings

__all__ = ["Captures"]

FILTERS = ("target", "kind", "state", "incident")
ACTIONS = {
    "pin": "keep it, whatever room its files take",
    "unpin": "let it be deleted to make room again",
    "stop": "end it early and keep what it has",
    "cancel": "end it and keep nothing",
    "delete": "delete it with its files",
}


class Captures:
    """Show captures, refused ones too, or one in full; or pin, stop, cancel, delete or download one."""

    name = "captures"
    manual = Manual(
        examples={
            "vitalsd captures": "the latest twenty, refused ones too",
            "vitalsd captures 1nggebck9wb": "one, with what is in it",
            "vitalsd captures 1nggebck9wb --download .": "copy its files",
        },
        codes={
            0: "it was printed or done",
            1: "there is none of that ID, it cannot be done, or no agent answers",
        },
        read=(
            "docs/permissions.md",
            "docs/api.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("id", nargs="?", metavar="ID", help="show this one in full")
        parser.add_argument("--target", metavar="T", help="list those of one target")
        states = get_args(CaptureState)
        parser.add_argument("--kind", choices=KINDS, metavar="KIND", help=f"list those of one: {', '.join(KINDS)}")
        parser.add_argument(
            "--state", choices=states, metavar="STATE", help=f"list those in one: {', '.join(states)}"
        )
        parser.add_argument("--incident", metavar="I", help="list those that are evidence of one incident")
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="list the latest N (20)")
        what = parser.add_mutually_exclusive_group()
        for name, text in ACTIONS.items():
            what.add_argument(f"--{name}", dest="action", action="store_const", const=name, help=text)
        what.add_argument("--download", metavar="DIR", help="copy its files there")
        parser.add_argument("--json", action="store_true", help="print what the API answers")
        add_agent_options(parser, looks=True)

    def run(self, args: argparse.Namespace) -> int:
        """Ask the agent, or read what the last one has left, and print; an id that does not exist is an error."""
        if args.id is None and (args.action is not None or args.download is not None):
            raise UsageError("Say of which capture: give its ID, as `vitalsd captures` lists them.")
        settings = settings_to_look(args, strictly=args.json or args.action is not None)
        if args.id is None:
            _list(settings, args)
            return 0
        path = f"/api/v1/captures/{quote(args.id, safe='')}"
        known = _one(settings, args, path)
        if args.download is not None:
            saved = save(settings, known, Path(args.download))
            if not saved:
                raise VitalsdError(f"Capture `{known['id']}` is {known['state']} and has no files.")
            if args.json:
                print_json([str(each) for each in saved])
            else:
                print("\n".join(map(str, saved)))
            return 0
        capture = _change(settings, known, args.action, path) if args.action is not None else known
        if capture is None:
            print(f"Capture {args.id} is deleted.")
        elif args.json:
            print_json(capture)
        elif args.action is not None:
            pinned = ", pinned" if capture["pinned"] else ""
            print(f"Capture {capture['id']} is {capture['state']}{pinned}.")
        else:
            note = f"note: {capture['note']}" if "note" in capture else ""
            parts = [described(capture, time.time()), files(capture, lie(settings, capture)), note]
            print("\n\n".join(part for part in parts if part))
        return 0


def _one(settings: Settings, args: argparse.Namespace, path: str) -> dict[str, Any]:
    """As the agent tells it, else as the last one has left it; nothing is done to it without an agent."""
    try:
        capture: dict[str, Any] = ask(settings, path)
    except NoAgentError as error:
        if args.action is not None or args.download is not None:
            raise
        from vitalsd.cli.absent import capture_left

        return capture_left(settings, args.id, error, args.listen)
    return capture


def _list(settings: Settings, args: argparse.Namespace) -> None:
    filters = {name: getattr(args, name) for name in FILTERS if getattr(args, name) is not None}
    try:
        answer = ask(settings, f"/api/v1/captures?{urlencode(filters | {'limit': args.limit})}")
    except NoAgentError as error:
        from vitalsd.cli.absent import captures_listed

        answer = captures_listed(settings, filters, args.limit, error, args.listen)
    if args.json:
        print_json(answer)
    else:
        print(listed(answer["captures"], time.time()))
        if "problem" in answer:
            print(f"note: {answer['problem']}")


def _change(settings: Settings, capture: dict[str, Any], action: str, path: str) -> dict[str, Any] | None:
    """Do it; as it is then, or None where it is no more."""
    active = capture["state"] in ACTIVE
    # DELETE would cancel it; what has ended once never runs again.
    if action == "delete" and active:
        raise VitalsdError(
            f"Capture `{capture['id']}` is {capture['state']}: `--cancel` ends it and keeps nothing."
        )
    if action == "delete":
        reply = send(settings, "DELETE", path)
    elif action in ("stop", "cancel"):
        reply = send(settings, "POST", f"{path}/{action}")
    else:
        reply = send(settings, "PATCH", path, {"pinned": action == "pin"})
    if reply.status == http.client.NO_CONTENT:
        return None
    if reply.status not in (http.client.OK, http.client.ACCEPTED):
        raise reply.refusal()
    now: dict[str, Any] = reply.json()
    return now
