"""
The command line: one file per command, each a class whose docstring is its help.

Only the command that is asked for is imported: the agent is one of them, and small. So the list of all, which
`vitalsd --help` prints, is here.

Errors for people end here as one text on standard error and an exit code: 0 good, 1 the answer is no, 2 usage or
configuration. What cannot be printed is one of them, see `output`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from vitalsd import __version__
from vitalsd.cli.manual import Formatter, Manual, epilog, own_commands, usage
from vitalsd.cli.output import tell, written
from vitalsd.errors import UsageError, VitalsdError

__all__ = ["NAMES", "Command", "build_parser", "load", "main"]

NAMES = {
    "demo": "small services with switchable faults, and the agent beside them: see it all in a minute",
    "run": "start a service with the probe inside and the agent beside it",
    "watch": "watch services and serve what is seen: metrics, health and the API",
    "status": "show targets and workers as the agent of this machine sees them",
    "top": "show workers and incidents live, on a terminal",
    "incidents": "show incidents, or one with its evidence and what to do",
    "capture": "take a profile or a snapshot of a worker: stacks, cpu, memory or heap",
    "captures": "show captures, or one in full; pin, stop, cancel, delete or download one",
    "history": "print what the agent has recorded, as `backtest` reads it",
    "backtest": "run the detectors of growth over recorded samples",
    "budget": "run a load test or a test suite, and fail it where its event loops were blocked",
    "config": "check, show or describe the configuration",
    "probe": "install the probe for services that start otherwise, or attach it to one that runs",
    "doctor": "say what works here, what does not, which permission is missing and how to grant it",
    "completion": "print what completes these commands in bash, zsh or fish",
    "help": "print the help of a command",
}
"""Each is a module here, with a class of that name; and what it does."""
CLOSING = """\
exit codes:
  0  good
  1  the answer is no: a target is down, nothing was captured, no agent answers
  2  the options or the configuration are wrong

`vitalsd budget` has more, since it keeps those of the command that it runs.
`vitalsd help COMMAND` says more of each, and so do `man vitalsd` and docs/commands.md."""


class Command(Protocol):
    """One command."""

    name: str
    manual: Manual

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the answer is the exit code."""
        ...


def load(name: str) -> Command:
    """One command."""
    command: Command = getattr(import_module(f"vitalsd.cli.{name}"), name.capitalize())()
    return command


def build_parser(names: Sequence[str] = tuple(NAMES), *, outline: bool = False) -> argparse.ArgumentParser:
    """The command line, as far as these commands go; of an outline only their names are known."""
    parser = argparse.ArgumentParser(
        prog="vitalsd",
        description="The runtime health of Python and Node.js services, seen from beside them.",
        epilog=CLOSING,
        formatter_class=Formatter,
    )
    parser.add_argument("--version", action="version", version=f"vitalsd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in names:
        own = commands.add_parser(name, help=NAMES[name], formatter_class=Formatter)
        if not outline:
            command = load(name)
            own.description, own.epilog = command.__doc__, epilog(command.manual)
            command.prepare(own)
            own.set_defaults(chosen=command)
            own.usage = usage(own)
            for below in own_commands(own).values():
                below.formatter_class, below.usage = Formatter, usage(below)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    return written(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(given: Sequence[str]) -> int:
    known = bool(given) and given[0] in NAMES
    parser = build_parser(given[:1] if known else tuple(NAMES), outline=not known)
    args = parser.parse_args(given)
    if args.command is None:
        parser.print_usage(sys.stderr)
        tell(
            UsageError("Say what to do: `vitalsd help` lists the commands, and `vitalsd demo` shows them at work.")
        )
        return UsageError.exit_code
    command: Command = args.chosen
    try:
        return command.run(args)
    except VitalsdError as error:
        tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
