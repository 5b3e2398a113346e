"""`vitalsd demo`: services with switchable faults and the agent beside them, to play with or as a tour."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import NoReturn

from vitalsd.cli.manual import Manual

__all__ = ["Demo"]


class Demo:
    """Small services with switchable faults, of Python and of Node, and the agent beside them.

    At a terminal it tells what to open and what to try, and stays until Ctrl-C. Without one it plays every fault
    once, prints what the agent saw of it, and ends: 0 when everything was seen, 1 when something was not.
    """

    name = "demo"
    manual = Manual(
        examples={
            "vitalsd demo": "at a terminal: play with it, until Ctrl-C",
            "vitalsd demo --tour": "every fault once, and what the agent saw of it",
            "vitalsd demo --config vitalsd.yaml": "with your Alertmanager told of it",
        },
        codes={
            0: "everything was seen, or you have ended it",
            1: "something was not seen, or a process has ended",
        },
        read=(
            "README.md",
            "docs/incidents.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument(
            "--listen",
            metavar="ADDR",
            default="127.0.0.1:18780",
            help="where metrics and health are served (%(default)s)",
        )
        parser.add_argument(
            "--control-listen",
            metavar="ADDR",
            default="127.0.0.1:18781",
            help="where the API is served (%(default)s)",
        )
        parser.add_argument(
            "--port",
            type=int,
            metavar="N",
            default=18790,
            help="the first of the services' three ports (%(default)s)",
        )
        parser.add_argument(
            "--config",
            metavar="FILE",
            help="the agent's configuration, such as one that names your Alertmanager (default: none); targets, "
            "addresses and folders are the demo's all the same",
        )
        parser.add_argument(
            "--tour",
            action=argparse.BooleanOptionalAction,
            help="play every fault once (default: without a terminal)",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Put services and agent up, play, and take them down."""
        from vitalsd.demo.addresses import check_addresses
        from vitalsd.demo.cast import introduced, players
        from vitalsd.demo.live import stay
        from vitalsd.demo.stage import Stage
        from vitalsd.demo.tour import play

        touring = args.tour if args.tour is not None else not sys.stdout.isatty()
        # Whoever ends us, by `kill` or by closing the terminal, means what Ctrl-C means.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        cast, left_out = players(args.port)
        check_addresses(args.listen, args.control_listen, [port for player in cast for port in player.ports])
        with Stage(args.listen, args.control_listen, cast, args.config) as stage:
            _say(introduced(cast))
            if left_out is not None:
                _say(left_out)
            _say("")
            return (play if touring else stay)(stage, _say)


def _say(line: str) -> None:
    print(line, flush=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
