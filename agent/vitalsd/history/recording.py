"""
Reads recorded points, one JSON object a line, and tells of each line that is none.

Lines of several workers may be mixed; those of one worker go forward in time. About 1.5 us a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from vitalsd.history.points import Point

__all__ = ["LONGEST_LINE", "read_points"]

LONGEST_LINE = 65_536
LATEST = 253_402_300_800.0
"""The year 10000: what is beyond it was written in milliseconds."""
MOST = 2.0**65
"""More than any machine has of anything."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Tolerant(Point, frozen=True, kw_only=True):
    worker: str | int  # type: ignore[assignment] # what `Point` makes of it is text


_decoder = msgspec.json.Decoder(Point)
_tolerant = msgspec.json.Decoder(_Tolerant)


def read_points(lines: Iterable[bytes], bad: Callable[[int, str], None]) -> Iterator[Point]:
    """The points of a recording; what is wrong with a line goes to `bad` with its number, from 1 on."""
    latest: dict[tuple[str, str], float] = {}
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            bad(number, f"it is longer than {LONGEST_LINE} bytes")
            continue
        try:
            point = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if not line.strip():
                continue
            try:
                point = _written_by_hand(line)
            except RecursionError:
                bad(number, "it is nested too deeply")
                continue
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                bad(number, str(error))
                continue
        wrong = _wrong(point)
        if wrong is not None:
            bad(number, wrong)
            continue
        place = (point.target, point.worker)
        if point.t < latest.get(place, 0.0):
            bad(number, f"it is older than the line before it of {point.target}/{point.worker}")
            continue
        latest[place] = point.t
        yield point


def _written_by_hand(line: bytes) -> Point:
    """The same, as people and their editors write it: a mark before the text, a worker that is a number."""
    told = _tolerant.decode(line.removeprefix(BYTE_ORDER_MARK))
    return Point(**{**msgspec.structs.asdict(told), "worker": str(told.worker)})


def _wrong(point: Point) -> str | None:
    """What no recording can hold."""
    if not 0 <= point.t < LATEST or not -LATEST < point.start < LATEST:
        return "t and start are expected in seconds since 1970"
    # One after the other: a loop over them would be a third of what reading a line costs.
    if (
        0 <= (point.rss_anon or 0.0) < MOST
        and 0 <= (point.swap or 0.0) < MOST
        and 0 <= (point.limit or 0.0) < MOST
        and 0 <= (point.heap_live or 0.0) < MOST
        and 0 <= (point.heap_used or 0.0) < MOST
        and 0 <= (point.blocks or 0.0) < MOST
        and 0 <= (point.fds or 0.0) < MOST
        and 0 <= (point.threads or 0.0) < MOST
        and 0 <= (point.tasks or 0.0) < MOST
        and 0 <= (point.left or 0.0) < MOST
    ):
        return None
    return "a value is less than nothing, or more than any machine has"
