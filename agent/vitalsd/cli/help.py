"""`vitalsd help`: what `vitalsd COMMAND --help` says, for who looks for it here."""

from __future__ import annotations

import argparse

from vitalsd.cli.manual import Manual, own_commands
from vitalsd.errors import UsageError

__all__ = ["Help"]


class Help:
    """Print the help of a command, or the list of all."""

    name = "help"
    manual = Manual(
        examples={
            "vitalsd help": "all commands",
            "vitalsd help capture": "one of them",
            "vitalsd help config check": "one of those that it has of its own",
        },
        codes={0: "it was printed"},
        read=("docs/commands.md", "README.md"),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("asked", nargs="*", metavar="COMMAND", help="of which")

    def run(self, args: argparse.Namespace) -> int:
        """Print it; a command that there is not is an error."""
        from vitalsd.cli import NAMES, build_parser

        first = args.asked[:1]
        if first and first[0] not in NAMES:
            raise UsageError(f"There is no command `{first[0]}`: `vitalsd help` lists those that there are.")
        parser = build_parser(first) if first else build_parser(outline=True)
        for name in args.asked:
            below = own_commands(parser)
            if name not in below:
                raise UsageError(
                    f"`{parser.prog}` has no command `{name}`: `{parser.prog} --help` says what it has."
                )
            parser = below[name]
        print(parser.format_help(), end="")
        return 0
