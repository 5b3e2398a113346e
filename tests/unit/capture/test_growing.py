"""What has grown between two censuses, and what is told first."""

from __future__ import annotations

import pytest

from vitalsd.capture.census import Census, TaskList, Waiting
from vitalsd.capture.growing import MOST_ROWS, growing_coroutines, growing_counts, growing_types, without_numbers
from vitalsd.model import Frame


def census(*, stride: int = 1, untold: int = 0, **types: tuple[int, int]) -> Census:
    """A census of these types; `__` stands for the dot in their names."""
    named = {name.replace("__", "."): amount for name, amount in types.items()}
    return Census(named, stride, 1 << 20, 0, untold)


def names(before: Census, after: Census) -> list[object]:
    """The types that have grown, in order."""
    return [row["type"] for row in growing_types(before, after)]


def test_what_has_grown() -> None:
    """By how many, how many bytes, and how many there are now; what has shrunk or stayed is not told."""
    before = census(shop__Session=(100, 4800), str=(1000, 60_000), tuple=(50, 3000))
    after = census(shop__Session=(5100, 244_800), str=(1000, 60_000), tuple=(40, 2000))
    assert growing_types(before, after) == [
        {"type": "shop.Session", "grew": 5000, "bytes": 240_000, "now": 5100},
    ]


def test_a_class_comes_before_what_it_holds() -> None:
    """Its strings and dicts are more and weigh more, but they are there because of it."""
    after = census(shop__Session=(5000, 240_000), dict=(5000, 500_000), str=(15_000, 900_000))
    assert names(census(), after) == ["shop.Session", "str", "dict"]


def test_a_class_that_grows_a_little_does_not() -> None:
    """Where functions leak, a few timers more are not to blame."""
    after = census(function=(5000, 900_000), cell=(5000, 200_000), asyncio__events__TimerHandle=(499, 50_000))
    assert names(census(), after) == ["function", "cell", "asyncio.events.TimerHandle"]
    after = census(function=(5000, 900_000), cell=(5000, 200_000), asyncio__events__TimerHandle=(500, 50_000))
    assert names(census(), after)[0] == "asyncio.events.TimerHandle"


@pytest.mark.parametrize(
    ("stride", "there", "grew", "told"),
    [
        (1, 800, 9, False),
        (1, 800, 10, True),
        (1, 10**6, 10, True),
        (8, 800, 79, False),
        (8, 800, 80, True),
        (8, 10**6, 10_000, False),
        (8, 10**6, 10_200, True),
    ],
)
def test_chance(stride: int, there: int, grew: int, told: bool) -> None:
    """A handful of a sample more is chance, and so is a hundredth of what was sampled."""
    before, after = census(stride=stride, x__X=(there, 800)), census(stride=stride, x__X=(there + grew, 900))
    assert bool(growing_types(before, after)) == told


@pytest.mark.parametrize(
    ("before", "stride", "after", "told"),
    [(76, 2, 152, False), (10**6, 8, 1_190_000, False), (10**6, 4, 1_190_000, True), (10**6, 8, 1_300_000, True)],
)
def test_samples_of_different_parts(before: int, stride: int, after: int, told: bool) -> None:
    """They differ by something whether it has grown or not: a fifth of it must be new, and many."""
    first, later = census(stride=4, dict=(before, before * 64)), census(stride=stride, dict=(after, after * 64))
    assert bool(growing_types(first, later)) == told


def test_what_is_nothing_beside_the_rest() -> None:
    """A hundredth of what has grown most is not told."""
    after = census(shop__Session=(50_000, 2_400_000), a__A=(499, 10_000), b__B=(500, 10_000))
    assert names(census(), after) == ["shop.Session", "b.B"]


def test_what_was_not_listed_at_first() -> None:
    """It had no more than the rarest that was: it is not said to have grown by all it has."""
    before = census(untold=500, dict=(1000, 64_000), a__A=(30, 900))
    (row,) = growing_types(before, census(dict=(1000, 64_000), a__A=(30, 900), b__B=(100, 4000)))
    assert (row["type"], row["grew"], row["bytes"]) == ("b.B", 70, 3100)


def test_ten_are_told() -> None:
    """The most telling ones."""
    after = Census({f"a.T{n}": (1000 + n, 1000 + n) for n in range(30)}, 1, 0, 0, 0)
    assert names(census(), after) == [f"a.T{n}" for n in range(29, 29 - MOST_ROWS, -1)]


POLL, ASK, HERE = Frame("poll", "/srv/a.py", 3), Frame("ask", "/srv/b.py", 9), Frame("get", "/srv/c.py", 1)


def test_coroutines() -> None:
    """By how many tasks more, and where one of them waits; a few more beside many are not told."""
    before = TaskList({POLL: Waiting(10, HERE)}, 10)
    after = TaskList(
        {POLL: Waiting(110, HERE), ASK: Waiting(9, None), Frame("new", "", 0): Waiting(40, None)}, 159
    )
    rows = growing_coroutines(before, after)
    assert [(row["coroutine"], row["grew"], row["now"]) for row in rows] == [("poll", 100, 110), ("new", 40, 40)]
    assert (rows[0]["file"], rows[0]["line"], rows[0]["waits_at"]) == ("/srv/a.py", 3, HERE)


def test_no_coroutines() -> None:
    """Where nothing has grown nothing is told."""
    same = TaskList({POLL: Waiting(10, HERE)}, 10)
    assert growing_coroutines(same, same) == []


def test_counts() -> None:
    """Descriptors by kind, or threads by name: the most first."""
    rows = growing_counts("kind", {"socket": 5, "pipe": 4}, {"socket": 9, "pipe": 4, "file": 30})
    assert rows == [{"kind": "file", "grew": 30, "now": 30}, {"kind": "socket", "grew": 4, "now": 9}]


def test_names_with_numbers() -> None:
    """Threads of one pool are one."""
    assert without_numbers({"pool-1_0": 1, "pool-1_1": 1, "MainThread": 1}) == {"pool-#_#": 2, "MainThread": 1}
