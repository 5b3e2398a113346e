"""When the watchdog looks at loops: rarely at rest, in time for the stack of a stall, at heartbeats no earlier."""

import types

import pytest

from vitalsd.probe.python.watchdog import IDLE_PERIOD, IN_TIME_SECONDS, Watchdog

FIRST = 0.08
"""Of the threshold of 100 ms: so old is a stretch that is worth a stack."""


class Meter:
    """A loop that has been overdue for `age`; less than nothing until then."""

    def __init__(self, age):
        self.age = age
        self.ledger = types.SimpleNamespace(slot=0, ready=0.0, timers=0.0)

    def overdue(self, now):
        """Since when, and for how long."""
        return (now - self.age if self.age > 0 else 0.0), self.age

    def waiting(self):
        """Nothing."""
        return 0.0, 0.0


@pytest.fixture
def looking():
    """Return a function: how long a watchdog rests after a look at such loops, and how many stacks it took."""

    def run(ages, at_rest):
        sampled = []
        book = types.SimpleNamespace(threshold_seconds=0.1, sample=lambda *stall: sampled.append(stall))
        loops = types.SimpleNamespace(running=dict(enumerate(map(Meter, ages))))
        watchdog = Watchdog(loops, book)
        watchdog.at_rest = at_rest
        return watchdog.look(1000.0), len(sampled)

    return run


def test_nothing_stalls(looking):
    """At rest four looks a second; at work one in the time after which a stretch is worth a stack."""
    assert looking([0.0], True) == (IDLE_PERIOD, 0)
    assert looking([0.0, -0.3], True) == (IDLE_PERIOD, 0)
    assert looking([0.0], False) == (pytest.approx(FIRST), 0)
    assert looking([], True) == (IDLE_PERIOD, 0)


def test_a_heartbeat_that_is_not_due(looking):
    """Nothing can be seen of it before it is late, so the look is right after it: anew where it has not come."""
    assert looking([-0.32], True) == (pytest.approx(0.32 + IN_TIME_SECONDS), 0)
    assert looking([-0.01], True) == (IDLE_PERIOD, 0)
    assert looking([-0.02], False) == (pytest.approx(FIRST), 0)
    assert looking([IN_TIME_SECONDS], True) == (pytest.approx(FIRST - IN_TIME_SECONDS), 0)


def test_a_stretch_in_progress(looking):
    """The next look is exactly when it is worth a stack, at rest too; then that is taken."""
    assert looking([0.03], True) == (pytest.approx(FIRST - 0.03), 0)
    rest, stacks = looking([0.1], True)
    assert (rest < IDLE_PERIOD, stacks) == (True, 1)
