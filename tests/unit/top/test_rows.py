"""Rows of workers: what is told of each, which come first, and which fit what somebody types."""

from __future__ import annotations

from typing import Any

import pytest
from support.tops import INCIDENTS, Clock, capture, event, fleet, incidents, minutes
from support.views import NOW

from vitalsd.top.columns import COLUMNS, TROUBLE, ordered, shown
from vitalsd.top.picture import Picture
from vitalsd.top.rows import Row, fitting, trouble
from vitalsd_exporters.web.targets import targets_as_json


@pytest.fixture(scope="module")
def picture() -> Picture:
    """The fleet of now."""
    clock = Clock()
    picture = Picture(clock)
    for each in minutes(clock):
        picture.hear(each)
    picture.hear(incidents())
    return picture


def row(**fields: Any) -> Row:
    """A worker that is well, but for this."""
    return Row(**({"target": "shop", "slot": "0", "state": "up"} | fields))


def names(rows: list[Row]) -> list[str]:
    """As they are shown."""
    return [each.name for each in rows]


def test_a_row_has_what_is_known_of_a_worker(picture: Picture) -> None:
    """Its loop, its memory against the limit of its group, when that is met, and what is open."""
    leaking = picture.row(("shop", "1"))
    assert leaking is not None
    assert (leaking.state, leaking.busy_share, leaking.delay) == ("up", 0.22, (0.001, 0.0025))
    assert leaking.limit_share == pytest.approx(431 / 512)
    assert (leaking.left_seconds, leaking.restarts, leaking.incidents) == (9000.0, 3, (0, 1, 0))
    assert leaking.cpu_share == pytest.approx(0.4)


def test_what_is_not_known_is_not_nought(picture: Picture) -> None:
    """Without a loop there is no delay, no share and no stall."""
    bare = picture.row(("legacy", "0"))
    assert bare is not None
    assert (bare.delay, bare.busy_share, bare.stalls, bare.limit_share, bare.left_seconds) == (None,) * 5


def test_a_target_without_workers_has_a_row(picture: Picture) -> None:
    """It is what is wrong with it."""
    empty = picture.row(("mailer", "-"))
    assert empty is not None
    assert (empty.state, empty.worker) == ("down", None)


def test_what_is_wrong_comes_first() -> None:
    """Down and stuck, then by severity, then memory that runs out, then delay; the agent's own last."""
    worst_first = [
        row(slot="1", state="down"),
        row(slot="8", state="stalled", stalled_seconds=3.0),
        row(slot="7", incidents=(1, 0, 0)),
        row(slot="6", incidents=(0, 2, 0)),
        row(slot="5", left_seconds=600.0),
        row(slot="4", delay=(0.25, 0.5)),
        row(slot="3", stalls=2),
        row(slot="2", left_seconds=900_000.0),
        row(slot="10"),
        row(target="vitalsd"),
    ]
    shuffled = worst_first[5:] + worst_first[:5]
    assert sorted(shuffled, key=trouble) == worst_first


def test_a_stall_of_a_moment_has_no_row_jump() -> None:
    """It is told, and its incident, if it becomes one, orders the rows."""
    assert trouble(row(state="stalled", stalled_seconds=0.3)) == trouble(row())


@pytest.mark.parametrize("name", [each.name for each in COLUMNS])
def test_every_column_sorts_both_ways(picture: Picture, name: str) -> None:
    """What is not known stays at the end, and nobody is lost."""
    rows, column = picture.rows, next(each for each in COLUMNS if each.name == name)
    there, back = (ordered(rows, name, reverse=reverse) for reverse in (False, True))
    known = [each for each in there if column.rank(each) is not None]
    assert sorted(names(there)) == sorted(names(back)) == sorted(names(rows))
    ranks = [column.rank(each) for each in known]
    assert ranks == sorted(ranks, reverse=column.first == "most")  # type: ignore[type-var]
    assert [column.rank(each) for each in back[: len(known)]] == ranks[::-1]
    assert all(column.rank(each) is None for each in there[len(known) :] + back[len(known) :])


def test_a_name_is_letters() -> None:
    """Of however long and whatever a service has made of it."""
    evil = row(target="a\x1b[31m\u202e" + "b" * 100_000, slot="\n0")
    assert evil.name.startswith("a?[31m?bbb")
    assert evil.name.isprintable()
    assert len(evil.name) < 500


