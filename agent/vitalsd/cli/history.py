"""`vitalsd history`: what the agent has recorded, straight from its file, be the agent running or not."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from vitalsd.cli.manual import Manual
from vitalsd.errors import UsageError, VitalsdError

if TYPE_CHECKING:
    from vitalsd.history.database import Rows
    from vitalsd.history.points import Point
    from vitalsd.settings.model import Settings

__all__ = ["History"]

MOST_NAMED = 10


class History:
    """Export what was recorded of memory, heap, files, threads and tasks, as `vitalsd backtest` reads it."""

    name = "history"
    manual = Manual(
        examples={
            "vitalsd history export > samples.jsonl": "everything there is, of eight days at most",
            "vitalsd history export --target shop --since 2d": "of one target",
        },
        codes={0: "it was printed", 1: "there is no history, or none of that target or worker"},
        read=("docs/backtest.md",),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add what can be asked, and its arguments."""
        asked = parser.add_subparsers(dest="asked", required=True, metavar="export")
        export = asked.add_parser("export", help="print it as JSON lines, oldest first")
        export.add_argument("--target", metavar="T", help="of this target alone")
        export.add_argument("--worker", metavar="W", help="of this slot alone")
        export.add_argument("--since", metavar="D", help="of this time until now, such as 2d (default: all)")
        export.add_argument("--config", metavar="FILE", help="the agent's configuration")
        export.add_argument("--listen", metavar="ADDR", help="where the agent serves metrics: each has a file")
        export.add_argument("--storage-dir", metavar="DIR", help="where the agent keeps it")

    def run(self, args: argparse.Namespace) -> int:
        """Read and print; a target or worker that there is nothing of is an error."""
        from vitalsd.cli.options import config_loader
        from vitalsd.history.database import Reading

        since = _since(args.since)
        rows = Reading(_path(config_loader(args)().settings))
        try:
            _export(rows, since, args.target, args.worker)
        finally:
            rows.close()
        return 0


def _export(rows: Rows, since: float, target: str | None, worker: str | None) -> None:
    import msgspec

    from vitalsd.history.replay import replay

    places = list(rows.workers())
    if (target or worker) and not any(target in (None, of) and worker in (None, slot) for of, slot in places):
        raise VitalsdError(f"There is no history of {_named(target, worker)}: {_known(places)}.")
    damaged: list[str] = []
    found = replay(
        rows, damaged.append, since, lambda place: target in (None, place[0]) and worker in (None, place[1])
    )
    encoder = msgspec.json.Encoder()
    for points in _by_hour(found):
        sys.stdout.buffer.write(encoder.encode_lines(points))
    sys.stdout.buffer.flush()
    for row in damaged[:MOST_NAMED]:
        print(f"vitalsd: {row}: skipped", file=sys.stderr)
    if len(damaged) > MOST_NAMED:
        print(f"vitalsd: {len(damaged)} hours in all could not be read and were skipped", file=sys.stderr)


def _by_hour(found: Iterable[list[Point]]) -> Iterator[list[Point]]:
    """The points of all workers together, oldest first."""
    known = (points for points in found if points)
    for _, batches in groupby(known, lambda points: points[0].t // 3600):
        yield sorted((point for points in batches for point in points), key=lambda point: point.t)


def _since(text: str | None) -> float:
    from vitalsd.settings.units import parse_duration

    if text is None:
        return 0.0
    try:
        return time.time() - parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--since: {error} (got {text})") from None


def _path(settings: Settings) -> Path:
    from vitalsd.history.database import KIND
    from vitalsd.settings.storage import storage_dir
    from vitalsd.storage.file import file_name

    folder, listen = storage_dir(settings.storage), settings.exporters.prometheus.listen
    path = folder / file_name(KIND, listen)
    if path.exists():
        return path
    others = sorted(each.name for each in folder.glob(f"{KIND}-*.db"))
    there = f"but {', '.join(others)}, with the port in the name" if others else "nor of any other"
    raise VitalsdError(
        f"There is no history of an agent that listens on {listen} in {folder}, {there}: "
        "name its own with --listen, --storage-dir or --config."
    )


def _named(target: str | None, worker: str | None) -> str:
    return " of ".join(
        filter(None, (f"worker {worker}" if worker else "", f"target {target}" if target else "any target"))
    )


def _known(places: list[tuple[str, str]]) -> str:
    if not places:
        return "nothing was recorded yet"
    named = ", ".join(f"{target}/{slot}" for target, slot in places[:MOST_NAMED])
    more = len(places) - MOST_NAMED
    return f"there is some of {named}" + (f" and {more} more" if more > 0 else "")
