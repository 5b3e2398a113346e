"""
The command line: one file per command, each a class whose docstring is its help.

Errors for people end here as one text on standard error and an exit code: 0 good, 1 the answer is no, 2 usage or
configuration.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from vitalsd import __version__
from vitalsd.cli.config import Config
from vitalsd.cli.demo import Demo
from vitalsd.cli.incidents import Incidents
from vitalsd.cli.probe import Probe
from vitalsd.cli.run import Run
from vitalsd.cli.status import Status
from vitalsd.cli.watch import Watch
from vitalsd.errors import VitalsdError

__all__ = ["COMMANDS", "Command", "build_parser", "main"]


class Command(Protocol):
    """One command."""

    name: str

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the answer is the exit code."""
        ...


COMMANDS: tuple[Command, ...] = (Demo(), Run(), Watch(), Status(), Incidents(), Config(), Probe())


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="vitalsd",
        description="The runtime health of Python and Node.js services, seen from beside them.",
    )
    parser.add_argument("--version", action="version", version=f"vitalsd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
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
    args = build_parser().parse_args(argv)
    command: Command = args.chosen
    try:
        return command.run(args)
    except VitalsdError as error:
        print(f"vitalsd: {error}" if "\n" not in str(error) else str(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