def test_workers_sort_by_number() -> None:
    """`shop/9` before `shop/10`, whatever a slot is called."""
    rows = [row(slot=slot) for slot in ("10", "9", "x2", "x10", "", "9" * 30)]
    assert [each.slot for each in ordered(rows, "worker", reverse=False)][:3] == ["", "9", "10"]
    assert len(ordered(rows, TROUBLE, reverse=True)) == 6


@pytest.mark.parametrize(
    ("words", "found"),
    [("web", ["web/0", "web/1"]), ("DOWN shop", ["shop/3"]), ("legacy server", ["legacy/0"]), ("[red]", [])],
)
def test_words_filter(picture: Picture, words: str, found: list[str]) -> None:
    """Every word has to be somewhere in name, state or command."""
    assert sorted(names(fitting(picture.rows, words))) == found


def test_columns_have_room_by_weight() -> None:
    """Worker and state always; all of them on a wide terminal; never more than there is room for."""
    for width in range(20, 200):
        told = shown(width, 8)
        assert sum(room for _, room in told) + len(told) - 1 <= max(width, 21)
        assert [column.name for column, _ in told][:2] == ["worker", "state"]
    assert [column for column, _ in shown(130, 8)] == list(COLUMNS)
    assert [column.name for column, _ in shown(80, 8)] == [
        "worker", "state", "delay", "delay_trail", "busy", "stalls", "memory", "full_in", "open"
    ]  # fmt: skip


def test_a_long_name_has_what_is_left() -> None:
    """And up to twenty letters before other columns have theirs."""
    width_of = {
        wide: next(room for column, room in shown(wide, 35) if column.name == "worker") for wide in (60, 160)
    }
    assert width_of[60] >= 20
    assert width_of[160] == 35


def test_the_most_severe_of_what_is_open_is_named() -> None:
    """With how many others there are."""
    (column,) = (each for each in COLUMNS if each.name == "open")
    assert column.cell(row(incidents=(0, 2, 3)), NOW) == ("2 warn+3", "warning")
    assert column.cell(row(), NOW) == ("-", "faint")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.31, "0.3s"), (45.4, "45s"), (300, "5m"), (7200, "2h"), (100, "2m"), (99.9, "100s")]
)
def test_a_stall_of_any_length_has_its_column(seconds: float, text: str) -> None:
    """It is told in the width that there is."""
    (column,) = (each for each in COLUMNS if each.name == "state")
    told = column.cell(row(state="stalled", stalled_seconds=seconds), NOW).text
    assert told == f"stalled {text}"
    assert len(told) <= column.width


def test_the_picture_keeps_what_was_told() -> None:
    """Incidents of before stay until the agent tells everything anew, which is when it has come back."""
    clock = Clock()
    picture = Picture(clock)
    picture.hear(event("targets", targets_as_json(fleet()[1])))
    picture.hear(incidents())
    assert [each["worker"] for each in picture.open_incidents()] == ["3", "0", "1"]
    picture.begin()
    assert picture.open_incidents()
    picture.hear(incidents(INCIDENTS[1]))
    assert [each["worker"] for each in picture.open_incidents()] == ["0"]


def test_incidents_of_the_target_are_shown_with_each_of_its_workers(picture: Picture) -> None:
    """What is open first; those of others are not there."""
    assert [each["id"] for each in picture.incidents_of("shop", "0")] == [INCIDENTS[1].id]
    assert [each["state"] for each in picture.incidents_of("legacy", "1")] == ["resolved"]


def test_an_agent_is_gone_until_it_tells_something() -> None:
    """Since the first time that it did not answer."""
    clock = Clock(100.0)
    picture = Picture(clock)
    picture.lose("no answer")
    clock.now = 130.0
    picture.lose("no answer still")
    assert (picture.gone_since, picture.gone_because) == (100.0, "no answer still")
    picture.hear(event("captures", []))
    assert (picture.gone_since, picture.heard_at) == (None, 130.0)


def test_what_is_gone_is_no_longer_shown() -> None:
    """Of the incidents that the agent forgets nobody says any more that they are over."""
    picture = Picture(Clock())
    picture.hear(incidents())
    picture.hear(event("captures", [capture()]))
    names = [each["id"] for each in picture.open_incidents()]
    picture.hear(event("gone", [*names[1:], capture()["id"], "nobody"]))
    assert [each["id"] for each in picture.open_incidents()] == names[:1]
    assert picture.capture(capture()["id"]) is None
    assert sum(picture.counts()[2]) == 1
