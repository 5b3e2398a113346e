"""What `vitalsd incidents ID` prints of what grows."""

from vitalsd.cli.growing import growing

TYPES = {
    "growing_types": [
        {"type": "shop.Session", "grew": 51234, "bytes": 2_459_232, "now": 61000},
        {"type": "str", "grew": 102468, "bytes": 6_400_000, "now": 152468},
    ],
    "census_seconds": 600.0,
    "census_at": "2026-07-01T12:10:00.000Z",
    "census_share": 0.125,
}
TASKS = {
    "growing_coroutines": [
        {
            "coroutine": "poll",
            "file": "/srv/shop/orders.py",
            "line": 41,
            "grew": 120,
            "now": 130,
            "waits_at": {"function": "ask", "file": "/srv/shop/db.py", "line": 9},
        },
        {"coroutine": "x.Odd", "file": "", "line": 0, "grew": 60, "now": 60, "waits_at": None},
    ],
    "census_seconds": 5400.0,
}


def test_types():
    """How many more, how many bytes, how many there are; and that it is an estimate, where it is one."""
    assert growing(TYPES).splitlines() == [
        "types that grow, in 10 min, estimated from 12 % of the memory, as of",
        "  2026-07-01T12:10:00.000Z",
        "     +51234  shop.Session, 2.3 MiB more, 61000 now",
        "    +102468  str, 6.1 MiB more, 152468 now",
    ]


def test_coroutines():
    """Where it is written, and where one of its tasks waits."""
    assert growing(TASKS).splitlines() == [
        "coroutines whose tasks grow in number, in 90 min",
        "       +120  poll (orders.py:41), 130 now, one waits in ask (db.py:9)",
        "        +60  x.Odd, 60 now",
    ]


def test_counts():
    """Kinds of descriptors, and names of threads."""
    assert growing({"growing_descriptors": [{"kind": "socket", "grew": 5, "now": 9}]}).splitlines() == [
        "descriptors that grow in number",
        "         +5  socket, 9 now",
    ]
    assert "pool_#" in growing({"growing_threads": [{"thread": "pool_#", "grew": 5, "now": 9}]})


def test_why_not():
    """The reason, and nothing where nothing was tried."""
    assert growing({"no_census_reason": "it has no probe", "growing_types": []}) == "what grows: it has no probe"
    assert growing({"stalls": []}) == ""
