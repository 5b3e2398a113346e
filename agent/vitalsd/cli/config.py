"""`vitalsd config`: the configuration checked, shown or described, without starting anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vitalsd.cli.manual import Manual
from vitalsd.settings.load import find_config, load
from vitalsd.settings.schema import schema_text
from vitalsd.settings.show import show

if TYPE_CHECKING:
    import argparse

__all__ = ["Config"]


class Config:
    """Check, show or describe the configuration."""

    name = "config"
    manual = Manual(
        examples={
            "vitalsd config check vitalsd.yaml": "everything that is wrong with it, at once",
            "vitalsd config show --sources": "what holds here, and where it comes from",
            "vitalsd config schema > vitalsd.schema.json": "for editors",
        },
        codes={0: "it is valid, or printed"},
        read=(
            "docs/configuration.md",
            "config/vitalsd.yaml",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the three things that can be asked."""
        asked = parser.add_subparsers(dest="asked", required=True, metavar="check|show|schema")
        check = asked.add_parser("check", help="say whether a configuration is valid, and everything that is not")
        which = check.add_mutually_exclusive_group()
        which.add_argument("file", nargs="?", metavar="FILE", help="the file to check")
        which.add_argument("--config", metavar="FILE", help="the same, as the other commands call it")
        shown = asked.add_parser("show", help="print the configuration as it holds after defaults and environment")
        shown.add_argument("--config", metavar="FILE", help="the file to load")
        shown.add_argument("--sources", action="store_true", help="say where each value came from")
        asked.add_parser("schema", help="print the JSON Schema of the file, for editors")

    def run(self, args: argparse.Namespace) -> int:
        """Print the answer; a configuration that is not valid is raised."""
        match args.asked:
            case "check":
                self._check(args.file or args.config)
            case "show":
                print(show(load(find_config(args.config, os.environ), os.environ), sources=args.sources), end="")
            case "schema":
                print(schema_text(), end="")
        return 0

    def _check(self, asked: str | None) -> None:
        loaded = load(find_config(asked, os.environ), os.environ)
        count = len(loaded.settings.targets)
        print(f"{loaded.path or 'no file, every default'}: valid, {count} target{'' if count == 1 else 's'}")
