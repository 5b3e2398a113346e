"""`vitalsd backtest`: the detectors of growth over recorded samples: what would have opened, when, and why."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from vitalsd.cli.manual import Manual
from vitalsd.errors import UsageError

__all__ = ["Backtest"]

MOST_BAD_LINES = 20
"""Told one by one; all are counted."""


class Backtest:
    """Run the detectors of growth over recorded samples, as `vitalsd history export` writes them."""

    name = "backtest"
    manual = Manual(
        examples={
            "vitalsd backtest samples.jsonl": "what would have opened, when and why",
            "vitalsd history export | vitalsd backtest -": "of what the agent has recorded",
        },
        codes={0: "the samples were judged, whatever was found"},
        read=(
            "docs/backtest.md",
            "docs/leaks.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("file", metavar="FILE", help="JSON lines, one sample each; - for standard input")
        parser.add_argument("--config", metavar="FILE", help="the configuration whose `memory` section holds")
        parser.add_argument(
            "--json",
            action="store_true",
            help="print one incident a line, and what did not open on standard error",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Read, judge and print; a file that cannot be read is an error, a bad line is told and skipped."""
        from vitalsd.backtest import Backtest as Run
        from vitalsd.history.recording import read_points
        from vitalsd.incidents.wording import sound
        from vitalsd.settings.load import find_config, load
        from vitalsd.times import rfc3339
        from vitalsd_exporters.web.edge import as_json

        run = Run(load(find_config(args.config, os.environ), os.environ).settings)
        bad = _BadLines(args.file)
        count = 0
        with _opened(args.file) as file:
            for incident in run.run(read_points(_lines(file, args.file), bad.tell)):
                count += 1
                if args.json:
                    print(msgspec.json.encode(as_json(incident)).decode(), flush=True)
                else:
                    when = rfc3339(incident.opened_at)
                    print(f"{when}  {incident.severity:8}  {incident.kind:13}  {incident.summary}")
        bad.sum_up()
        if run.points_left_out:
            others = f"{run.points_left_out} samples of others were not looked at"
            print(f"{args.file} has more than {run.workers} workers; {others}: split it", file=sys.stderr)
        out = sys.stderr if args.json else sys.stdout
        for state in run.quiet():
            print(sound(f"{state.target}/{state.worker}: no {state.rule}: {state.reason}"), file=out)
        if run.points == 0:
            expected = "one JSON object a line is expected, with t, target, worker and start"
            raise UsageError(f"{args.file} holds no sample: {expected}")
        if not args.json:
            opened = "1 incident" if count == 1 else f"{count} incidents"
            print(f"{run.points} samples of {run.workers} workers: {opened} would have opened")
        return 0


class _BadLines:
    """What was wrong, line by line and in all."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.count = 0

    def tell(self, number: int, reason: str) -> None:
        from vitalsd.incidents.wording import sound

        self.count += 1
        if self.count <= MOST_BAD_LINES:
            print(f"{self._name}:{number}: {sound(reason)}: skipped", file=sys.stderr)

    def sum_up(self) -> None:
        if self.count > MOST_BAD_LINES:
            print(f"{self._name}: {self.count} lines in all were skipped", file=sys.stderr)


def _opened(name: str) -> BinaryIO:
    if name == "-":
        if sys.stdin is None:
            raise UsageError("standard input is closed: name a file, or pipe the samples in")
        return sys.stdin.buffer
    try:
        return open(name, "rb")  # noqa: PTH123 - closed by who asked for it
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from None


def _lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Line by line; of one that is too long only as much as shows it, however long it is."""
    from vitalsd.history.recording import LONGEST_LINE

    try:
        while line := file.readline(LONGEST_LINE + 1):
            yield line
            while len(line) > LONGEST_LINE and line[-1:] != b"\n":
                line = file.readline(LONGEST_LINE + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from None
