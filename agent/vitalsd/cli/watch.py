"""`vitalsd watch`: the daemon itself, as a sidecar, on a host or on a node."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vitalsd.cli.manual import Manual
from vitalsd.cli.options import add_config_options, config_loader, refuse_unwatchable
from vitalsd.errors import UsageError, VitalsdError

if TYPE_CHECKING:
    from vitalsd.daemon import Daemon

__all__ = ["Watch"]


UNTIL_EXIT = "with --pid: end when that process does, and until then wait for ports that are taken"


class Watch:
    """Watch services and serve what is seen: metrics, health and the API.

    Without targets in the configuration, and without --pid or --match, every process that publishes a segment
    is watched.
    """

    name = "watch"
    manual = Manual(
        examples={
            "vitalsd watch": "every service that publishes a segment",
            "vitalsd watch --match 'gunicorn.*shop' --name shop": "processes by their command line",
            "vitalsd watch --pid 4711 --name shop": "one process and its workers",
        },
        codes={
            0: "it was told to end, or the process that it followed has ended",
            1: "it cannot go on",
        },
        read=("docs/configuration.md", "docs/permissions.md"),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--pid", type=int, metavar="P", help="watch this process and its workers")
        which.add_argument("--match", metavar="RE", help="watch processes whose command line matches")
        name = "the target's name with --pid or --match (default: service)"
        parser.add_argument("--name", metavar="N", help=name)
        parser.add_argument("--until-exit", action="store_true", help=UNTIL_EXIT)
        add_config_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Run the daemon until it is told to stop."""
        from vitalsd import log  # isort: skip - before structlog, or rich comes along
        from vitalsd.cli.ports import start_when_free
        from vitalsd.targets.processes import read_key

        _refuse_incomplete(args)
        followed = read_key(Path("/proc"), args.pid) if args.until_exit else None
        if args.until_exit and followed is None:
            return 0  # it ended before we had begun
        load = config_loader(args, **_target(args))
        settings = load().settings

        import structlog

        log.configure(settings.log.level, settings.log.format)
        ignored = _ignored_targets(args)
        if ignored:
            reason = "`vitalsd run` watches what it starts, and --pid or --match stand for all targets"
            structlog.get_logger(__name__).warning("config_targets_ignored", targets=ignored, reason=reason)

        def start() -> Daemon:
            from vitalsd.daemon import Daemon

            return Daemon(load, until_exit=followed)

        daemon = start() if followed is None else start_when_free(start, settings, followed)
        if daemon is None:
            return 0  # the service has ended, and the ports were never free
        if sys.stderr.isatty():
            print(f"Open {daemon.link}", file=sys.stderr)
        asyncio.run(daemon.run())
        return 0


def _refuse_incomplete(args: argparse.Namespace) -> None:
    """Say which option means nothing without another, or nothing at all."""
    if args.pid is not None and args.pid <= 0:
        raise UsageError(f"--pid is {args.pid}, and a pid is a positive number.")
    if args.until_exit and args.pid is None:
        raise UsageError("--until-exit says whose end is meant by --pid: give that too.")
    if args.name is not None and args.pid is None and args.match is None:
        raise UsageError("--name is the name of what --pid or --match finds: give one of these too.")


def _target(args: argparse.Namespace) -> dict[str, object]:
    name = args.name or "service"  # in a manifest the label that it is taken from may be missing
    if args.pid is not None:
        refuse_unwatchable(args.pid)
        return {"name": name, "pid": args.pid}
    return {"name": name, "match": args.match} if args.match is not None else {}


def _ignored_targets(args: argparse.Namespace) -> list[str]:
    """The targets of the configuration that --pid or --match stand in for."""
    if args.pid is None and args.match is None:
        return []
    try:
        return [target.name for target in config_loader(args)().settings.targets]
    except VitalsdError:
        return []  # what is wrong with targets that are not used is no news
