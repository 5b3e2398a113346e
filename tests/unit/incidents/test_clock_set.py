"""A clock that is set back and forth opens no incident, ends none and loses none."""

from __future__ import annotations

import pytest
from support.storing import LISTEN, NOON

from vitalsd.incidents.book import Book

HOUR = 3600.0


class Clocks:
    """The one that may be set, and the one that nobody sets."""

    def __init__(self):
        self.steady_at = 1000.0
        self.set_by = 0.0

    def steady(self):
        """Since boot."""
        return self.steady_at

    def wall(self):
        """Unix time."""
        return NOON + self.steady_at + self.set_by


@pytest.mark.parametrize("steps", [(HOUR,), (-HOUR,), (HOUR, -HOUR), (-HOUR, 2 * HOUR, -HOUR)])
def test_what_is_open_stays_open_and_ends_in_its_time(tmp_path, stalled, steps):
    """Nothing is resolved by the step, nothing reopened after it, and a minute of quiet is one by any clock."""
    clocks = Clocks()
    book = Book(lambda: tmp_path, LISTEN, clock=clocks.wall, steady=clocks.steady)
    book.take([stalled(at=clocks.wall())])
    for step in steps:
        clocks.set_by += step
        clocks.steady_at += 5
        book.take([])
        assert [incident.state for incident in book.incidents()] == ["open"]
    clocks.steady_at += 5
    book.take([stalled(at=clocks.wall())])
    (incident,) = book.incidents()
    assert (incident.state, incident.count) == ("open", 2)
    assert not {"resolved", "reopened"} & {entry["event"] for entry in incident.timeline}
    clocks.steady_at += 59
    book.take([])
    assert book.incidents()[0].state == "open"
    clocks.steady_at += 2
    book.take([])
    assert book.incidents()[0].state == "resolved"


def test_a_host_that_slept_has_heard_nothing(tmp_path, stalled):
    """Nobody looked for a night: whether it is over is to be seen first."""
    clocks = Clocks()
    book = Book(lambda: tmp_path, LISTEN, clock=clocks.wall, steady=clocks.steady)
    book.take([stalled(at=clocks.wall())])
    clocks.set_by += 8 * HOUR
    book.take([])
    assert book.incidents()[0].state == "open"
