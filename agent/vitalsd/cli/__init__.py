"""
The command line: one file per command, each a class whose docstring is its help.

Only the command that is asked for is imported: the agent is one of them, and small.

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
from vitalsd.cli.output import tell, written
from vitalsd.errors import VitalsdError

__all__ = ["NAMES", "Command", "build_parser", "load", "main"]

NAMES = (
    "demo",
    "run",
    "watch",
    "status",
    "top",
    "incidents",
    "capture",
    "captures",
    "history",
    "backtest",
    "config",
    "probe",
    "doctor",
)
"""Each is a module here, with a class of that name."""


class Command(Protocol):
    """One command."""

    name: str

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


def build_parser(names: Sequence[str] = NAMES) -> argparse.ArgumentParser:
    """The command line, as far as these commands go."""
    parser = argparse.ArgumentParser(
        prog="vitalsd",
        description="The runtime health of Python and Node.js services, seen from beside them.",
    )
    parser.add_argument("--version", action="version", version=f"vitalsd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in map(load, names):
        text = (command.__doc__ or "").strip()
        summary = text.split("\n", 1)[0].rstrip(".")
        own = commands.add_parser(
            command.name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.prepare(own)
        own.set_defaults(chosen=command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    return written(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(given: Sequence[str]) -> int:
    args = build_parser(given[:1] if given[:1] and given[0] in NAMES else NAMES).parse_args(given)
    command: Command = args.chosen
    try:
        return command.run(args)
    except VitalsdError as error:
        tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
