"""
Reads recorded points, one JSON object a line, and tells of each line that is none.

Lines of several workers may be mixed; those of one worker go forward in time. About 1.5 us a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from vitalsd.history.points import Point

__all__ = ["LONGEST_LINE", "read_points"]

LONGEST_LINE = 65_536
_decoder = msgspec.json.Decoder(Point)


def read_points(lines: Iterable[bytes], bad: Callable[[int, str], None]) -> Iterator[Point]:
    """The points of a recording; what is wrong with a line goes to `bad` with its number, from 1 on."""
    latest: dict[tuple[str, str], float] = {}
    for number, line in enumerate(lines, 1):
        try:
            point = _decoder.decode(line) if len(line) <= LONGEST_LINE else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not line.strip():
                continue
            point = _with_a_number(line)
            if point is None:
                bad(number, str(error))
                continue
        if point is None:
            bad(number, f"it is longer than {LONGEST_LINE} bytes")
            continue
        if _any_negative(point):
            bad(number, "a value is less than nothing")
            continue
        place = (point.target, point.worker)
        if point.t < latest.get(place, 0.0):
            bad(number, f"it is older than the line before it of {point.target}/{point.worker}")
            continue
        latest[place] = point.t
        yield point


def _with_a_number(line: bytes) -> Point | None:
    """The same for a worker that is told by a number, as people do who write such files themselves."""
    try:
        fields: Any = msgspec.json.decode(line)
        if not isinstance(fields, dict) or type(fields.get("worker")) is not int:
            return None
        return msgspec.convert({**fields, "worker": str(fields["worker"])}, Point)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _any_negative(point: Point) -> bool:
    # One after the other: a loop over them would be a third of what reading a line costs.
    return (
        point.t < 0
        or (point.rss_anon or 0.0) < 0
        or (point.swap or 0.0) < 0
        or (point.limit or 0.0) < 0
        or (point.heap_live or 0.0) < 0
        or (point.heap_used or 0.0) < 0
        or (point.blocks or 0.0) < 0
        or (point.fds or 0.0) < 0
        or (point.threads or 0.0) < 0
        or (point.tasks or 0.0) < 0
    )
