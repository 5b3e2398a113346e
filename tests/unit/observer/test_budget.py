"""How often to look, by what looking costs."""

import pytest

from vitalsd.sources.observer.budget import Budget


def spend(budget, share, windows, start=0.0, cpu=0.0):
    """Spend this share of a core for so many windows; the answer is where the clocks are then."""
    budget.spent(start, cpu)
    for _ in range(windows):
        start += 2.0
        cpu += 2.0 * share
        budget.spent(start, cpu)
    return start, cpu


def test_within_the_budget():
    """Looks are as frequent as they may be."""
    budget = Budget(0.007, 0.05, 0.005)
    spend(budget, 0.006, 20)
    assert (budget.interval_seconds, budget.burst_seconds) == (0.05, 0.005)


def test_beyond_it():
    """Looks at late loops become rarer first, then all, by as much as it takes and no further than a second."""
    budget = Budget(0.007, 0.05, 0.005)
    clocks = spend(budget, 0.014, 1)
    assert (budget.interval_seconds, budget.burst_seconds) == (0.05, pytest.approx(0.01))
    clocks = spend(budget, 0.070, 2, *clocks)
    assert (budget.interval_seconds, budget.burst_seconds) == (pytest.approx(0.16), 0.05)
    clocks = spend(budget, 0.5, 20, *clocks)
    assert budget.interval_seconds == 1.0
    spend(budget, 0.001, 20, *clocks)
    assert (budget.interval_seconds, budget.burst_seconds) == (0.05, 0.005)


def test_nothing_changes_within_a_window():
    """A single expensive look is no reason."""
    budget = Budget(0.007, 0.05, 0.005)
    budget.spent(0.0, 0.0)
    budget.spent(1.9, 1.0)
    assert budget.burst_seconds == 0.005
