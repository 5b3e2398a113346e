"""Instruments that fail one by one: tries, giving up, and what is told of it."""

import pytest

from vitalsd.probe.python.instruments import TRIES, Instruments


@pytest.fixture
def instruments():
    """A set in which none has been read yet."""
    return Instruments()


class Failing:
    """Fails as often as told, and counts how often it was asked."""

    def __init__(self, failures):
        self.failures, self.asked = failures, 0

    def __call__(self):
        """Be read once."""
        self.asked += 1
        if self.asked <= self.failures:
            raise OSError("no\nroom")
        return 7


def test_given_up(instruments):
    """What fails every time is asked no more, the reason is told in one line, and the others go on."""
    failing, working = Failing(100), Failing(0)
    answers = [(instruments.read("heap", failing), instruments.read("lock", working)) for _ in range(TRIES + 2)]
    assert answers == [(None, 7)] * (TRIES + 2)
    assert failing.asked == TRIES
    assert instruments.problems == "heap: OSError: no room"


def test_works_again(instruments):
    """Failures that something good lies between are not in a row."""
    for _ in range(3):
        failing = Failing(TRIES - 1)
        for _ in range(TRIES):
            answer = instruments.read("heap", failing)
        assert answer == 7
    assert instruments.problems == ""


def test_several(instruments):
    """Each that is given up has its line."""
    for name in ("heap", "lock"):
        for _ in range(TRIES):
            instruments.read(name, Failing(1))
    assert instruments.problems.splitlines() == ["heap: OSError: no room", "lock: OSError: no room"]
