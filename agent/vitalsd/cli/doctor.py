"""`vitalsd doctor`: what works here and for one process, what does not, and which permission is missing."""

from __future__ import annotations

import argparse
import os
import sys

import msgspec

from vitalsd.cli.manual import Manual
from vitalsd.cli.options import add_agent_options, config_loader
from vitalsd.errors import UsageError

__all__ = ["Doctor"]


class Doctor:
    """Say what works here, what does not, which permission is missing and how to grant it."""

    name = "doctor"
    manual = Manual(
        examples={
            "vitalsd doctor": "of this machine and its agent",
            "vitalsd doctor --pid 4711": "ways into a process, and what could be captured of it",
        },
        codes={0: "the main job can be done", 1: "it cannot, and what would change it is told"},
        read=("docs/permissions.md",),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("--pid", metavar="P", help="a process: ways into it, and what could be captured of it")
        parser.add_argument("--storage-dir", metavar="DIR", help="where the agent keeps what it has stored")
        parser.add_argument("--json", action="store_true", help="print facts and checks as one JSON document")
        add_agent_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Look and print; 1 when the main job cannot be done. Nothing of a service is touched."""
        from vitalsd.doctor.agent import look_at_agent, target_of
        from vitalsd.doctor.checks import check_agent, check_process
        from vitalsd.doctor.process import look_at_process
        from vitalsd.doctor.report import as_text

        settings = config_loader(args)().settings
        pid = _pid(args.pid) if args.pid is not None else None
        agent = look_at_agent(settings)
        process = None
        if pid is not None:
            target = target_of(settings, pid) if agent.captures.breakers else None
            breakers = [each for each in agent.captures.breakers if each.target == target]
            process = look_at_process(pid, settings, breakers=breakers)
        diagnoses = (
            [check_agent(agent)] if process is None else [check_agent(agent), check_process(agent, process)]
        )
        works = diagnoses[-1].works
        if args.json:
            document = {
                "works": works,
                "agent": {"facts": agent, "diagnosis": diagnoses[0]},
                "process": {"facts": process, "diagnosis": diagnoses[1]} if process is not None else None,
            }
            print(msgspec.json.format(msgspec.json.encode(document)).decode())
        else:
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            print(as_text(diagnoses, colour=colour))
        return 0 if works else 1


def _pid(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise UsageError(f"--pid: expected the number of a process, got {text!r}")
    return int(text)
