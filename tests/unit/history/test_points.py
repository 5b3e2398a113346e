"""What of a sample becomes a point of its history."""

from msgspec.structs import replace
from support.views import BARE, GONE, NOW, WATCHED

from vitalsd.history.points import Point, point_of


def test_whole():
    """Everything that growth is judged by, with the limit that holds for the worker."""
    assert point_of(WATCHED) == Point(
        t=NOW,
        target="shop",
        worker="0",
        start=NOW - 86_400,
        rss_anon=100_663_296,
        swap=0,
        limit=629_145_600,
        heap_live=47_185_920,
        heap_used=52_428_800,
        blocks=612_345,
        fds=37,
        threads=9,
        tasks=17,
    )


def test_what_is_not_known():
    """A worker without a probe, whose limit nobody knows."""
    assert point_of(BARE) == Point(t=NOW - 0.5, target="legacy", worker="0", start=NOW - 3600, threads=2)


def test_nobody():
    """A slot that waits for its worker makes no point, and a worker that is down none either."""
    assert (point_of(GONE), point_of(replace(WATCHED, up=False))) == (None, None)
